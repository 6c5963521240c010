//! Reads answers: what a service's error says in any of its spellings, when it wants us back, and compressed bodies.

use std::{io::Read, time::Duration};

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The most bytes of a body that are read, as sent.
pub(crate) const WIRE_LIMIT: usize = 8 << 20;
/// The most bytes of a body once it is decompressed.
pub(crate) const BODY_LIMIT: usize = 16 << 20;

/// The longest wait that a service's hint can ask for.
const HINT_LIMIT: Duration = Duration::from_secs(60);

/// What an error answer says. Everything is optional: a proxy's page says nothing that we can read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) request_id: Option<String>,
}

impl Complaint {
    /// Reads RAM's `Code`, CS's `code` and SLS's `errorCode`, in JSON or XML, and the request ID of the header or the
    /// body.
    pub(crate) fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let json: Option<Value> = serde_json::from_slice(body).ok().filter(Value::is_object);
        let find = |names: &[&str]| match &json {
            Some(json) => names.iter().find_map(|name| scalar(json.get(*name)?)),
            None => names.iter().find_map(|name| element(&text, name)),
        };
        Complaint {
            code: find(&["Code", "code", "errorCode"]),
            message: find(&["Message", "message", "errorMessage"]),
            request_id: request_id(headers).or_else(|| find(&["RequestId", "requestId", "request_id"])),
        }
    }
}

/// Reads a field that an answer may leave out or set to `null`, with `#[serde(default, deserialize_with = "nullable")]`: the official SDKs take
/// every field as optional.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The most characters of a name that are kept; RAM allows 64.
pub(crate) const NAME_LIMIT: usize = 128;

/// Text of a service as it can be shown and stored: control characters are spelled out, and what is longer than `limit`
/// characters ends in dots. Neither can become equal to a name that is expected.
///
/// Names, codes and times are bounded with this where they come in, so that no answer can make what is stored of it too large.
pub(crate) fn legible(name: &str, limit: usize) -> String {
    let mut text = String::new();
    for (n, letter) in name.chars().enumerate() {
        if n == limit {
            text.push('…');
            break;
        }
        if letter.is_control() {
            text.extend(letter.escape_unicode());
        } else {
            text.push(letter);
        }
    }
    text
}

/// The request ID from the headers that the services put it in.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    let header = headers
        .get("x-acs-request-id")
        .or_else(|| headers.get("x-log-requestid"))?;
    header.to_str().ok().filter(|id| !id.is_empty()).map(str::to_owned)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (value, _) = rest.split_once(&format!("</{name}>"))?;
    (!value.is_empty() && !value.contains('<')).then(|| value.to_owned())
}

/// How long the service asks us to wait, at most a minute.
///
/// `x-ratelimit-user-api` and `x-ratelimit-user` hold `TimeLeft:<ms>` (the Go SDK reads them), `x-acs-retry-after`
/// milliseconds (the official CLI waits so many, at most a minute), `Retry-After` seconds (RFC 9110; dates are not read).
pub(crate) fn retry_hint(headers: &HeaderMap) -> Option<Duration> {
    let time_left = |name: &str| {
        let mut fields = text(headers, name)?.split(',');
        fields.find_map(|field| field.trim().strip_prefix("TimeLeft:")?.trim().parse().ok())
    };
    let wait = time_left("x-ratelimit-user-api")
        .or_else(|| time_left("x-ratelimit-user"))
        .map(Duration::from_millis)
        .or_else(|| retry_after(headers))
        .or_else(|| {
            let seconds = text(headers, "retry-after")?.trim().parse::<u64>().ok()?;
            Some(Duration::from_secs(seconds))
        })?;
    Some(wait.min(HINT_LIMIT))
}

/// What `x-acs-retry-after` says, at most a minute: an error with it is throttling, whatever its code. As in the official Python SDK, zero and
/// less count as nothing.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let millis: u64 = text(headers, "x-acs-retry-after")?.trim().parse().ok()?;
    (millis > 0).then(|| Duration::from_millis(millis).min(HINT_LIMIT))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Why a body cannot be decoded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("the answer is larger than {} MiB", BODY_LIMIT >> 20)]
    TooLarge,
    #[error("the answer cannot be decompressed")]
    Broken,
    #[error("the answer is compressed with {0}, which was not requested")]
    Unknown(String),
}

/// Decompresses by `x-log-compresstype` (SLS) or `Content-Encoding`, never to more than [`BODY_LIMIT`].
///
/// Which of gzip and zlib it is, is told by the first bytes: the SLS SDKs read a body said to be `gzip` as zlib.
pub(crate) fn decompress(headers: &HeaderMap, body: Bytes) -> Result<Bytes, DecodeError> {
    let named = ["x-log-compresstype", "content-encoding"]
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok())
        .map(|value| value.trim().to_ascii_lowercase())
        .find(|value| !value.is_empty() && value != "identity");
    let Some(named) = named else { return Ok(body) };
    if body.is_empty() {
        return Ok(body);
    }
    if !matches!(named.as_str(), "gzip" | "x-gzip" | "deflate" | "zlib") {
        return Err(DecodeError::Unknown(named.chars().take(20).collect()));
    }
    let mut plain = Vec::new();
    let limit = BODY_LIMIT as u64 + 1;
    let read = if body.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(body.as_ref())
            .take(limit)
            .read_to_end(&mut plain)
    } else {
        flate2::read::ZlibDecoder::new(body.as_ref())
            .take(limit)
            .read_to_end(&mut plain)
    };
    match read {
        Ok(_) if plain.len() > BODY_LIMIT => Err(DecodeError::TooLarge),
        Ok(_) => Ok(plain.into()),
        Err(_) => Err(DecodeError::Broken),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn complaints_are_read_in_every_spelling() {
        let said = |code: &str, message: &str, id: &str| Complaint {
            code: Some(code.into()),
            message: Some(message.into()),
            request_id: Some(id.into()),
        };
        let none = headers(&[]);
        let ram = br#"{"Code":"NoPermission","Message":"m","RequestId":"r","HostId":"h"}"#;
        assert_eq!(Complaint::read(&none, ram), said("NoPermission", "m", "r"));
        let cs = br#"{"code":"ErrorClusterNotFound","message":"m","requestId":"r","status":404}"#;
        assert_eq!(Complaint::read(&none, cs), said("ErrorClusterNotFound", "m", "r"));
        let sls = br#"{"errorCode":"LogStoreNotExist","errorMessage":"m"}"#;
        assert_eq!(
            Complaint::read(&headers(&[("x-log-requestid", "r")]), sls),
            said("LogStoreNotExist", "m", "r")
        );
        let xml =
            b"<?xml version='1.0'?><Error><Code>Throttling</Code><Message>m</Message><RequestId>r</RequestId></Error>";
        assert_eq!(Complaint::read(&none, xml), said("Throttling", "m", "r"));
        for nothing in [
            &b""[..],
            b"<html><title>502</title></html>",
            b"[]",
            b"{\"code\":",
            b"\xff\xfe",
        ] {
            assert_eq!(Complaint::read(&none, nothing), Complaint::default());
        }
    }

    #[test]
    fn a_name_of_any_kind_can_be_shown() {
        let shown = |name: &str| legible(name, 128);
        assert_eq!(shown("leaver.x_y-z 中"), "leaver.x_y-z 中");
        assert_eq!(shown("lea\u{1b}[31mver\n"), "lea\\u{1b}[31mver\\u{a}");
        assert_eq!(shown(&"x".repeat(128)), "x".repeat(128));
        assert_eq!(shown(&"x".repeat(3_000_000)), format!("{}…", "x".repeat(128)));
    }

    #[test]
    fn hints_are_read_and_bounded() {
        let hint = |name, value| retry_hint(&headers(&[(name, value)])).map(|hint| hint.as_millis());
        assert_eq!(hint("x-ratelimit-user-api", "Remain:0,TimeLeft:1500"), Some(1500));
        assert_eq!(hint("x-ratelimit-user", "TimeLeft: 20"), Some(20));
        assert_eq!(hint("x-acs-retry-after", "700"), Some(700));
        assert_eq!(hint("x-acs-retry-after", "3600000"), Some(60_000));
        for nothing in ["0", "-1", "", "soon", "1.5"] {
            assert_eq!(hint("x-acs-retry-after", nothing), None, "{nothing}");
        }
        assert_eq!(hint("retry-after", "2"), Some(2000));
        assert_eq!(hint("retry-after", "99999999999999999999"), None);
        assert_eq!(hint("retry-after", "3600"), Some(60_000));
        assert_eq!(hint("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }

    #[test]
    fn compressed_bodies_are_decoded_by_either_header() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(b"hello").unwrap();
        let gzip = Bytes::from(gzip.finish().unwrap());
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"hello").unwrap();
        let zlib = Bytes::from(zlib.finish().unwrap());
        for name in ["x-log-compresstype", "content-encoding"] {
            for body in [&gzip, &zlib] {
                assert_eq!(decompress(&headers(&[(name, "gzip")]), body.clone()).unwrap(), "hello");
            }
            assert_eq!(
                decompress(&headers(&[(name, "gzip")]), gzip.slice(..12)),
                Err(DecodeError::Broken)
            );
            assert_eq!(
                decompress(&headers(&[(name, "lz4")]), gzip.clone()),
                Err(DecodeError::Unknown("lz4".into()))
            );
        }
        assert_eq!(
            decompress(&headers(&[]), Bytes::from_static(b"plain")).unwrap(),
            "plain"
        );
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        for _ in 0..=16 {
            bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
        }
        let bomb = Bytes::from(bomb.finish().unwrap());
        assert!(bomb.len() < 100_000);
        assert_eq!(
            decompress(&headers(&[("content-encoding", "gzip")]), bomb),
            Err(DecodeError::TooLarge)
        );
    }
}

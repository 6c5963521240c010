//! The two request signatures of Alibaba Cloud, as signers for the `reqsign-core` framework.
//!
//! Both sign only the head of a request. Whoever sends it puts the hash of the body into a header first
//! (`x-acs-content-sha256`, `x-log-content-sha256`), and the `Host` exactly as it will be sent. The date, and for
//! ACS3 the nonce, are taken from the head where it has them (that is how the golden vectors pin them), else made
//! fresh: so a request that is repeated must be built, and signed, anew.

pub(crate) mod acs3;
pub(crate) mod sls4;

pub use acs3::Acs3Signer;
pub use sls4::Sls4Signer;

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION, request::Parts};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Error, Result, time::Timestamp};
use sha2::{Digest, Sha256};

/// Carries the temporary credentials' token; both schemes sign it.
const SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-acs-security-token");

/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-encodes as both schemes do: everything but `A-Z a-z 0-9 - _ . ~`, in UTF-8, with upper-case digits.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The lower-case hexadecimal SHA-256 of a body.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac_sha256(key: &[u8], message: &str) -> Vec<u8> {
    // An HMAC takes a key of any length: `new_from_slice` cannot fail here.
    #[expect(clippy::expect_used, reason = "see above")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC-SHA256 takes a key of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The decoded query of a URI that is ready for the wire, sorted by raw key, then by raw value. A `+` is a plus, not a
/// space.
fn sorted_query(parts: &Parts) -> Result<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let decode = |text| {
        percent_decode_str(text)
            .decode_utf8()
            .map_err(|_| Error::request_invalid("a query parameter of the request is not UTF-8"))
    };
    let mut pairs = Vec::new();
    for pair in parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
    {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(key)?, decode(value)?));
    }
    pairs.sort();
    Ok(pairs)
}

/// A head that is about to be signed: a copy, so that what cannot be signed is left unchanged.
struct Unsigned<'a> {
    credential: &'a Credential,
    headers: HeaderMap,
    /// As it is in the head.
    date: String,
}

impl<'a> Unsigned<'a> {
    /// Checks the credentials, and puts the date, unless there is one, and the security token into the head.
    fn new(
        parts: &Parts,
        credential: Option<&'a Credential>,
        date: &HeaderName,
        format: fn(Timestamp) -> String,
    ) -> Result<Self> {
        let credential = usable(credential)?;
        let mut headers = parts.headers.clone();
        let given = headers.get(date).map(text).transpose()?.map(str::to_owned);
        let value = given.unwrap_or_else(|| format(Timestamp::now()));
        headers.insert(date, HeaderValue::from_str(&value)?);
        if let Some(token) = &credential.security_token {
            headers.insert(SECURITY_TOKEN, sensitive(token)?);
        }
        Ok(Unsigned {
            credential,
            headers,
            date: value,
        })
    }

    /// Gives the request this head, signed.
    fn authorize(mut self, parts: &mut Parts, authorization: &str) -> Result<()> {
        self.headers.insert(AUTHORIZATION, sensitive(authorization)?);
        parts.headers = self.headers;
        Ok(())
    }
}

/// The signed headers: `name:value` lines, each with its line feed, and the names joined by `;`.
fn canonical_headers(headers: &HeaderMap, signed: fn(&str) -> bool) -> Result<(String, String)> {
    let mut names: Vec<&HeaderName> = headers.keys().filter(|name| signed(name.as_str())).collect();
    names.sort_by_key(|name| name.as_str());
    let mut lines = String::new();
    for name in &names {
        let values = headers.get_all(*name).iter().map(text).collect::<Result<Vec<_>>>()?;
        lines.extend([name.as_str(), ":", &values.join(","), "\n"]);
    }
    let names: Vec<&str> = names.into_iter().map(HeaderName::as_str).collect();
    Ok((lines, names.join(";")))
}

/// `METHOD \n path \n query \n headers \n \n names \n body hash`: the same in both schemes.
fn canonical_request(
    parts: &Parts,
    headers: &HeaderMap,
    query: &str,
    signed: fn(&str) -> bool,
    content_sha256: &HeaderName,
) -> Result<(String, String)> {
    let body_hash = body_hash(headers, content_sha256)?;
    let (lines, names) = canonical_headers(headers, signed)?;
    let (method, path) = (&parts.method, parts.uri.path());
    let path = if path.is_empty() { "/" } else { path };
    Ok((
        format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{body_hash}"),
        names,
    ))
}

fn text(value: &HeaderValue) -> Result<&str> {
    let text = std::str::from_utf8(value.as_bytes());
    text.map(str::trim)
        .map_err(|_| Error::request_invalid("a header of the request is not UTF-8"))
}

/// The body hash that the sender has put into the head.
fn body_hash<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str> {
    let value = headers.get(name);
    let value = value
        .ok_or_else(|| Error::request_invalid(format!("the request lacks {name}, which must be set before signing")))?;
    text(value)
}

/// A header whose value never shows in a `Debug` output.
fn sensitive(value: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Error::credential_invalid("the credentials contain a character that is not allowed in an HTTP header")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn usable(credential: Option<&Credential>) -> Result<&Credential> {
    let credential = credential.ok_or_else(|| Error::credential_invalid("there are no credentials to sign with"))?;
    if credential.access_key_id.is_empty() || credential.access_key_secret.is_empty() {
        return Err(Error::credential_invalid("the credentials have no access key"));
    }
    Ok(credential)
}

#[cfg(test)]
mod vectors;

//! The signatures before ACS3, with HMAC-SHA1, which the SDKs in ack-ram-tool still make. Of an RPC request, all of it is in the query; of
//! a request for CS, in headers. [source: "RPC request structure and signature (V2)", "ROA request structure and signature (V2)"]

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::jiff::Timestamp;
use ring::hmac;

use super::canonical::encode;
use crate::simulator::message::Incoming;

const SIGNATURE: &str = "Signature";

/// Where the parts of the signature are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Rpc,
    Roa,
}

impl Signed {
    /// How the request is signed, if it is in one of these ways.
    pub(super) fn read(request: &Incoming) -> Option<Self> {
        match request.header("authorization") {
            "" => request.query(SIGNATURE).map(|_| Self::Rpc),
            header => header.starts_with("acs ").then_some(Self::Roa),
        }
    }

    fn part<'a>(self, request: &'a Incoming, parameter: &str, header: &str) -> &'a str {
        match self {
            Self::Rpc => request.query(parameter).unwrap_or_default(),
            Self::Roa => request.header(header),
        }
    }

    pub(super) fn time(self, request: &Incoming) -> Option<Timestamp> {
        match self {
            Self::Rpc => self.part(request, "Timestamp", "").parse().ok(),
            Self::Roa => Timestamp::try_from(httpdate::parse_http_date(request.header("date")).ok()?).ok(),
        }
    }

    pub(super) fn token(self, request: &Incoming) -> &str {
        self.part(request, "SecurityToken", "x-acs-security-token")
    }

    pub(super) fn nonce(self, request: &Incoming) -> &str {
        self.part(request, "SignatureNonce", "x-acs-signature-nonce")
    }

    pub(super) fn access_key(self, request: &Incoming) -> &str {
        match self {
            Self::Rpc => self.part(request, "AccessKeyId", ""),
            Self::Roa => roa_authorization(request).0,
        }
    }

    /// Whether the request, parameters in the body of an RPC included, was signed with this secret.
    pub(super) fn is_by(self, secret: &str, request: &Incoming) -> bool {
        let parts = [
            ("SignatureMethod", "x-acs-signature-method"),
            ("SignatureVersion", "x-acs-signature-version"),
        ];
        let kind = parts.map(|(parameter, header)| self.part(request, parameter, header));
        if kind != ["HMAC-SHA1", "1.0"] {
            return false;
        }
        let (key, to_sign, signature) = match self {
            Self::Rpc => (format!("{secret}&"), rpc(request), self.part(request, SIGNATURE, "")),
            Self::Roa => (secret.to_owned(), roa(request), roa_authorization(request).1),
        };
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        BASE64_STANDARD.encode(hmac::sign(&key, to_sign.as_bytes())) == signature
    }
}

/// The access key and the signature in `acs <key>:<signature>`.
fn roa_authorization(request: &Incoming) -> (&str, &str) {
    let header = request.header("authorization").strip_prefix("acs ").unwrap_or_default();
    header.split_once(':').unwrap_or_default()
}

fn rpc(request: &Incoming) -> String {
    let pairs: Vec<String> = request
        .parameters()
        .into_iter()
        .filter(|(name, _)| name != SIGNATURE)
        .map(|(name, value)| format!("{}={}", encode(&name), encode(&value)))
        .collect();
    format!("{}&%2F&{}", request.method, encode(&pairs.join("&")))
}

/// Neither host nor body are signed, unless by `content-md5`.
fn roa(request: &Incoming) -> String {
    let headers = ["accept", "content-md5", "content-type", "date"].map(|name| request.header(name));
    let own: String = request
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-acs-"))
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let mut query: Vec<_> = request.query.iter().collect();
    query.sort();
    let query: Vec<String> = query
        .into_iter()
        .map(|(name, value)| {
            if value.is_empty() {
                name.clone()
            } else {
                format!("{name}={value}")
            }
        })
        .collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!(
        "{}\n{}\n{own}{}{mark}{}",
        request.method,
        headers.join("\n"),
        request.path,
        query.join("&")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::message::decode_query;

    /// The example of Alibaba Cloud's page about this signature.
    #[test]
    fn the_example_of_the_documentation_is_signed_with_its_secret() {
        let query = "Timestamp=2016-02-23T12:46:24Z&Format=XML&AccessKeyId=testid&Action=DescribeRegions&SignatureMethod=HMAC-SHA1\
                     &SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Version=2014-05-26&SignatureVersion=1.0";
        let mut request = Incoming {
            method: "GET".to_owned(),
            query: decode_query(query),
            ..Incoming::default()
        };
        request
            .query
            .push((SIGNATURE.to_owned(), "OLeaidS1JvxuMvnyHOwuJ+uX5qY=".to_owned()));
        assert_eq!(Signed::read(&request), Some(Signed::Rpc));
        assert_eq!(Signed::Rpc.access_key(&request), "testid");
        assert!(Signed::Rpc.is_by("testsecret", &request));
        assert!(!Signed::Rpc.is_by("another", &request));
        request.query.push(("RegionId".to_owned(), "x".to_owned()));
        assert!(
            !Signed::Rpc.is_by("testsecret", &request),
            "a parameter that was not signed"
        );
    }
}

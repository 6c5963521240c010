//! SLS4-HMAC-SHA256: the signature of Simple Log Service, version 4.
//!
//! Source: the official log SDKs (Python `aliyun.log.auth.AuthV4`), whose published vectors this reproduces.

use std::time::Duration;

use http::{HeaderName, request::Parts};
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, Error, Result, SignRequest};

use super::{Unsigned, canonical_request, hmac_sha256, percent_encode, sha256_hex, sorted_query};

/// The SHA-256 of the body, in lower-case hexadecimal. Must be set before signing, for an empty body too.
pub(crate) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-log-content-sha256");
/// UTC, `20260102T030405Z`; the service tolerates a skew of 15 minutes. Set by the signer unless it is there.
pub(super) const DATE: HeaderName = HeaderName::from_static("x-log-date");

const ALGORITHM: &str = "SLS4-HMAC-SHA256";
const TERMINATOR: &str = "aliyun_v4_request";

/// Signs with SLS4-HMAC-SHA256 for one region.
///
/// Signed are `host`, `content-type`, every `x-log-*` and every `x-acs-*`. The `Host` is `<project>.<region host>`
/// without a port, whatever address the request is sent to; the sender sets it.
///
/// # Errors
/// Of the kind `RequestInvalid` when the head has no `x-log-content-sha256` or an impossible `x-log-date`, `CredentialInvalid`
/// without an access key.
#[derive(Clone, Debug)]
pub struct Sls4Signer {
    region: String,
}

impl Sls4Signer {
    /// Signs for `region`, as in `cn-hangzhou`.
    pub fn new(region: impl Into<String>) -> Self {
        Sls4Signer { region: region.into() }
    }

    fn key(&self, secret: &str, day: &str) -> Vec<u8> {
        let first = format!("aliyun_v4{secret}").into_bytes();
        [day, &self.region, "sls", TERMINATOR]
            .iter()
            .fold(first, |key, part| hmac_sha256(&key, part))
    }
}

impl SignRequest for Sls4Signer {
    type Credential = Credential;

    async fn sign_request(
        &self,
        _: &Context,
        parts: &mut Parts,
        credential: Option<&Credential>,
        _: Option<Duration>,
    ) -> Result<()> {
        let head = Unsigned::new(parts, credential, &DATE, |now| now.format_iso8601())?;
        let Unsigned { credential, date, .. } = &head;
        let day = date
            .get(..8)
            .ok_or_else(|| Error::request_invalid(format!("{DATE} is not of the form 20260102T030405Z")))?;

        let query = canonical_query(parts)?;
        let (request, _) = canonical_request(parts, &head.headers, &query, is_signed, &CONTENT_SHA256)?;
        let scope = format!("{day}/{}/sls/{TERMINATOR}", self.region);
        let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", sha256_hex(request.as_bytes()));
        let signature = hex::encode(hmac_sha256(&self.key(&credential.access_key_secret, day), &to_sign));
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope},Signature={signature}",
            credential.access_key_id
        );
        head.authorize(parts, &authorization)
    }
}

fn is_signed(name: &str) -> bool {
    name == "host" || name == "content-type" || name.starts_with("x-log-") || name.starts_with("x-acs-")
}

/// `key=value` joined by `&`: keys raw, values percent-encoded, and an empty value drops its `=` (unlike in ACS3).
pub(super) fn canonical_query(parts: &Parts) -> Result<String> {
    let pairs = sorted_query(parts)?;
    let pairs = pairs.iter().map(|(k, v)| {
        if v.is_empty() {
            k.to_string()
        } else {
            format!("{k}={}", percent_encode(v))
        }
    });
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

//! ACS3-HMAC-SHA256: the signature of RAM, IMS, STS and CS.
//!
//! Source: the help page "V3 request structure and signature", and the official Go and Python SDKs'
//! `darabonba-openapi`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, request::Parts};
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, Error, Result, SignRequest};

use super::{Unsigned, canonical_request, hmac_sha256, percent_encode, sha256_hex, sorted_query};

/// The SHA-256 of the body, in lower-case hexadecimal. Must be set before signing, for an empty body too.
pub(crate) const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-acs-content-sha256");
/// UTC, `2026-01-02T03:04:05Z`; the service tolerates a skew of 15 minutes. Set by the signer unless it is there.
pub(super) const DATE: HeaderName = HeaderName::from_static("x-acs-date");
/// Unique to each request, a repetition included. Set by the signer unless it is there.
pub(super) const NONCE: HeaderName = HeaderName::from_static("x-acs-signature-nonce");

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// Signs with ACS3-HMAC-SHA256.
///
/// Signed are `host`, `content-type` and every `x-acs-*`, as the official Go SDK does and the page says. The URI is
/// signed as it stands: its path already percent-encoded, its query in any order.
///
/// # Errors
/// Of the kind `RequestInvalid` when the head has no `x-acs-content-sha256` or no `Host`, `CredentialInvalid` without an
/// access key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acs3Signer;

impl SignRequest for Acs3Signer {
    type Credential = Credential;

    async fn sign_request(
        &self,
        _: &Context,
        parts: &mut Parts,
        credential: Option<&Credential>,
        _: Option<Duration>,
    ) -> Result<()> {
        let mut head = Unsigned::new(parts, credential, &DATE, |now| now.format_rfc3339_zulu())?;
        if !head.headers.contains_key(http::header::HOST) {
            return Err(Error::request_invalid(
                "the request lacks Host, which must be set before signing",
            ));
        }
        if !head.headers.contains_key(&NONCE) {
            head.headers.insert(NONCE, HeaderValue::from_str(&nonce()?)?);
        }

        let query = canonical_query(parts)?;
        let (request, names) = canonical_request(parts, &head.headers, &query, is_signed, &CONTENT_SHA256)?;
        let to_sign = format!("{ALGORITHM}\n{}", sha256_hex(request.as_bytes()));
        let signature = hex::encode(hmac_sha256(head.credential.access_key_secret.as_bytes(), &to_sign));
        let key = &head.credential.access_key_id;
        let authorization = format!("{ALGORITHM} Credential={key},SignedHeaders={names},Signature={signature}");
        head.authorize(parts, &authorization)
    }
}

fn is_signed(name: &str) -> bool {
    name == "host" || name == "content-type" || name.starts_with("x-acs-")
}

/// `key=value` joined by `&`, both percent-encoded; an empty value keeps its `=`.
pub(super) fn canonical_query(parts: &Parts) -> Result<String> {
    let pairs = sorted_query(parts)?;
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(k, v)| format!("{}={}", percent_encode(k), percent_encode(v)))
        .collect();
    Ok(pairs.join("&"))
}

/// 128 random bits, in hexadecimal.
pub(crate) fn nonce() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::unexpected(format!("the operating system provides no random numbers: {error}")))?;
    Ok(hex::encode(bytes))
}

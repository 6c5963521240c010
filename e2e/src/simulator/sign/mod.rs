//! Who signed a request, by code that shares nothing with the operator's signers.

mod acs3;
mod before_acs3;
mod canonical;
mod sls4;

use std::collections::HashMap;
use std::sync::Mutex;

use k8s_openapi::jiff::Timestamp;

use super::lock;
use super::message::{Incoming, Refusal};
use super::world::{AccessKey, World};

/// How far a request's date may be from now. [source: "V3 request structure and signature"; SLS, "error codes"]
const SKEW_SECONDS: i64 = 15 * 60;

/// The nonces of the last while.
#[derive(Default)]
pub(crate) struct Nonces(Mutex<HashMap<String, i64>>);

impl Nonces {
    /// Notes a nonce. False if it was used before.
    fn fresh(&self, nonce: &str, now: i64) -> bool {
        let mut seen = lock(&self.0);
        seen.retain(|_, at| *at > now - 2 * SKEW_SECONDS);
        seen.insert(nonce.to_owned(), now).is_none()
    }
}

/// Who signed a request for an RPC service or CS.
pub(crate) fn acs3(request: &Incoming, world: &World, nonces: &Nonces, now: i64) -> Result<AccessKey, Refusal> {
    let signed = Signed::read(request)?;
    if !signed.time(request).is_some_and(|time| near(time, now)) {
        return Err(Refusal::new(
            400,
            "InvalidTimeStamp.Expired",
            "Specified time stamp or date value is expired.",
        ));
    }
    let key = world
        .access_keys
        .iter()
        .find(|key| key.id == signed.access_key(request))
        .ok_or_else(|| Refusal::new(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found."))?;
    if !signed.is_by(&key.secret, request) {
        return Err(Refusal::new(
            400,
            "SignatureDoesNotMatch",
            "Specified signature does not match our calculation.",
        ));
    }
    match token(key, signed.token(request), now) {
        Token::Good => {}
        Token::Expired => {
            return Err(Refusal::new(
                400,
                "InvalidSecurityToken.Expired",
                "Specified SecurityToken is expired.",
            ));
        }
        Token::Wrong => {
            return Err(Refusal::new(
                400,
                "InvalidSecurityToken.Malformed",
                "Specified SecurityToken is malformed.",
            ));
        }
    }
    if !nonces.fresh(signed.nonce(request), now) {
        return Err(Refusal::new(
            400,
            "SignatureNonceUsed",
            "Specified signature nonce was used already.",
        ));
    }
    Ok(key.clone())
}

/// A signature for an RPC service or CS, and where its parts are.
enum Signed {
    Acs3(acs3::Signed),
    Before(before_acs3::Signed),
}

impl Signed {
    fn read(request: &Incoming) -> Result<Self, Refusal> {
        match before_acs3::Signed::read(request) {
            Some(signed) => Ok(Self::Before(signed)),
            None => acs3::read(request).map(Self::Acs3),
        }
    }

    fn time(&self, request: &Incoming) -> Option<Timestamp> {
        match self {
            Self::Acs3(_) => request.header("x-acs-date").parse().ok(),
            Self::Before(signed) => signed.time(request),
        }
    }

    fn token<'a>(&self, request: &'a Incoming) -> &'a str {
        match self {
            Self::Acs3(_) => request.header("x-acs-security-token"),
            Self::Before(signed) => signed.token(request),
        }
    }

    fn nonce<'a>(&self, request: &'a Incoming) -> &'a str {
        match self {
            Self::Acs3(_) => request.header("x-acs-signature-nonce"),
            Self::Before(signed) => signed.nonce(request),
        }
    }

    fn access_key<'a>(&'a self, request: &'a Incoming) -> &'a str {
        match self {
            Self::Acs3(signed) => &signed.access_key,
            Self::Before(signed) => signed.access_key(request),
        }
    }

    fn is_by(&self, secret: &str, request: &Incoming) -> bool {
        match self {
            Self::Acs3(signed) => signed.is_by(secret, request),
            Self::Before(signed) => signed.is_by(secret, request),
        }
    }
}

/// Who signed a request for SLS.
pub(crate) fn sls4(request: &Incoming, world: &World, now: i64) -> Result<AccessKey, Refusal> {
    let signed = sls4::read(request)?;
    if !signed.date().is_some_and(|date| near(date, now)) {
        let message = "The request is expired, or its date and its scope's date differ";
        return Err(Refusal::new(400, "RequestTimeExpired", message));
    }
    let key = world
        .access_keys
        .iter()
        .find(|key| key.id == signed.access_key)
        .ok_or_else(|| {
            Refusal::new(
                401,
                "Unauthorized",
                format!("AccessKeyId not found: {}", signed.access_key),
            )
        })?;
    if !signed.is_by(&key.secret, request) {
        let message = format!("signature does not match, AccessKeyId: {}", signed.access_key);
        return Err(Refusal::new(401, "SignatureNotMatch", message));
    }
    match token(key, request.header("x-acs-security-token"), now) {
        Token::Good => Ok(key.clone()),
        Token::Expired => Err(Refusal::new(401, "SecurityTokenExpired", "security token has expired")),
        Token::Wrong => Err(Refusal::new(401, "Unauthorized", "the security token is invalid")),
    }
}

fn near(date: Timestamp, now: i64) -> bool {
    (date.as_second() - now).abs() <= SKEW_SECONDS
}

enum Token {
    Good,
    Expired,
    Wrong,
}

fn token(key: &AccessKey, sent: &str, now: i64) -> Token {
    if key.security_token.as_deref().unwrap_or("") != sent {
        Token::Wrong
    } else if key.expires_at.is_some_and(|at| at <= now) {
        Token::Expired
    } else {
        Token::Good
    }
}

#[cfg(test)]
mod tests;

//! SLS4-HMAC-SHA256. [source: SLS, "request signatures"; the official SDKs' own test vectors]

use k8s_openapi::jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::canonical::{canonical_query, hmac, sha256_hex};
use crate::simulator::message::{Incoming, Refusal};

const ALGORITHM: &str = "SLS4-HMAC-SHA256";

/// The parts of an Authorization header, and the date that was signed.
pub(super) struct Signed {
    pub(super) access_key: String,
    day: String,
    region: String,
    time: String,
    signature: String,
}

/// Reads the signature.
pub(super) fn read(request: &Incoming) -> Result<Signed, Refusal> {
    let unauthorized = |what: &str| Refusal::new(401, "Unauthorized", format!("the request is not signed: {what}"));
    let rest = request
        .header("authorization")
        .strip_prefix(ALGORITHM)
        .ok_or_else(|| unauthorized("no Authorization header of SLS4-HMAC-SHA256"))?;
    let part = |name: &str| {
        let found = rest
            .split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        found.ok_or_else(|| unauthorized(name))
    };
    let credential: Vec<&str> = part("Credential")?.split('/').collect();
    let [access_key, day, region, "sls", "aliyun_v4_request"] = credential[..] else {
        return Err(unauthorized("the credential's scope"));
    };
    Ok(Signed {
        access_key: access_key.to_owned(),
        day: day.to_owned(),
        region: region.to_owned(),
        time: request.header("x-log-date").to_owned(),
        signature: part("Signature")?.to_owned(),
    })
}

impl Signed {
    /// The date that was signed, unless the scope names another day.
    pub(super) fn date(&self) -> Option<Timestamp> {
        let time: DateTime = DateTime::strptime("%Y%m%dT%H%M%SZ", &self.time).ok()?;
        self.time
            .starts_with(&self.day)
            .then(|| TimeZone::UTC.to_timestamp(time).ok())?
    }

    /// Whether the request, body included, was signed with this secret.
    pub(super) fn is_by(&self, secret: &str, request: &Incoming) -> bool {
        let hash = sha256_hex(&request.body);
        if request.header("x-log-content-sha256") != hash {
            return false;
        }
        let is_signed = |name: &str| {
            ["host", "content-type"].contains(&name) || name.starts_with("x-log-") || name.starts_with("x-acs-")
        };
        // A map, so in order.
        let signed: Vec<_> = request.headers.iter().filter(|(name, _)| is_signed(name)).collect();
        let value = |name: &str, value: &str| match name {
            // The service signs the host without a port.
            "host" => value.rsplit_once(':').map_or(value, |(host, _)| host).to_owned(),
            _ => value.trim().to_owned(),
        };
        let headers: String = signed
            .iter()
            .map(|(name, v)| format!("{name}:{}\n", value(name, v)))
            .collect();
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{headers}\n{}\n{hash}",
            request.method,
            request.path,
            canonical_query(&request.query, false),
            names.join(";"),
        );
        let scope = format!("{}/{}/sls/aliyun_v4_request", self.day, self.region);
        let to_sign = format!(
            "{ALGORITHM}\n{}\n{scope}\n{}",
            self.time,
            sha256_hex(canonical.as_bytes())
        );
        let first = format!("aliyun_v4{secret}").into_bytes();
        let steps = [self.day.as_str(), &self.region, "sls", "aliyun_v4_request"];
        let key = steps.iter().fold(first, |key, step| hmac(&key, step.as_bytes()));
        hex::encode(hmac(&key, to_sign.as_bytes())) == self.signature
    }
}

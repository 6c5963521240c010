//! ACS3-HMAC-SHA256. [source: "V3 request structure and signature"]

use super::canonical::{canonical_query, hmac, sha256_hex};
use crate::simulator::message::{Incoming, Refusal};

const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// The parts of an Authorization header.
pub(super) struct Signed {
    pub(super) access_key: String,
    headers: Vec<String>,
    signature: String,
}

/// Reads the signature, and refuses one that leaves out what must be signed.
pub(super) fn read(request: &Incoming) -> Result<Signed, Refusal> {
    let incomplete = |what: &str| {
        Refusal::new(
            400,
            "IncompleteSignature",
            format!("the signature is incomplete: {what}"),
        )
    };
    let rest = request
        .header("authorization")
        .strip_prefix(ALGORITHM)
        .ok_or_else(|| incomplete("no Authorization header of ACS3-HMAC-SHA256"))?;
    let part = |name: &str| {
        rest.split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
            .ok_or_else(|| incomplete(name))
    };
    let headers: Vec<String> = part("SignedHeaders")?.split(';').map(str::to_owned).collect();
    let required = [
        "host",
        "x-acs-action",
        "x-acs-version",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
    ];
    let sent = request.headers.keys().map(String::as_str);
    // A content type need not be sent without a body, but must be signed when it is.
    let must_be_signed = sent
        .filter(|name| name.starts_with("x-acs-") || *name == "content-type")
        .chain(required);
    for name in must_be_signed {
        if !headers.iter().any(|signed| signed == name) || !request.headers.contains_key(name) {
            return Err(incomplete(name));
        }
    }
    Ok(Signed {
        access_key: part("Credential")?,
        headers,
        signature: part("Signature")?,
    })
}

impl Signed {
    /// Whether the request, body included, was signed with this secret.
    pub(super) fn is_by(&self, secret: &str, request: &Incoming) -> bool {
        let hash = sha256_hex(&request.body);
        if request.header("x-acs-content-sha256") != hash {
            return false;
        }
        let mut names: Vec<&str> = self.headers.iter().map(String::as_str).collect();
        names.sort_unstable();
        let headers: String = names
            .iter()
            .map(|name| format!("{name}:{}\n", request.header(name).trim()))
            .collect();
        let path = if request.path.is_empty() { "/" } else { &request.path };
        let canonical = format!(
            "{}\n{path}\n{}\n{headers}\n{}\n{hash}",
            request.method,
            canonical_query(&request.query, true),
            names.join(";"),
        );
        let to_sign = format!("{ALGORITHM}\n{}", sha256_hex(canonical.as_bytes()));
        hex::encode(hmac(secret.as_bytes(), to_sign.as_bytes())) == self.signature
    }
}

//! What both signatures are made of.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt::Write;

pub(super) fn sha256_hex(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

pub(super) fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    // HMAC takes a key of any length, so that this cannot fail; an empty result matches no signature.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// RFC 3986: everything but the unreserved characters.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The canonical query: sorted by key, values encoded; an empty value is `k=` or, for SLS, `k`.
pub(super) fn canonical_query(query: &[(String, String)], equals_when_empty: bool) -> String {
    let mut pairs: Vec<_> = query.iter().collect();
    pairs.sort();
    let join = |(key, value): &(String, String)| match value.as_str() {
        "" if !equals_when_empty => key.clone(),
        value => format!("{key}={}", encode(value)),
    };
    pairs.into_iter().map(join).collect::<Vec<_>>().join("&")
}

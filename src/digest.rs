//! SHA-256, as backups, clearances and fingerprints write it.

use sha2::{Digest, Sha256};

/// In hexadecimal, lower case.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

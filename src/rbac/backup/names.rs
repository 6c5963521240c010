//! By which names and labels what the operator stores is found, and protected by the admission policy.

use crate::api::GROUP;
pub use crate::digest::sha256;

/// What the name of everything begins with that the admission policy keeps for the operator.
pub const NAME_PREFIX: &str = "offboarding-";

/// The label with the RAM UID.
pub fn uid_label() -> String {
    format!("{GROUP}/ram-uid")
}

/// The label with the `metadata.uid` of the UserOffboarding.
pub fn object_label() -> String {
    format!("{GROUP}/object-uid")
}

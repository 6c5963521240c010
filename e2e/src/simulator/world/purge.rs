//! How ACK purges.

use serde::{Deserialize, Serialize};

/// How CleanClusterUserPermissions behaves where the documentation is silent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PurgeBehaviour {
    /// Which bindings it takes for the user's.
    pub matching: Match,
    /// Which names are the user's, besides the UID.
    pub suffix: Suffix,
    /// What its own check of the audit log counts as activity.
    pub guard: Guard,
    /// How many more times ListUserKubeConfigStates says the old state; `4294967295` stands for "until told".
    pub removed_after_polls: u32,
}

/// Which bindings a purge deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Match {
    /// Those with a User subject of that name.
    #[default]
    UserSubjects,
    /// The pessimistic guess: those with any subject of that name, whatever its kind.
    NameOnly,
}

/// What follows the UID and a hyphen in the name of a certificate. ACK's page calls it random; every sample has digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Suffix {
    /// Digits only.
    #[default]
    Digits,
    /// The pessimistic guess: letters too.
    Letters,
}

impl Suffix {
    /// Whether a Kubernetes user name is the UID, or the UID with such a suffix.
    pub fn is_name_of(self, name: &str, uid: &str) -> bool {
        let fits = |byte: u8| byte.is_ascii_digit() || (self == Self::Letters && byte.is_ascii_alphabetic());
        name.strip_prefix(uid).is_some_and(|rest| match rest.strip_prefix('-') {
            Some(suffix) => !suffix.is_empty() && suffix.bytes().all(fits),
            None => rest.is_empty(),
        })
    }
}

/// What counts as activity for the purge's own guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Guard {
    /// Requests by the user.
    #[default]
    ByUser,
    /// The pessimistic guess: any record that contains the UID, requests about the user included.
    AnyMention,
    /// Nothing: for tests of what the client does by itself.
    Nothing,
}

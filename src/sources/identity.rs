//! Who is the UID? IMS knows users by UID, RAM lists roles with their IDs, and IMS keeps deleted users for a while.

use crate::api::{IdentityState, IdentityStatus, ResolvedIdentityType};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// Who a UID turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// An existing RAM user.
    User { name: String },
    /// An existing RAM role.
    Role { name: String },
    /// A RAM user in the recycle bin.
    Recycled {
        /// The part of its logon name before `@`.
        name: String,
        deleted_at: Option<Timestamp>,
    },
    /// A RAM user, existing or in the recycle bin, and a RAM role at once. Nobody can tell whose the access is.
    Both { user: String, role: String },
    /// Neither a user, nor a role, nor in the recycle bin.
    Nowhere {
        /// The UID that the expected name belongs to, where that was asked.
        name_belongs_to: Option<String>,
    },
}

impl Identity {
    /// Its name, as far as anything still knows it, and if it has only one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Identity::User { name } | Identity::Role { name } | Identity::Recycled { name, .. } => Some(name),
            Identity::Both { .. } | Identity::Nowhere { .. } => None,
        }
    }

    /// How it is reported.
    pub fn to_status(&self) -> IdentityStatus {
        let (type_, state, deleted_at) = match self {
            Identity::User { .. } => (ResolvedIdentityType::RamUser, IdentityState::Exists, None),
            Identity::Role { .. } => (ResolvedIdentityType::RamRole, IdentityState::Exists, None),
            Identity::Recycled { deleted_at, .. } => (
                ResolvedIdentityType::RamUser,
                IdentityState::InRecycleBin,
                deleted_at.map(Time),
            ),
            Identity::Both { .. } => (ResolvedIdentityType::Unknown, IdentityState::Exists, None),
            Identity::Nowhere { .. } => (ResolvedIdentityType::Unknown, IdentityState::NotFound, None),
        };
        IdentityStatus {
            type_,
            name: self.name().map(str::to_owned),
            state,
            deleted_at,
            last_known: None,
            returned_at: None,
        }
    }
}

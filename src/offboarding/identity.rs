//! Who is the UID? IMS knows users by UID, RAM lists roles with their IDs, and IMS keeps deleted users for a while.

use super::{context::Context, outcome::QueryError};
use crate::api::{IdentityState, IdentityStatus, IdentityType, ResolvedIdentityType};
use alibaba_cloud::Uid;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// Who a UID turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// An existing RAM user.
    User {
        /// Its user name.
        name: String,
    },
    /// An existing RAM role.
    Role {
        /// Its name.
        name: String,
    },
    /// A RAM user in the recycle bin.
    Recycled {
        /// The part of its logon name before `@`.
        name: String,
        /// When it was deleted.
        deleted_at: Option<Timestamp>,
    },
    /// A RAM user, existing or in the recycle bin, and a RAM role at once. Nobody can tell whose the access is.
    Both {
        /// The user's name.
        user: String,
        /// The role's name.
        role: String,
    },
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

/// Looks a UID up, as a user and as a role: one that is both is never taken for either.
///
/// # Errors
/// When a service does not answer: an identity is never taken for deleted because of that.
pub async fn look_up(ctx: &Context, uid: Uid) -> Result<Identity, QueryError> {
    let user = match ctx.cloud.ims.get_user(uid).await? {
        Some(user) => Some(Identity::User { name: user.name }),
        None => ctx.cloud.ims.get_user_in_recycle_bin(uid).await?.map(|user| {
            let deleted_at = user.recycled_at.as_deref().and_then(|t| t.parse().ok());
            Identity::Recycled {
                name: user.name().to_owned(),
                deleted_at,
            }
        }),
    };
    let role = ctx.role_name(uid).await?;
    Ok(match (user, role) {
        (Some(user), Some(role)) => Identity::Both {
            user: user.name().unwrap_or_default().to_owned(),
            role,
        },
        (Some(user), None) => user,
        (None, Some(name)) => Identity::Role { name },
        (None, None) => Identity::Nowhere { name_belongs_to: None },
    })
}

/// Asks whose the expected name is, of a UID that is nowhere: if someone has it, the UID is probably mistyped.
///
/// # Errors
/// When RAM does not answer.
pub async fn owner_of_name(ctx: &Context, name: &str, type_: IdentityType) -> Result<Identity, QueryError> {
    let name_belongs_to = match type_ {
        IdentityType::RamUser => ctx.cloud.ram.get_user(name).await?.map(|user| user.id),
        IdentityType::RamRole => ctx.cloud.ram.get_role(name).await?.map(|role| role.id),
    };
    Ok(Identity::Nowhere { name_belongs_to })
}

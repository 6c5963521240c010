//! Who is the UID? IMS knows users by UID, RAM lists roles with their IDs, and IMS keeps deleted users for a while.

use super::{context::Context, hold::Trouble};
use crate::{
    api::{IdentityState, IdentityStatus, IdentityType, ResolvedIdentityType},
    uid::Uid,
};
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
    /// Neither a user, nor a role, nor in the recycle bin.
    Nowhere {
        /// The UID that the expected name belongs to, where that was asked.
        name_belongs_to: Option<String>,
    },
}

impl Identity {
    /// Its name, as far as anything still knows it.
    pub fn name(&self) -> Option<&str> {
        match self {
            Identity::User { name } | Identity::Role { name } | Identity::Recycled { name, .. } => Some(name),
            Identity::Nowhere { .. } => None,
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

/// Looks a UID up.
///
/// # Errors
/// When a service does not answer: an identity is never taken for deleted because of that.
pub async fn look_up(ctx: &Context, uid: &Uid) -> Result<Identity, Trouble> {
    if let Some(user) = ctx.cloud.ims.get_user(uid).await? {
        return Ok(Identity::User {
            name: legible(&user.name),
        });
    }
    if let Some(name) = ctx.role_name(uid).await? {
        return Ok(Identity::Role { name: legible(&name) });
    }
    if let Some(user) = ctx.cloud.ims.get_user_in_recycle_bin(uid).await? {
        let name = legible(user.user_principal_name.split('@').next().unwrap_or_default());
        let deleted_at = user.recycled_at.as_deref().and_then(|t| t.parse().ok());
        return Ok(Identity::Recycled { name, deleted_at });
    }
    Ok(Identity::Nowhere { name_belongs_to: None })
}

/// Asks whose the expected name is, of a UID that is nowhere: if someone has it, the UID is probably mistyped.
///
/// # Errors
/// When RAM does not answer.
pub async fn owner_of_name(ctx: &Context, name: &str, type_: IdentityType) -> Result<Identity, Trouble> {
    let name_belongs_to = match type_ {
        IdentityType::RamUser => ctx.cloud.ram.get_user(name).await?.map(|user| user.id),
        IdentityType::RamRole => ctx.cloud.ram.get_role(name).await?.map(|role| role.id),
    };
    Ok(Identity::Nowhere {
        name_belongs_to: name_belongs_to.map(|uid| legible(&uid)),
    })
}

/// The most characters of a name that are shown; RAM allows 64.
const NAME_LIMIT: usize = 128;

/// A name as it can be shown: control characters are spelled out, and what is too long ends in dots. Neither can become
/// equal to a name that is expected.
fn legible(name: &str) -> String {
    let mut text = String::new();
    for (n, letter) in name.chars().enumerate() {
        if n == NAME_LIMIT {
            text.push('…');
            break;
        }
        if letter.is_control() {
            text.extend(letter.escape_unicode());
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_kind_can_be_shown() {
        assert_eq!(legible("leaver.x_y-z 中"), "leaver.x_y-z 中");
        assert_eq!(legible("lea\u{1b}[31mver\n"), "lea\\u{1b}[31mver\\u{a}");
        assert_eq!(legible(&"x".repeat(128)), "x".repeat(128));
        assert_eq!(legible(&"x".repeat(10_000)), format!("{}…", "x".repeat(128)));
    }
}

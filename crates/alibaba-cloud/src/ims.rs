//! Identity Management Service, 2019-08-15: the only API that finds a RAM user by UID, and that lists frozen and deleted users.

use serde::Deserialize;

use super::{
    answer::{NAME_LIMIT, legible, nullable},
    call::Call,
    client::Client,
    endpoint::Endpoint,
    error::{ApiError, Service},
    pages::{Entries, Marked, NO_LIST},
};
use crate::uid::Uid;

/// The most users that one page can hold. Source: the official Python SDK's `ListUsers`.
const PAGE: usize = 1000;
/// The same of the recycle bin. Source: the official Python SDK's `ListUsersInRecycleBin`.
const RECYCLE_BIN_PAGE: usize = 100;

/// Client of Identity Management Service; see [`Cloud::ims`](crate::Cloud::ims).
#[derive(Clone, Debug)]
pub struct Ims {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
}

/// A RAM user, active or frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The UID that was asked for.
    pub uid: Uid,
    /// `UserName`, or what stands before the `@` of the principal name.
    pub name: String,
    /// As in `leaver@<account>.onaliyun.com`.
    pub user_principal_name: String,
    /// For people; may be empty.
    pub display_name: String,
}

/// Whether a RAM user may do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserStatus {
    /// May sign in and use keys.
    Active,
    /// Frozen: is there, but can do nothing until it is thawed.
    Frozen,
}

impl UserStatus {
    /// As the service writes it. That it uses the request's words in its answers is not documented.
    fn as_str(self) -> &'static str {
        match self {
            UserStatus::Active => "active",
            UserStatus::Frozen => "freeze",
        }
    }

    fn read(text: &str) -> Option<Self> {
        let is = |status: &UserStatus| text.eq_ignore_ascii_case(status.as_str());
        [UserStatus::Active, UserStatus::Frozen].into_iter().find(is)
    }
}

/// A RAM user in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedUser {
    /// The UID.
    pub uid: Uid,
    /// What stands before the `@` of the principal name: this list has no other name.
    pub name: String,
    /// For people; may be empty.
    pub display_name: String,
    /// What the list says of this user; where that is nothing we know, the status that was asked for.
    pub status: UserStatus,
}

/// A RAM user who was deleted and can still be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecycledUser {
    /// The UID.
    pub uid: Uid,
    /// As in `leaver@<account>.onaliyun.com`.
    pub user_principal_name: String,
    /// When the user was deleted, as the service writes it (ISO 8601, UTC).
    pub recycled_at: Option<String>,
    /// When the user will be gone for good, likewise.
    pub deleted_at: Option<String>,
}

impl RecycledUser {
    /// The part of the principal name before the `@`: the service shows no other name of a deleted user.
    pub fn name(&self) -> &str {
        local_part(&self.user_principal_name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    user: Raw,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    user_id: String,
    #[serde(default)]
    user_name: Option<String>,
    #[serde(default)]
    user_principal_name: Option<String>,
    #[serde(default)]
    display_name: Option<String>,
    #[serde(default)]
    recycle_date: Option<String>,
    #[serde(default)]
    delete_date: Option<String>,
    #[serde(default)]
    status: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UsersPage {
    #[serde(default)]
    users: Option<UserList>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UserList {
    #[serde(default, deserialize_with = "nullable")]
    user: Vec<Raw>,
}

impl UsersPage {
    /// Every user with its UID, or why that cannot be.
    fn users(self) -> Entries<(Uid, Raw)> {
        let users = self.users.ok_or(NO_LIST)?.user.into_iter().map(Raw::bounded);
        let with_uid = |raw: Raw| match raw.user_id.parse() {
            Ok(uid) => Ok((uid, raw)),
            Err(_) => Err("a user in it has a UID that is none"),
        };
        users.map(with_uid).collect()
    }
}

impl Raw {
    /// The same with every text as it can be shown and stored. The user ID is compared with the one asked for.
    fn bounded(self) -> Self {
        let bounded = |text: Option<String>, limit| text.map(|text| legible(&text, limit));
        Raw {
            user_id: self.user_id,
            user_name: bounded(self.user_name, NAME_LIMIT),
            // A name and a domain.
            user_principal_name: bounded(self.user_principal_name, 2 * NAME_LIMIT),
            display_name: bounded(self.display_name, NAME_LIMIT),
            recycle_date: bounded(self.recycle_date, NAME_LIMIT),
            delete_date: bounded(self.delete_date, NAME_LIMIT),
            status: self.status,
        }
    }

    fn name(&self) -> String {
        let given = self.user_name.as_deref().filter(|name| !name.is_empty());
        let of_principal = || {
            legible(
                local_part(self.user_principal_name.as_deref().unwrap_or_default()),
                NAME_LIMIT,
            )
        };
        given.map_or_else(of_principal, str::to_owned)
    }

    fn recycled(self, uid: Uid) -> RecycledUser {
        RecycledUser {
            uid,
            user_principal_name: self.user_principal_name.unwrap_or_default(),
            recycled_at: self.recycle_date.filter(|date| !date.is_empty()),
            deleted_at: self.delete_date.filter(|date| !date.is_empty()),
        }
    }
}

/// What stands before the `@` of a principal name.
fn local_part(principal: &str) -> &str {
    principal.split('@').next().unwrap_or_default()
}

impl Ims {
    /// Looks a user up. None if the service says `EntityNotExist.User`. Source: API page `GetUser`.
    ///
    /// # Errors
    /// Any [`ApiError`]; an answer about another UID than the one asked for is malformed.
    pub async fn get_user(&self, uid: Uid) -> Result<Option<User>, ApiError> {
        let found = self.find("GetUser", uid).await?;
        Ok(found.map(|raw| User {
            uid,
            name: raw.name(),
            user_principal_name: raw.user_principal_name.unwrap_or_default(),
            display_name: raw.display_name.unwrap_or_default(),
        }))
    }

    /// Looks a deleted user up in the recycle bin. None if the service says `EntityNotExist…` (which code exactly is
    /// not documented). Source: the official Python SDK's `GetUserInRecycleBin`.
    ///
    /// # Errors
    /// As [`get_user`](Self::get_user).
    pub async fn get_user_in_recycle_bin(&self, uid: Uid) -> Result<Option<RecycledUser>, ApiError> {
        let found = self.find("GetUserInRecycleBin", uid).await?;
        Ok(found.map(|raw| raw.recycled(uid)))
    }

    /// All users of the account that have this status: without one, the service lists active users only. Needs `ram:ListUsers`.
    /// Source: the official Python SDK's `ListUsers`.
    ///
    /// # Errors
    /// Any [`ApiError`]. A list that cannot be whole is an error of the kind `Malformed`, never a shorter list: an
    /// empty page that is not the last, a user who comes twice or without a UID, a missing or repeated marker, too many pages.
    pub async fn list_users(&self, status: UserStatus) -> Result<Vec<ListedUser>, ApiError> {
        let query = vec![("Status", status.as_str().to_owned())];
        let list = self.list("ListUsers", PAGE, query);
        let users = list.read(UsersPage::users, |(uid, _)| *uid).await?.into_iter();
        Ok(users
            .map(|(uid, raw)| ListedUser {
                uid,
                name: raw.name(),
                status: raw.status.as_deref().and_then(UserStatus::read).unwrap_or(status),
                display_name: raw.display_name.unwrap_or_default(),
            })
            .collect())
    }

    /// All deleted users who can still be restored. Needs `ram:ListUsersInRecycleBin`. Source: the official Python SDK's
    /// `ListUsersInRecycleBin`.
    ///
    /// # Errors
    /// As [`list_users`](Self::list_users).
    pub async fn list_users_in_recycle_bin(&self) -> Result<Vec<RecycledUser>, ApiError> {
        let list = self.list("ListUsersInRecycleBin", RECYCLE_BIN_PAGE, Vec::new());
        let users = list.read(UsersPage::users, |(uid, _)| *uid).await?.into_iter();
        Ok(users.map(|(uid, raw)| raw.recycled(uid)).collect())
    }

    fn list(&self, operation: &'static str, size: usize, query: Vec<(&'static str, String)>) -> Marked<'_> {
        Marked {
            client: &self.client,
            endpoint: &self.endpoint,
            service: Service::Ims,
            operation,
            size,
            query,
        }
    }

    async fn find(&self, operation: &'static str, uid: Uid) -> Result<Option<Raw>, ApiError> {
        let query = vec![("UserId", uid.to_string())];
        let call = Call::rpc(Service::Ims, operation, &self.endpoint, query).on(format!("user {uid}"));
        let answer = match self.client.send(&call).await {
            Err(error) if error.says_no_entity() => return Ok(None),
            answer => answer?,
        };
        let raw = call.json::<Found>(&answer)?.user.bounded();
        if raw.user_id.parse() != Ok(uid) {
            return Err(call.malformed(&answer, "it describes another user than the requested one"));
        }
        Ok(Some(raw))
    }
}

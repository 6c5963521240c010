//! Identity Management Service, 2019-08-15: the only API that finds a RAM user by UID.

use serde::Deserialize;

use super::{
    answer::{NAME_LIMIT, legible},
    call::Call,
    client::Client,
    endpoint::Endpoint,
    error::{ApiError, Service},
};
use crate::uid::Uid;

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

/// A RAM user who was deleted and can still be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecycledUser {
    /// The UID that was asked for.
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
        self.user_principal_name.split('@').next().unwrap_or_default()
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
        }
    }
}

impl Ims {
    /// Looks a user up. None if the service says `EntityNotExist.User`. Source: API page `GetUser`.
    ///
    /// # Errors
    /// Any [`ApiError`]; an answer about another UID than the one asked for is malformed.
    pub async fn get_user(&self, uid: Uid) -> Result<Option<User>, ApiError> {
        let found = self.find("GetUser", uid).await?;
        Ok(found.map(|raw| {
            let principal = raw.user_principal_name.unwrap_or_default();
            let name = raw.user_name.filter(|name| !name.is_empty());
            User {
                uid,
                name: name.unwrap_or_else(|| legible(principal.split('@').next().unwrap_or_default(), NAME_LIMIT)),
                user_principal_name: principal,
                display_name: raw.display_name.unwrap_or_default(),
            }
        }))
    }

    /// Looks a deleted user up in the recycle bin. None if the service says `EntityNotExist…` (which code exactly is
    /// not documented). Source: the official Python SDK's `GetUserInRecycleBin`.
    ///
    /// # Errors
    /// As [`get_user`](Self::get_user).
    pub async fn get_user_in_recycle_bin(&self, uid: Uid) -> Result<Option<RecycledUser>, ApiError> {
        let found = self.find("GetUserInRecycleBin", uid).await?;
        Ok(found.map(|raw| RecycledUser {
            uid,
            user_principal_name: raw.user_principal_name.unwrap_or_default(),
            recycled_at: raw.recycle_date.filter(|date| !date.is_empty()),
            deleted_at: raw.delete_date.filter(|date| !date.is_empty()),
        }))
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

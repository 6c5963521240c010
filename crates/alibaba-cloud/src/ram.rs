//! Resource Access Management, 2015-05-01: roles and users, by name or all of them.

use std::collections::HashSet;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    answer::{NAME_LIMIT, legible, nullable},
    call::Call,
    client::Client,
    endpoint::Endpoint,
    error::{ApiError, Service},
};

/// The most that one page can hold. Source: API pages `ListRoles`, `ListUsers`.
const PAGE: usize = 1000;
/// A million entries; an account may have far fewer.
const MOST_PAGES: usize = 1000;

/// Client of Resource Access Management; see [`Cloud::ram`](crate::Cloud::ram).
#[derive(Clone, Debug)]
pub struct Ram {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
}

/// A RAM role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Role {
    /// The role's ID, by which RBAC bindings name it: digits, but not checked to be a [`Uid`](crate::Uid).
    #[serde(rename = "RoleId")]
    pub id: String,
    /// Its name, unique in the account.
    #[serde(rename = "RoleName")]
    pub name: String,
    /// As in `acs:ram::<account>:role/<name>`.
    #[serde(rename = "Arn", default, deserialize_with = "nullable")]
    pub arn: String,
}

/// A RAM user, as RAM lists it. Whether frozen users are among those is not documented.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RamUser {
    /// The UID, as the service writes it: not checked to be a [`Uid`](crate::Uid).
    #[serde(rename = "UserId")]
    pub id: String,
    /// Its name, unique in the account.
    #[serde(rename = "UserName")]
    pub name: String,
    /// For people; may be empty.
    #[serde(rename = "DisplayName", default, deserialize_with = "nullable")]
    pub display_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page<P> {
    #[serde(default)]
    is_truncated: Option<bool>,
    #[serde(default)]
    marker: Option<String>,
    #[serde(flatten)]
    entries: P,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RolesPage {
    #[serde(default)]
    roles: Option<RoleList>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RoleList {
    #[serde(default, deserialize_with = "nullable")]
    role: Vec<Role>,
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
    user: Vec<RamUser>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneRole {
    role: Role,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OneUser {
    user: RamUser,
}

impl Role {
    /// The same with every text as it can be shown and stored.
    fn bounded(self) -> Self {
        Role {
            id: legible(&self.id, NAME_LIMIT),
            name: legible(&self.name, NAME_LIMIT),
            arn: legible(&self.arn, 2 * NAME_LIMIT),
        }
    }
}

impl RamUser {
    /// The same with every text as it can be shown and stored.
    fn bounded(self) -> Self {
        RamUser {
            id: legible(&self.id, NAME_LIMIT),
            name: legible(&self.name, NAME_LIMIT),
            display_name: legible(&self.display_name, NAME_LIMIT),
        }
    }
}

impl Ram {
    /// All roles of the account.
    ///
    /// # Errors
    /// Any [`ApiError`]. A list that cannot be whole is an error of the kind `Malformed`, never a shorter list: an
    /// empty page that is not the last, a missing or repeated marker, too many pages.
    pub async fn list_roles(&self) -> Result<Vec<Role>, ApiError> {
        self.list("ListRoles", |page: RolesPage| {
            let list = page.roles?.role.into_iter();
            Some(list.map(Role::bounded).collect())
        })
        .await
    }

    /// All users of the account; see [`RamUser`].
    ///
    /// # Errors
    /// As [`list_roles`](Self::list_roles).
    pub async fn list_users(&self) -> Result<Vec<RamUser>, ApiError> {
        self.list("ListUsers", |page: UsersPage| {
            let list = page.users?.user.into_iter();
            Some(list.map(RamUser::bounded).collect())
        })
        .await
    }

    /// The role of this name. None if the service says `EntityNotExist.Role`.
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn get_role(&self, name: &str) -> Result<Option<Role>, ApiError> {
        Ok(self
            .get("GetRole", "RoleName", name)
            .await?
            .map(|found: OneRole| found.role.bounded()))
    }

    /// The user of this name (`UserName`, without `@…`). None if the service says `EntityNotExist.User`.
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn get_user(&self, name: &str) -> Result<Option<RamUser>, ApiError> {
        Ok(self
            .get("GetUser", "UserName", name)
            .await?
            .map(|found: OneUser| found.user.bounded()))
    }

    async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        parameter: &'static str,
        name: &str,
    ) -> Result<Option<T>, ApiError> {
        let query = vec![(parameter, name.to_owned())];
        let call = Call::rpc(Service::Ram, operation, &self.endpoint, query).on(format!("{parameter} {name}"));
        match self.client.send(&call).await {
            Err(error) if error.says_no_entity() => Ok(None),
            answer => call.json(&answer?).map(Some),
        }
    }

    async fn list<P: DeserializeOwned, T>(
        &self,
        operation: &'static str,
        entries: fn(P) -> Option<Vec<T>>,
    ) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        let mut markers = HashSet::new();
        let mut query = vec![("MaxItems", PAGE.to_string())];
        for number in 1..=MOST_PAGES {
            let call = Call::rpc(Service::Ram, operation, &self.endpoint, query).on(format!("page {number}"));
            let answer = self.client.send(&call).await?;
            let page: Page<P> = call.json(&answer)?;
            let marker = page.marker.filter(|marker| !marker.is_empty());
            let Some(found) = entries(page.entries) else {
                return Err(call.malformed(&answer, "it contains no list"));
            };
            // Where it is not said, a marker tells that there is more; an empty page without one, and a full one, tell nothing.
            let ends = marker.is_none() && (1..PAGE).contains(&found.len());
            let truncated = page.is_truncated.unwrap_or(!ends);
            if !truncated {
                all.extend(found);
                return Ok(all);
            }
            if found.is_empty() {
                return Err(call.malformed(&answer, "it is an empty page but not the last one"));
            }
            all.extend(found);
            let Some(marker) = marker else {
                return Err(call.malformed(&answer, "it is not the last page but has no marker for the next one"));
            };
            if !markers.insert(marker.clone()) {
                return Err(call.malformed(&answer, "its marker leads to a page that was already read"));
            }
            query = vec![("MaxItems", PAGE.to_string()), ("Marker", marker)];
        }
        let call = Call::rpc(Service::Ram, operation, &self.endpoint, Vec::new());
        Err(call.error(super::error::ErrorKind::Malformed, "the list does not end"))
    }
}

//! Resource Access Management, 2015-05-01: roles and users, by name or all of them.

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    answer::{NAME_LIMIT, legible, nullable},
    call::Call,
    client::Client,
    endpoint::Endpoint,
    error::{ApiError, Service},
    pages::{Entries, Marked, NO_LIST},
};

/// The most that one page can hold. Source: API pages `ListRoles`, `ListUsers`.
const PAGE: usize = 1000;

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
    /// empty page that is not the last, an entry that comes twice, a missing or repeated marker, too many pages.
    pub async fn list_roles(&self) -> Result<Vec<Role>, ApiError> {
        let roles = |page: RolesPage| -> Entries<Role> {
            let list = page.roles.ok_or(NO_LIST)?.role.into_iter();
            Ok(list.map(Role::bounded).collect())
        };
        self.list("ListRoles").read(roles, |role| role.id.clone()).await
    }

    /// All users of the account; see [`RamUser`].
    ///
    /// # Errors
    /// As [`list_roles`](Self::list_roles).
    pub async fn list_users(&self) -> Result<Vec<RamUser>, ApiError> {
        let users = |page: UsersPage| -> Entries<RamUser> {
            let list = page.users.ok_or(NO_LIST)?.user.into_iter();
            Ok(list.map(RamUser::bounded).collect())
        };
        self.list("ListUsers").read(users, |user| user.id.clone()).await
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

    fn list(&self, operation: &'static str) -> Marked<'_> {
        Marked {
            client: &self.client,
            endpoint: &self.endpoint,
            service: Service::Ram,
            operation,
            size: PAGE,
            query: Vec::new(),
        }
    }
}

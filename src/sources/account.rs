//! The Alibaba Cloud account: whose credentials are used, and who a UID is.

use super::{cached::Cached, identity::Identity, query_error::QueryError};
use crate::api::IdentityType;
use alibaba_cloud::{
    ApiError, Cloud, Uid,
    error::ErrorKind,
    ims::{ListedUser, RecycledUser, UserStatus},
    ram::Role,
    sts::CallerIdentity,
};
use std::sync::Arc;

/// The account, as RAM, IMS and STS tell. Answers about the caller and the list of roles are up to a minute old.
pub struct Account {
    cloud: Cloud,
    id: String,
    caller: Cached<CallerIdentity>,
    roles: Cached<Arc<Vec<Role>>>,
}

/// Everybody whom the account has, by its listings.
#[derive(Debug)]
pub(crate) struct Everybody {
    /// Users who may sign in.
    pub(crate) active: Vec<ListedUser>,
    /// Users who are frozen.
    pub(crate) frozen: Vec<ListedUser>,
    /// Users in the recycle bin.
    pub(crate) recycled: Vec<RecycledUser>,
    /// Roles.
    pub(crate) roles: Vec<Role>,
}

/// Why a listing could not be had.
#[derive(Debug)]
pub(crate) enum ListError {
    /// It is not whole: a page is missing, came twice, or cannot be read.
    Incomplete(String),
    /// The service did not answer.
    Query(QueryError),
}

impl From<ApiError> for ListError {
    fn from(error: ApiError) -> Self {
        match error.kind {
            ErrorKind::Malformed => ListError::Incomplete(error.to_string()),
            _ => ListError::Query(error.into()),
        }
    }
}

impl Account {
    /// The account with this ID: the one that the cluster belongs to.
    pub fn new(cloud: Cloud, id: String) -> Self {
        Account {
            cloud,
            id,
            caller: Cached::default(),
            roles: Cached::default(),
        }
    }

    /// The account of the credentials, and whose they are.
    ///
    /// # Errors
    /// When STS does not answer.
    pub(crate) async fn of_caller(cloud: &Cloud) -> Result<(Self, CallerIdentity), QueryError> {
        let caller = cloud.sts.get_caller_identity().await?;
        Ok((Account::new(cloud.clone(), caller.account_id.clone()), caller))
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose credentials are used; asked at most once a minute.
    ///
    /// # Errors
    /// When STS does not answer.
    pub async fn caller(&self) -> Result<CallerIdentity, QueryError> {
        Ok(self.caller.get(|| self.cloud.sts.get_caller_identity()).await?)
    }

    /// Looks a UID up, as a user and as a role: one that is both is never taken for either.
    ///
    /// # Errors
    /// When a service does not answer: an identity is never taken for deleted because of that.
    pub async fn look_up(&self, uid: Uid) -> Result<Identity, QueryError> {
        let ims = &self.cloud.ims;
        let user = match ims.get_user(uid).await? {
            Some(user) => Some(Identity::User { name: user.name }),
            None => ims.get_user_in_recycle_bin(uid).await?.map(|user| {
                let deleted_at = user.recycled_at.as_deref().and_then(|t| t.parse().ok());
                Identity::Recycled {
                    name: user.name().to_owned(),
                    deleted_at,
                }
            }),
        };
        let role = self.role_name(uid).await?;
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

    /// Lists everybody, now: each listing is whole as far as its pages can tell.
    ///
    /// # Errors
    /// When a service does not answer, or a listing is not whole.
    pub(crate) async fn list_everybody(&self) -> Result<Everybody, ListError> {
        let ims = &self.cloud.ims;
        let (active, frozen, recycled, roles) = tokio::try_join!(
            ims.list_users(UserStatus::Active),
            ims.list_users(UserStatus::Frozen),
            ims.list_users_in_recycle_bin(),
            self.cloud.ram.list_roles(),
        )?;
        Ok(Everybody {
            active,
            frozen,
            recycled,
            roles,
        })
    }

    /// The name of the role with this ID, if there is one; the roles are listed at most once a minute.
    async fn role_name(&self, id: Uid) -> Result<Option<String>, QueryError> {
        let list = || async { self.cloud.ram.list_roles().await.map(Arc::new) };
        let roles = self.roles.get(list).await?;
        let found = roles.iter().find(|role| role.id.parse() == Ok(id));
        Ok(found.map(|role| role.name.clone()))
    }

    /// Asks whose the expected name is, of a UID that is nowhere: if someone has it, the UID is probably mistyped.
    ///
    /// # Errors
    /// When RAM does not answer.
    pub async fn owner_of_name(&self, name: &str, type_: IdentityType) -> Result<Identity, QueryError> {
        let ram = &self.cloud.ram;
        let name_belongs_to = match type_ {
            IdentityType::RamUser => ram.get_user(name).await?.map(|user| user.id),
            IdentityType::RamRole => ram.get_role(name).await?.map(|role| role.id),
        };
        Ok(Identity::Nowhere { name_belongs_to })
    }
}

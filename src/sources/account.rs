//! The Alibaba Cloud account: whose credentials are used, and who a UID is.

use super::{cached::Cached, identity::Identity, query_error::QueryError};
use crate::api::IdentityType;
use alibaba_cloud::{Cloud, Uid, ram::Role, sts::CallerIdentity};
use std::sync::Arc;

/// The account, as RAM, IMS and STS tell. Answers about the caller and the list of roles are up to a minute old.
pub struct Account {
    cloud: Cloud,
    id: String,
    caller: Cached<CallerIdentity>,
    roles: Cached<Arc<Vec<Role>>>,
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

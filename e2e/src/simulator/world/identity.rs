//! Who there is: access keys, RAM users and roles, OIDC providers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::simulator::now;

/// A day, in seconds.
const DAY: i64 = 86_400;

/// Whom an access key stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum Principal {
    /// The root account.
    Account,
    /// A RAM user.
    RamUser {
        /// Its UID.
        user_id: String,
    },
    /// A session of a RAM role.
    AssumedRole {
        /// The role's ID.
        role_id: String,
        /// The session's name.
        session: String,
    },
}

impl Principal {
    /// Its ID: of the root account, the account's.
    pub fn id<'a>(&'a self, account: &'a str) -> &'a str {
        match self {
            Principal::Account => account,
            Principal::RamUser { user_id } => user_id,
            Principal::AssumedRole { role_id, .. } => role_id,
        }
    }
}

/// An access key, long-lived or temporary.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// AccessKeyId.
    pub id: String,
    /// AccessKeySecret.
    pub secret: String,
    /// The security token that must come with it, if it is temporary.
    #[serde(default)]
    pub security_token: Option<String>,
    /// When it stops working, if it is temporary.
    #[serde(default)]
    pub expires_at: Option<i64>,
    /// Whom it stands for.
    pub principal: Principal,
}

impl AccessKey {
    /// A long-lived access key.
    pub fn new(id: &str, secret: &str, principal: Principal) -> Self {
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
            security_token: None,
            expires_at: None,
            principal,
        }
    }
}

impl std::fmt::Debug for AccessKey {
    /// Without the secrets: a World is printed when a test fails.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .field("principal", &self.principal)
            .finish_non_exhaustive()
    }
}

/// A RAM user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// UserId: the UID.
    pub user_id: String,
    /// UserName: the part of the user principal name before `@`.
    pub user_name: String,
    /// DisplayName.
    #[serde(default)]
    pub display_name: String,
    /// CreateDate.
    #[serde(default = "long_ago")]
    pub created_at: i64,
    /// Comments.
    #[serde(default)]
    pub comments: String,
    /// Email. The service has it, and the next one, on the China site only.
    #[serde(default)]
    pub email: String,
    /// MobilePhone.
    #[serde(default)]
    pub mobile_phone: String,
    /// LastLoginDate: to the console; none if never.
    #[serde(default)]
    pub last_login_at: Option<i64>,
    /// ProvisionType.
    #[serde(default)]
    pub provision: Provision,
    /// Tags, values by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Whether the user is frozen: is there, but can do nothing.
    #[serde(default)]
    pub frozen: bool,
}

/// Where a RAM user comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Provision {
    /// Made by hand.
    #[default]
    Manual,
    /// Synchronised from an identity provider.
    #[serde(rename = "SCIM")]
    Scim,
    /// Made for a user of CloudSSO.
    #[serde(rename = "CloudSSO")]
    CloudSso,
}

impl User {
    /// A user that was created four hundred days ago.
    pub fn new(user_id: &str, user_name: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            user_name: user_name.to_owned(),
            display_name: user_name.to_owned(),
            created_at: long_ago(),
            comments: String::new(),
            email: String::new(),
            mobile_phone: String::new(),
            last_login_at: None,
            provision: Provision::default(),
            tags: BTreeMap::new(),
            frozen: false,
        }
    }

    /// UserPrincipalName.
    pub fn principal_name(&self, domain: &str) -> String {
        format!("{}@{domain}", self.user_name)
    }
}

/// A RAM user in the recycle bin. The service shows no UserName there, only the principal name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecycledUser {
    /// UserId: the UID.
    pub user_id: String,
    /// UserPrincipalName.
    pub user_principal_name: String,
    /// DisplayName.
    #[serde(default)]
    pub display_name: String,
    /// CreateDate.
    #[serde(default = "long_ago")]
    pub created_at: i64,
    /// RecycleDate: when it was deleted.
    #[serde(default = "now")]
    pub recycled_at: i64,
    /// DeleteDate: when it goes for good.
    #[serde(default = "in_thirty_days")]
    pub deleted_at: i64,
}

impl RecycledUser {
    /// What is left of `user` when it is deleted now.
    pub fn new(user: &User, user_principal_name: String) -> Self {
        Self {
            user_id: user.user_id.clone(),
            user_principal_name,
            display_name: user.display_name.clone(),
            created_at: user.created_at,
            recycled_at: now(),
            deleted_at: in_thirty_days(),
        }
    }
}

/// A RAM role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// RoleId.
    pub role_id: String,
    /// RoleName.
    pub role_name: String,
    /// Description.
    #[serde(default)]
    pub description: String,
    /// CreateDate.
    #[serde(default = "long_ago")]
    pub created_at: i64,
    /// Who may assume it through an OIDC provider.
    #[serde(default)]
    pub trust: Option<OidcTrust>,
    /// IsServiceLinkedRole.
    #[serde(default)]
    pub is_service_linked: bool,
    /// Tags, values by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Role {
    /// A role that nobody may assume.
    pub fn new(role_id: &str, role_name: &str) -> Self {
        Self {
            role_id: role_id.to_owned(),
            role_name: role_name.to_owned(),
            description: String::new(),
            created_at: long_ago(),
            trust: None,
            is_service_linked: false,
            tags: BTreeMap::new(),
        }
    }

    /// RolePrincipalName: the name as one signs in with it.
    pub fn principal_name(&self, account: &str) -> String {
        format!("{}@role.{account}.onaliyunservice.com", self.role_name)
    }

    /// The role's ARN in `account`.
    pub fn arn(&self, account: &str) -> String {
        // RAM shows role names in lower case in ARNs.
        format!("acs:ram::{account}:role/{}", self.role_name.to_lowercase())
    }
}

/// A role's trust policy for one OIDC subject.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcTrust {
    /// The provider's ARN.
    pub provider_arn: String,
    /// `oidc:sub`, such as `system:serviceaccount:<namespace>:<name>`.
    pub subject: String,
}

/// An OIDC identity provider, such as a cluster's RRSA provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcProvider {
    /// `acs:ram::<account>:oidc-provider/ack-rrsa-<cluster id>`.
    pub arn: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that it accepts.
    #[serde(default = "default_audience")]
    pub audience: String,
    /// Its key set, as served by the API server under `/openid/v1/jwks`.
    #[serde(default)]
    pub jwks: serde_json::Value,
}

fn default_audience() -> String {
    "sts.aliyuncs.com".to_owned()
}

pub(super) fn long_ago() -> i64 {
    now() - 400 * DAY
}

fn in_thirty_days() -> i64 {
    now() + 30 * DAY
}

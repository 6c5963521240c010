//! Container Service (CS), 2015-12-15: the audit log's project, kubeconfig states, and the purge.

use http::Method;
use serde::Deserialize;

use super::{
    answer::{NAME_LIMIT, legible, nullable, request_id},
    call::{Call, Repeat, failure, path},
    client::Client,
    endpoints::Endpoint,
    error::{ApiError, ErrorKind, Service},
    pages::numbered,
};
use crate::uid::Uid;

/// The name of the operation that purges a kubeconfig.
pub const CLEAN_CLUSTER_USER_PERMISSIONS: &str = "CleanClusterUserPermissions";

/// The most that one page can hold. Source: API page `ListUserKubeConfigStates`.
const PAGE: usize = 100;
/// The most characters of a project's name that are kept. SLS allows 63: what is cut is no project's name any more.
const PROJECT_LIMIT: usize = 63;
/// The most that one page of a cluster's kubeconfigs can hold. Source: the official Python SDK's `ListClusterKubeconfigStates`.
const CLUSTER_PAGE: usize = 50;

/// Container Service for Kubernetes.
#[derive(Clone, Debug)]
pub struct Ack {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
}

/// Where a cluster's audit log is. Source: API page `GetClusterAuditProject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditProject {
    /// Whether the API server's audit log is collected.
    pub enabled: bool,
    /// The SLS project, trimmed (the page's own sample ends in a line feed), and bounded: what ACK says may be no project's name,
    /// which [`Sls`](super::sls::Sls) refuses to ask. The logstore is `audit-<cluster ID>`.
    pub project: Option<String>,
}

/// The service has accepted a request that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// `x-acs-request-id` of the answer: what support asks for.
    pub request_id: Option<String>,
}

/// What ACK knows of a user's kubeconfig in one cluster. Source: API page `ListUserKubeConfigStates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigState {
    /// The cluster's ID.
    pub cluster_id: String,
    /// Its name, for people.
    pub cluster_name: String,
    /// The state of the client certificate.
    pub cert_state: CertState,
    /// When the certificate expires, as the service writes it.
    pub cert_expire_time: Option<String>,
}

/// A role that ACK has granted to a user or role. Source: API page `DescribeUserPermission`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Grant {
    /// The cluster's ID, `<cluster>/<namespace>`, or `all-clusters`. Empty if ACK does not say: then it is a grant of no cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub resource_id: String,
    /// `cluster`, `namespace`, or `console` (all clusters).
    #[serde(default, deserialize_with = "nullable")]
    pub resource_type: String,
    /// The predefined role (`admin`, `ops`, `dev`, `restricted`), or `custom`.
    #[serde(default, deserialize_with = "nullable")]
    pub role_type: String,
    /// The name of a custom role, which is a ClusterRole.
    #[serde(default, deserialize_with = "nullable")]
    pub role_name: String,
    /// 1 if it was granted to whoever made the cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub is_owner: u8,
}

impl Grant {
    /// Whether it makes an administrator of a cluster.
    pub fn is_administrator_of(&self, cluster: &str) -> bool {
        let here = self.resource_id == cluster || self.resource_id == "all-clusters";
        here && (self.role_type == "admin" || self.role_name == "cluster-admin" || self.is_owner == 1)
    }

    /// Whether it is that of whoever made the cluster.
    pub fn is_owner_of(&self, cluster: &str) -> bool {
        self.resource_id == cluster && self.is_owner == 1
    }
}

/// The state of a kubeconfig's client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertState {
    /// Past its time, but issued: to be purged all the same.
    Expired,
    /// In force. By the console's help, also when the kubeconfig is gone but bindings are left.
    Unexpired,
    /// Never issued.
    Unissued,
    /// ACK does not know, or says something that we do not know.
    Unknown,
    /// Purged; can be restored from ACK's recycle bin for 30 days.
    Removed,
}

impl CertState {
    fn read(text: &str) -> Self {
        match text {
            "Expired" => CertState::Expired,
            "Unexpired" => CertState::Unexpired,
            "Unissued" => CertState::Unissued,
            "Removed" => CertState::Removed,
            _ => CertState::Unknown,
        }
    }
}

/// What ACK knows of the kubeconfig of one user or role in one cluster, and whether that user or role is still there. Source: the official
/// Python SDK's `ListClusterKubeconfigStates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterKubeconfigState {
    /// The UID of the user, the ID of the role, or the account's ID, as ACK writes it.
    pub account_id: String,
    /// The name with which a user signs in, or the role's name; may be empty.
    pub account_name: String,
    /// What it is the ID of.
    pub account_type: AccountType,
    /// Whether the user or role is still there.
    pub account_state: AccountState,
    /// The state of the client certificate; `Unissued` and `Removed` are not listed.
    pub cert_state: CertState,
    /// When the certificate expires, as the service writes it.
    pub expires_at: Option<String>,
    /// Whether ACK can revoke the certificate; false where it does not say.
    pub revokable: bool,
}

/// Whose kubeconfig it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountType {
    /// The account itself.
    RootAccount,
    /// A RAM user.
    RamUser,
    /// A RAM role.
    RamRole,
    /// Nothing, or something that we do not know.
    Unknown,
}

impl AccountType {
    fn read(text: &str) -> Self {
        match text {
            "RootAccount" => AccountType::RootAccount,
            "RamUser" => AccountType::RamUser,
            "RamRole" => AccountType::RamRole,
            _ => AccountType::Unknown,
        }
    }
}

/// Whether a user or role is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// It is there.
    Active,
    /// It is there, but frozen.
    InActive,
    /// It is gone.
    Deleted,
    /// Nothing, or something that we do not know: nobody may be called deleted by it.
    Unknown,
}

impl AccountState {
    fn read(text: &str) -> Self {
        match text {
            "Active" => AccountState::Active,
            "InActive" => AccountState::InActive,
            "Deleted" => AccountState::Deleted,
            _ => AccountState::Unknown,
        }
    }
}

#[derive(Deserialize)]
struct Audit {
    #[serde(default)]
    audit_enabled: Option<bool>,
    #[serde(default)]
    sls_project_name: Option<String>,
}

#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
struct State {
    cluster_id: String,
    #[serde(default)]
    cluster_name: Option<String>,
    #[serde(default)]
    cert_state: Option<String>,
    #[serde(default)]
    cert_expire_time: Option<String>,
}

#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
struct AccountKubeconfig {
    account_id: String,
    #[serde(default)]
    account_name: Option<String>,
    #[serde(default)]
    account_type: Option<String>,
    #[serde(default)]
    account_state: Option<String>,
    #[serde(default)]
    cert_state: Option<String>,
    #[serde(default)]
    cert_expire_time: Option<String>,
    #[serde(default)]
    revokable: Option<bool>,
}

impl Ack {
    /// The audit project of a cluster. Needs `cs:GetClusterAuditProject`.
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn get_cluster_audit_project(&self, cluster: &str) -> Result<AuditProject, ApiError> {
        let call = self.call(
            "GetClusterAuditProject",
            Method::GET,
            ["clusters", cluster, "audit"],
            format!("cluster {cluster}"),
        )?;
        let answer = self.client.send(&call).await?;
        let audit: Audit = call.json(&answer)?;
        let project = audit
            .sls_project_name
            .map(|name| legible(name.trim(), PROJECT_LIMIT))
            .filter(|name| !name.is_empty());
        // Whoever names a project where the flag is missing has one: whether its log is whole is proved by its records.
        match (audit.audit_enabled, &project) {
            (None, None) => Err(call.malformed(&answer, "it says neither whether the audit log is on nor where it is")),
            (flag, _) => Ok(AuditProject {
                enabled: flag.unwrap_or(true),
                project,
            }),
        }
    }

    /// The states of a user's kubeconfigs, in all clusters. Needs `cs:ListUserKubeConfigStates`.
    ///
    /// # Errors
    /// Any [`ApiError`]. A list that cannot be whole (a page is empty but not the last, an entry comes twice, or the total
    /// changes meanwhile) is an error of the kind `Malformed`, never a shorter list.
    pub async fn list_user_kubeconfig_states(&self, uid: Uid) -> Result<Vec<KubeconfigState>, ApiError> {
        let uid = uid.to_string();
        let states = numbered(&self.client, |number| {
            let segments = ["users", &uid, "kubeconfig", "states"];
            let mut call = self.call("ListUserKubeConfigStates", Method::GET, segments, format!("user {uid}"))?;
            call.query = vec![("page_number", number.to_string()), ("page_size", PAGE.to_string())];
            Ok(call)
        });
        Ok(states.await?.into_iter().map(|state: State| state.into()).collect())
    }

    /// What ACK knows of the kubeconfigs of users and roles in one cluster. Needs `cs:ListClusterKubeconfigStates`, and of RAM
    /// `ram:ListUsers` and `ram:ListRoles`. Source: the official Python SDK's `ListClusterKubeconfigStates`.
    ///
    /// # Errors
    /// As [`list_user_kubeconfig_states`](Self::list_user_kubeconfig_states).
    pub async fn list_cluster_kubeconfig_states(&self, cluster: &str) -> Result<Vec<ClusterKubeconfigState>, ApiError> {
        let states = numbered(&self.client, |number| {
            let segments = ["clusters", cluster, "kubeconfig", "states"];
            let target = format!("cluster {cluster}");
            let mut call = self.call("ListClusterKubeconfigStates", Method::GET, segments, target)?;
            // Cloud services have kubeconfigs too, which are nobody's.
            call.query = vec![
                ("cloudServiceKubeConfig", "false".to_owned()),
                ("pageNumber", number.to_string()),
                ("pageSize", CLUSTER_PAGE.to_string()),
            ];
            Ok(call)
        });
        Ok(states
            .await?
            .into_iter()
            .map(|state: AccountKubeconfig| state.into())
            .collect())
    }

    /// The roles that ACK has granted to a user or role (by its ID), of those clusters in which the caller is an RBAC administrator. Needs
    /// `cs:GetUserPermissions`.
    ///
    /// # Errors
    /// Any [`ApiError`].
    pub async fn describe_user_permission(&self, uid: Uid) -> Result<Vec<Grant>, ApiError> {
        let segments = ["permissions", "users", &uid.to_string()];
        let call = self.call("DescribeUserPermission", Method::GET, segments, format!("user {uid}"))?;
        call.json(&self.client.send(&call).await?)
    }

    /// Has ACK revoke a user's kubeconfig in a cluster, **and delete whatever bindings of the user are left there**,
    /// with no precondition. Needs `cs:CleanClusterUserPermissions`, and that the caller is an administrator in the
    /// cluster's RBAC.
    ///
    /// With `force`, ACK does not check for activity in the last 7 days itself. Source: API page
    /// `CleanClusterUserPermissions`.
    ///
    /// Guarantee: sent at most once, whatever happens, and given up after
    /// [`Timeouts::purge`](super::settings::Timeouts).
    ///
    /// # Errors
    /// Any [`ApiError`]. After `Connection`, `TimedOut`, `Server` or `Malformed` it may or may not have taken effect:
    /// ask for the state.
    pub async fn clean_cluster_user_permissions(
        &self,
        cluster: &str,
        uid: Uid,
        force: bool,
    ) -> Result<Accepted, ApiError> {
        let target = format!("user {uid} in cluster {cluster}");
        let segments = ["cluster", cluster, "user", &uid.to_string(), "permissions"];
        let mut call = self.call(CLEAN_CLUSTER_USER_PERMISSIONS, Method::DELETE, segments, target)?;
        call.query = vec![("Force", force.to_string())];
        call.repeat = Repeat::Never;
        let answer = self.client.send(&call).await?;
        // The API promises no body; a page of some proxy is no promise that anything was done.
        if !answer.body.trim_ascii().is_empty() {
            call.json::<serde_json::Value>(&answer)?;
        }
        Ok(Accepted {
            request_id: request_id(&answer.headers).map(|id| legible(&id, 64)),
        })
    }

    fn call<const N: usize>(
        &self,
        operation: &'static str,
        method: Method,
        segments: [&str; N],
        target: String,
    ) -> Result<Call, ApiError> {
        let Some(path) = path(segments) else {
            return Err(failure(
                Service::Ack,
                operation,
                &target,
                ErrorKind::Rejected,
                "this is not an ID",
            ));
        };
        Ok(Call::at(
            Service::Ack,
            operation,
            method,
            &self.endpoint,
            self.endpoint.host_header(),
            path,
        )
        .on(target))
    }
}

impl From<State> for KubeconfigState {
    fn from(state: State) -> Self {
        let State {
            cluster_id,
            cluster_name,
            cert_state,
            cert_expire_time,
        } = state;
        KubeconfigState {
            cluster_id: legible(&cluster_id, NAME_LIMIT),
            cluster_name: legible(&cluster_name.unwrap_or_default(), NAME_LIMIT),
            cert_state: CertState::read(cert_state.as_deref().unwrap_or_default()),
            cert_expire_time: cert_expire_time
                .filter(|time| !time.is_empty())
                .map(|time| legible(&time, NAME_LIMIT)),
        }
    }
}

impl From<AccountKubeconfig> for ClusterKubeconfigState {
    fn from(state: AccountKubeconfig) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        ClusterKubeconfigState {
            account_id: legible(&state.account_id, NAME_LIMIT),
            account_name: legible(&text(&state.account_name), NAME_LIMIT),
            account_type: AccountType::read(&text(&state.account_type)),
            account_state: AccountState::read(&text(&state.account_state)),
            cert_state: CertState::read(&text(&state.cert_state)),
            expires_at: state
                .cert_expire_time
                .filter(|time| !time.is_empty())
                .map(|time| legible(&time, NAME_LIMIT)),
            revokable: state.revokable.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_administrator_is_one_of_this_cluster_and_no_less() {
        let grant = |resource_id: &str, role_type: &str, role_name: &str, is_owner: u8| {
            serde_json::from_value::<Grant>(json!({
                "resource_id": resource_id, "resource_type": "cluster", "role_type": role_type, "role_name": role_name,
                "is_owner": is_owner, "is_ram_role": 1,
            }))
            .unwrap()
        };
        for (grant, expected) in [
            (grant("c1", "admin", "", 0), true),
            (grant("all-clusters", "admin", "", 0), true),
            (grant("c1", "custom", "cluster-admin", 0), true),
            (grant("c1", "", "", 1), true),
            (grant("c2", "admin", "", 0), false),
            (grant("c1/default", "admin", "", 0), false),
            (grant("c1", "ops", "", 0), false),
            (grant("c1", "custom", "view", 0), false),
        ] {
            assert_eq!(grant.is_administrator_of("c1"), expected, "{grant:?}");
        }
        for (grant, expected) in [
            (grant("c1", "admin", "", 1), true),
            (grant("c1", "admin", "", 0), false),
            (grant("c2", "admin", "", 1), false),
            (grant("all-clusters", "admin", "", 1), false),
        ] {
            assert_eq!(grant.is_owner_of("c1"), expected, "{grant:?}");
        }
        let least: Grant = serde_json::from_value(json!({"resource_id": "c1"})).unwrap();
        assert!(!least.is_administrator_of("c1"));
    }
}

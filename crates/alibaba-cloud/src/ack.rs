//! Container Service (CS), 2015-12-15: the audit log's project, kubeconfig states, and the purge.

use http::Method;
use serde::Deserialize;

use super::{
    answer::{NAME_LIMIT, legible, nullable, request_id},
    call::{Call, Repeat, failure, path},
    client::Client,
    endpoints::Endpoint,
    error::{ApiError, ErrorKind, Service},
};
use crate::uid::Uid;

/// The name of the operation that purges a kubeconfig.
pub const CLEAN_CLUSTER_USER_PERMISSIONS: &str = "CleanClusterUserPermissions";

/// The most that one page can hold. Source: API page `ListUserKubeConfigStates`.
const PAGE: usize = 100;
/// The most characters of a project's name that are kept. SLS allows 63: what is cut is no project's name any more.
const PROJECT_LIMIT: usize = 63;
/// A hundred thousand clusters.
const MOST_PAGES: usize = 1000;

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

#[derive(Deserialize)]
struct Audit {
    #[serde(default)]
    audit_enabled: Option<bool>,
    #[serde(default)]
    sls_project_name: Option<String>,
}

#[derive(Deserialize)]
struct States {
    #[serde(default)]
    page: Option<PageInfo>,
    #[serde(default)]
    states: Option<Vec<State>>,
}

#[derive(Deserialize)]
struct PageInfo {
    #[serde(default)]
    total_count: Option<usize>,
}

#[derive(Deserialize, PartialEq)]
struct State {
    cluster_id: String,
    #[serde(default)]
    cluster_name: Option<String>,
    #[serde(default)]
    cert_state: Option<String>,
    #[serde(default)]
    cert_expire_time: Option<String>,
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
    /// Any [`ApiError`]. A list that cannot be whole (a page is empty or repeats the one before, or the total changes
    /// meanwhile) is an error of the kind `Malformed`, never a shorter list.
    pub async fn list_user_kubeconfig_states(&self, uid: Uid) -> Result<Vec<KubeconfigState>, ApiError> {
        let (operation, target) = ("ListUserKubeConfigStates", format!("user {uid}"));
        let segments = ["users", &uid.to_string(), "kubeconfig", "states"];
        let mut all: Vec<State> = Vec::new();
        let mut before: Option<(Option<usize>, usize)> = None;
        for number in 1..=MOST_PAGES {
            let mut call = self.call(operation, Method::GET, segments, target.clone())?;
            call.query = vec![("page_number", number.to_string()), ("page_size", PAGE.to_string())];
            let answer = self.client.send(&call).await?;
            let States { page, states } = call.json(&answer)?;
            if page.is_none() && states.is_none() {
                return Err(call.malformed(&answer, "it contains no list"));
            }
            let total = page.and_then(|page| page.total_count);
            let states = states.unwrap_or_default();
            if let Some((last_total, start)) = before {
                if last_total != total {
                    return Err(call.malformed(&answer, "the list changed while it was read"));
                }
                if all.get(start..).is_some_and(|last| last == states.as_slice()) {
                    return Err(call.malformed(&answer, "the same page came twice"));
                }
            }
            before = Some((total, all.len()));
            let empty = states.is_empty();
            all.extend(states);
            // Without a total, only an empty page is the end.
            if total.map_or(empty, |total| all.len() >= total) {
                return Ok(all.into_iter().map(KubeconfigState::from).collect());
            }
            if empty {
                return Err(call.malformed(&answer, "it is an empty page but not the last one"));
            }
        }
        Err(failure(
            Service::Ack,
            operation,
            &target,
            ErrorKind::Malformed,
            "the list does not end",
        ))
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

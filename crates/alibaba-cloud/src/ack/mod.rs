//! Container Service (CS), 2015-12-15: clusters, kubeconfigs and their states, the audit log's project, grants, and the purge.

mod audit_project;
mod cluster_kubeconfig_states;
mod clusters;
mod grants;
mod kubeconfig_states;
mod user_kubeconfig;

pub use audit_project::AuditProject;
pub use cluster_kubeconfig_states::{AccountState, AccountType, ClusterKubeconfigState};
pub use clusters::ListedCluster;
pub use grants::Grant;
pub use kubeconfig_states::{CertState, KubeconfigState};
pub use user_kubeconfig::{SHORTEST_MINUTES, UserKubeconfig};

use http::Method;

use super::{
    answer::{legible, request_id},
    call::{Call, Repeat, failure, path},
    client::Client,
    endpoint::Endpoint,
    error::{ApiError, ErrorKind, Service},
};
use crate::uid::Uid;

/// The operation of [`Ack::clean_cluster_user_permissions`], as errors and observers see it.
pub const CLEAN_CLUSTER_USER_PERMISSIONS: &str = "CleanClusterUserPermissions";

/// Client of Container Service; see [`Cloud::ack`](crate::Cloud::ack). All but the purge only read, and asking for a kubeconfig, which issues one.
#[derive(Clone, Debug)]
pub struct Ack {
    pub(super) client: Client,
    pub(super) endpoint: Endpoint,
}

/// The service has accepted a request that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// `x-acs-request-id` of the answer: what support asks for.
    pub request_id: Option<String>,
}

impl Ack {
    /// Has ACK revoke a user's kubeconfig in a cluster, **and delete whatever bindings of the user are left there**,
    /// with no precondition. Needs `cs:CleanClusterUserPermissions`, and that the caller is an administrator in the
    /// cluster's RBAC.
    ///
    /// With `force`, ACK does not check for activity in the last 7 days itself. Source: API page
    /// `CleanClusterUserPermissions`.
    ///
    /// Guarantee: sent at most once, whatever happens, and given up after
    /// [`Timeouts::purge`](crate::Timeouts).
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

//! Where a cluster's audit log is.

use http::Method;
use serde::Deserialize;

use super::Ack;
use crate::{answer::legible, error::ApiError};

/// The most characters of a project's name that are kept. SLS allows 63: what is cut is no project's name any more.
const PROJECT_LIMIT: usize = 63;

/// Where a cluster's audit log is. Source: API page `GetClusterAuditProject`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditProject {
    /// Whether the API server's audit log is collected.
    pub enabled: bool,
    /// The SLS project, trimmed (the page's own sample ends in a line feed), and bounded: what ACK says may be no project's name,
    /// which [`Sls`](crate::sls::Sls) refuses to ask. The logstore is `audit-<cluster ID>`.
    pub project: Option<String>,
}

#[derive(Deserialize)]
struct Audit {
    #[serde(default)]
    audit_enabled: Option<bool>,
    #[serde(default)]
    sls_project_name: Option<String>,
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
}

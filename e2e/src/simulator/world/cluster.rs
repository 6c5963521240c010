//! ACK clusters, the client certificates they issued, and how a purge goes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An ACK cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The cluster's ID.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its region.
    #[serde(default = "region")]
    pub region: String,
    /// Its state, such as `running`.
    #[serde(default = "running")]
    pub state: String,
    /// Whether its audit log goes to SLS.
    #[serde(default = "yes")]
    pub audit_enabled: bool,
    /// The SLS project of its audit log; `k8s-log-<cluster id>` when absent.
    #[serde(default)]
    pub sls_project: Option<String>,
    /// The RAM users and roles that are RBAC administrators, by ID; if nobody is named, everybody is.
    #[serde(default)]
    pub administrators: Vec<String>,
    /// The client certificates by UID.
    #[serde(default)]
    pub certificates: BTreeMap<String, Certificate>,
    /// Purged kubeconfigs.
    #[serde(default)]
    pub recycle_bin: Vec<RecycledKubeconfig>,
    /// ListUserKubeConfigStates leaves the cluster out where it would say `Unissued`, which is not documented.
    #[serde(default)]
    pub hides_unissued: bool,
}

impl Cluster {
    /// A running cluster with auditing.
    pub fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: format!("cluster {id}"),
            region: region(),
            state: running(),
            audit_enabled: true,
            sls_project: None,
            administrators: Vec::new(),
            certificates: BTreeMap::new(),
            recycle_bin: Vec::new(),
            hides_unissued: false,
        }
    }

    /// In a region, under a name, in a state.
    pub fn placed(mut self, region: &str, name: &str, state: &str) -> Self {
        [self.region, self.name, self.state] = [region, name, state].map(str::to_owned);
        self
    }

    /// Gives `uid` a kubeconfig in the given state.
    pub fn issue(&mut self, uid: &str, state: CertificateState) -> &mut Self {
        self.certificates.insert(
            uid.to_owned(),
            Certificate {
                state,
                ..Certificate::default()
            },
        );
        self
    }

    /// Whether a RAM user or role is an RBAC administrator.
    pub fn is_administrator(&self, id: &str) -> bool {
        self.administrators.is_empty() || self.administrators.iter().any(|administrator| administrator == id)
    }

    /// The SLS project of its audit log.
    pub fn project(&self) -> String {
        self.sls_project
            .clone()
            .unwrap_or_else(|| format!("k8s-log-{}", self.id))
    }

    /// The logstore of its audit log.
    pub fn logstore(&self) -> String {
        format!("audit-{}", self.id)
    }
}

fn region() -> String {
    "cn-hangzhou".to_owned()
}

fn running() -> String {
    "running".to_owned()
}

pub(super) fn yes() -> bool {
    true
}

/// What ACK says of a UID's client certificate in a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Certificate {
    /// `cert_state`.
    pub state: CertificateState,
    /// `cert_expire_time`.
    pub expires_at: i64,
    /// It was purged, but the state still has to be asked for so many times before it says `Removed`.
    pub removed_after_polls: Option<u32>,
    /// What ListClusterKubeconfigStates says of the user or role, where that is not what RAM says.
    pub account_state: Option<AccountState>,
}

/// `account_state` of ListClusterKubeconfigStates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum AccountState {
    Active,
    /// Frozen.
    InActive,
    Deleted,
}

impl Default for Certificate {
    fn default() -> Self {
        let expires_at = super::identity::long_ago() + 3 * 365 * 86_400;
        Self {
            state: CertificateState::Unexpired,
            expires_at,
            removed_after_polls: None,
            account_state: None,
        }
    }
}

/// `cert_state` of ListUserKubeConfigStates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum CertificateState {
    Unexpired,
    Expired,
    Unissued,
    Unknown,
    Removed,
}

/// A kubeconfig that was purged and can be restored for thirty days.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecycledKubeconfig {
    /// Whose it was.
    pub uid: String,
    /// When it was purged.
    pub purged_at: i64,
}

//! What the simulated cloud knows: plain data, read from a seed file and changed by tests.

mod cluster;
mod grant;
mod identity;
mod logstore;
mod policy;
mod purge;
pub(crate) mod record;
mod records;

pub use cluster::{AccountState, Certificate, CertificateState, Cluster, RecycledKubeconfig};
pub use grant::{Grant, GrantedRole, Scope};
pub use identity::{AccessKey, OidcProvider, OidcTrust, Principal, Provision, RecycledUser, Role, User};
pub use logstore::{GzipForm, Heartbeats, Incomplete, Index, Logstore, RowForm};
pub use purge::{Guard, Match, PurgeBehaviour, Suffix};
pub use record::Record;
pub use records::Records;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// One Alibaba Cloud account and everything in it. Times are unix seconds throughout.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// The account's ID, which is also the root account's UID.
    pub account_id: String,
    /// The account's default domain: the part of a user principal name after `@`.
    pub domain: String,
    /// Who may sign requests, and with what. Temporary credentials are added here as they are issued.
    pub access_keys: Vec<AccessKey>,
    /// RAM users.
    pub users: Vec<User>,
    /// RAM roles.
    pub roles: Vec<Role>,
    /// Deleted RAM users that can still be restored.
    pub recycle_bin: Vec<RecycledUser>,
    /// OIDC identity providers, for AssumeRoleWithOIDC.
    pub oidc_providers: Vec<OidcProvider>,
    /// How long credentials from AssumeRoleWithOIDC live, whatever the client asks for.
    pub session_seconds: Option<i64>,
    /// ACK clusters.
    pub clusters: Vec<Cluster>,
    /// The most clusters that DescribeClustersV1 puts on a page, whatever the client asks for.
    pub clusters_per_page: Option<usize>,
    /// For how many seconds a kubeconfig from DescribeClusterUserKubeconfig is said to hold, whatever the client asks for.
    pub kubeconfig_seconds: Option<i64>,
    /// Roles that ACK has granted. Whoever has none of these has the role of an administrator in each cluster of which
    /// [`Cluster::is_administrator`] says so.
    pub grants: Vec<Grant>,
    /// SLS projects: logstores by project, then by name.
    pub projects: BTreeMap<String, BTreeMap<String, Logstore>>,
    /// What SLS sends to clients that accept gzip.
    pub gzip: GzipForm,
    /// How ACK's purge behaves.
    pub purge: PurgeBehaviour,
    /// How many seconds the services' clocks are ahead of this machine's, when they check the time of a request.
    pub clock_ahead_seconds: i64,
    /// The width of GetHistograms' intervals; chosen by the simulator when absent.
    pub histogram_seconds: Option<i64>,
    /// GetHistograms' intervals reach beyond what was asked for: whole ones of `histogram_seconds`, with all that is in them.
    pub histogram_reaches_beyond: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            account_id: "1000000000000001".to_owned(),
            domain: "example.onaliyun.com".to_owned(),
            access_keys: Vec::new(),
            users: Vec::new(),
            roles: Vec::new(),
            recycle_bin: Vec::new(),
            oidc_providers: Vec::new(),
            session_seconds: None,
            clusters: Vec::new(),
            clusters_per_page: None,
            kubeconfig_seconds: None,
            grants: Vec::new(),
            projects: BTreeMap::new(),
            gzip: GzipForm::default(),
            purge: PurgeBehaviour::default(),
            clock_ahead_seconds: 0,
            histogram_seconds: None,
            histogram_reaches_beyond: false,
        }
    }
}

impl World {
    /// Reads a seed: YAML, or JSON, which is YAML too.
    pub fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the seed {}", path.display()))?;
        Self::from_yaml(&text).with_context(|| format!("in the seed {}", path.display()))
    }

    /// Reads a seed from YAML or JSON text, and gives every cluster with auditing its logstore.
    pub fn from_yaml(text: &str) -> anyhow::Result<Self> {
        let mut world: Self = serde_saphyr::from_str(text)?;
        for id in world.clusters.iter().map(|c| c.id.clone()).collect::<Vec<_>>() {
            world.ensure_logstore(&id);
        }
        Ok(world)
    }

    /// Adds a cluster together with its audit logstore.
    pub fn add_cluster(&mut self, cluster: Cluster) -> &mut Cluster {
        let id = cluster.id.clone();
        self.clusters.retain(|c| c.id != id);
        self.clusters.push(cluster);
        self.ensure_logstore(&id);
        let last = self.clusters.len() - 1;
        &mut self.clusters[last]
    }

    fn ensure_logstore(&mut self, id: &str) {
        if let Some(cluster) = self.clusters.iter().find(|c| c.id == id).filter(|c| c.audit_enabled) {
            let logstores = self.projects.entry(cluster.project()).or_default();
            logstores.entry(cluster.logstore()).or_default();
        }
    }

    /// Whether a RAM user or role is an RBAC administrator of a cluster, by a grant or by the cluster's own list.
    pub fn is_administrator(&self, cluster: &Cluster, id: &str) -> bool {
        let mut own = self.grants.iter().filter(|grant| grant.uid == id).peekable();
        match own.peek() {
            Some(_) => own.any(|grant| grant.makes_administrator_of(&cluster.id)),
            None => cluster.is_administrator(id),
        }
    }

    /// The cluster of that ID.
    pub fn cluster(&self, id: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|c| c.id == id)
    }

    /// The cluster of that ID, to change it.
    pub fn cluster_mut(&mut self, id: &str) -> Option<&mut Cluster> {
        self.clusters.iter_mut().find(|c| c.id == id)
    }

    /// The audit logstore of a cluster.
    pub fn audit_logstore(&self, cluster: &str) -> Option<&Logstore> {
        let cluster = self.cluster(cluster)?;
        self.projects.get(&cluster.project())?.get(&cluster.logstore())
    }

    /// The audit logstore of a cluster, to change it.
    pub fn audit_logstore_mut(&mut self, cluster: &str) -> Option<&mut Logstore> {
        let cluster = self.cluster(cluster)?;
        let (project, logstore) = (cluster.project(), cluster.logstore());
        self.projects.get_mut(&project)?.get_mut(&logstore)
    }

    /// Moves a RAM user to the recycle bin, as deleting it in the console does. False if there is no such user.
    pub fn delete_user(&mut self, user_id: &str) -> bool {
        let Some(at) = self.users.iter().position(|u| u.user_id == user_id) else {
            return false;
        };
        let user = self.users.remove(at);
        let principal_name = user.principal_name(&self.domain);
        self.recycle_bin.push(RecycledUser::new(&user, principal_name));
        true
    }
}

//! Whom to watch, and what was asked of the cloud.

use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeSet;

/// Whom to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The operator's user name.
    pub operator: String,
    /// The operator's namespace, where the backups are.
    pub namespace: String,
    /// The name of the operator's two barrier bindings.
    pub barrier: String,
    /// UIDs that are never touched: the account's, the operator's own, those that it was told to protect.
    pub protected: BTreeSet<String>,
}

impl Watched {
    pub(super) fn is_barrier(&self, namespace: &str, name: &str) -> bool {
        name == self.barrier && (namespace.is_empty() || namespace == self.namespace)
    }
}

/// What the operator asked of the cloud.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it arrived.
    pub at: Timestamp,
    /// What it was.
    pub what: Question,
    /// The UID in it, or the query.
    pub about: String,
    /// Whether it was answered with success.
    pub succeeded: bool,
}

/// A question to the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A search of the cluster's audit log.
    Search,
    /// The states of kubeconfigs.
    KubeconfigState,
    /// CleanClusterUserPermissions.
    Purge,
    /// Anything else.
    Other,
}

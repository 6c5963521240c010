//! Roles that ACK has granted, in its own RBAC beside the bindings of a cluster.

use serde::{Deserialize, Serialize};

/// A role that ACK has granted to a RAM user or role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Whose it is.
    pub uid: String,
    /// Where it holds.
    pub scope: Scope,
    /// What it allows.
    pub role: GrantedRole,
    /// `is_owner`: whether it is that of whoever made the cluster, which makes an administrator of them.
    #[serde(default)]
    pub is_owner: bool,
}

impl Grant {
    /// A grant of which the owner of the cluster is not the reason.
    pub fn new(uid: &str, scope: Scope, role: GrantedRole) -> Self {
        Self {
            uid: uid.to_owned(),
            scope,
            role,
            is_owner: false,
        }
    }

    /// Whether it makes an RBAC administrator of a cluster.
    pub fn makes_administrator_of(&self, cluster: &str) -> bool {
        let here = match &self.scope {
            Scope::Cluster(id) => id == cluster,
            Scope::AllClusters => true,
            Scope::Namespace { .. } => false,
        };
        here && (self.is_owner || self.role == GrantedRole::Admin)
    }
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// In a whole cluster, by its ID: `resource_type` cluster.
    Cluster(String),
    /// In a namespace: `resource_type` namespace.
    Namespace {
        /// The cluster's ID.
        cluster: String,
        /// The namespace.
        namespace: String,
    },
    /// In every cluster of the account, later ones included: `resource_type` console.
    AllClusters,
}

impl Scope {
    /// The cluster that it is about, if it is about one.
    pub fn cluster(&self) -> Option<&str> {
        match self {
            Self::Cluster(cluster) | Self::Namespace { cluster, .. } => Some(cluster),
            Self::AllClusters => None,
        }
    }
}

/// `role_type`, and `role_name` where it is custom. ACK grants Admin, AdminView and Ops in no namespace, and AdminView not
/// in all clusters; the simulator answers what it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum GrantedRole {
    Admin,
    AdminView,
    Ops,
    Dev,
    Restricted,
    /// The name of a ClusterRole.
    Custom(String),
}

impl GrantedRole {
    /// `role_type`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::AdminView => "admin-view",
            Self::Ops => "ops",
            Self::Dev => "dev",
            Self::Restricted => "restricted",
            Self::Custom(_) => "custom",
        }
    }

    /// `role_name`: of a custom role only.
    pub fn name(&self) -> &str {
        match self {
            Self::Custom(name) => name,
            _ => "",
        }
    }
}

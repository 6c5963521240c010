//! The `status` of a `PermissionScan`.

use crate::api::{CertState, OperatorStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the last complete scan found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PermissionScanStatus {
    /// The generation of the spec that this status describes; -1 before the first scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The operator that scans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorStatus>,
    /// When the last complete scan was. Counts and findings are of that time, also when a later scan was not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_scan_time: Option<Time>,
    /// When the operator last tried to scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt_time: Option<Time>,
    /// When the next scan is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_scan_time: Option<Time>,
    /// The value of the annotation ack-offboarding.io/scan-requested that was last dealt with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_request: Option<String>,
    /// How many identities there are in each state. Exact, however many findings are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<ScanCounts>,
    /// What the audit log says of when identities were last seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<LastSeenStatus>,
    /// The findings, worst first: at most 500.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 500), extend("x-kubernetes-list-type" = "atomic"))]
    pub findings: Vec<Finding>,
    /// Whether there are more findings than are shown.
    pub truncated: bool,
    /// The UIDs for which an offboarding was proposed, each with a digest of its bindings at that time. A proposal
    /// that was deleted is not repeated until they change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1000, "x-kubernetes-map-type" = "atomic"))]
    pub proposed: BTreeMap<String, String>,
    /// The conditions; one entry for each type.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How many identities have access, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScanCounts {
    /// Identities with access: a binding names them, or ACK says that they have a kubeconfig.
    pub identities: u32,
    /// Of these, RAM knows so many, and they may sign in.
    pub active: u32,
    /// Users that are frozen: they cannot sign in, but their kubeconfig works.
    pub frozen: u32,
    /// Users in RAM's recycle bin.
    pub recycle_bin: u32,
    /// Identities that are deleted.
    pub deleted: u32,
    /// The Alibaba Cloud account itself.
    pub root: u32,
    /// Identities of which it is unknown whether they exist.
    pub unknown: u32,
    /// Identities without a request for dormantDays; absent if the audit log cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dormant: Option<u32>,
    /// Findings, shown or not.
    pub findings: u32,
    /// Findings that are cluster-admin.
    pub cluster_admins: u32,
    /// Identities that are deleted, in the recycle bin or frozen, and that no UserOffboarding deals with; a dry run does not.
    pub without_offboarding: u32,
}

/// What the audit log says of when identities were last seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastSeenStatus {
    /// From when on the audit log was searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Why nothing is known, or why whoever was not seen may have made requests all the same; nobody is called dormant then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_available: Option<String>,
}

/// One identity that has access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The RAM user's UID, the RAM role's ID, or the account's ID.
    pub uid: String,
    /// What kind of identity it is, or was.
    #[serde(rename = "type")]
    pub type_: AccountType,
    /// Its name, as far as RAM or ACK knows it; at most 63 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it still exists.
    pub state: FindingState,
    /// Whether it made no request for dormantDays.
    pub dormant: Dormancy,
    /// What its bindings amount to.
    pub access: Access,
    /// The first bindings that name it, the most powerful first: at most 3, with names cut to 63 characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "atomic"))]
    pub bindings: Vec<FindingBinding>,
    /// How many bindings name it.
    pub bindings_total: u32,
    /// The state of its kubeconfig as reported by ACK; absent if ACK did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<CertState>,
    /// Its latest request in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// The UserOffboarding that deals with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offboarding: Option<String>,
    /// What else should be known: that two sources disagree, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One binding of a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindingBinding {
    /// RoleBinding or ClusterRoleBinding.
    pub kind: String,
    /// The namespace of a RoleBinding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The binding's name.
    pub name: String,
    /// The role it grants, as "ClusterRole/NAME" or "Role/NAME".
    pub role_ref: String,
}

/// What kind of identity has access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccountType {
    /// A RAM user.
    RamUser,
    /// A RAM role: everybody who assumes it, CloudSSO users included.
    RamRole,
    /// The Alibaba Cloud account itself.
    Root,
    /// Nobody knows any more.
    Unknown,
}

/// Whether an identity with access still exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FindingState {
    /// It is neither a user nor a role of the account, nor in the recycle bin.
    Deleted,
    /// It is in RAM's recycle bin.
    RecycleBin,
    /// It cannot sign in to Alibaba Cloud; its kubeconfig works.
    Frozen,
    /// Whether it exists is unknown.
    Unknown,
    /// It exists.
    Active,
    /// It is the account itself.
    Root,
}

impl FindingState {
    /// Every state, the worst first.
    pub const ALL: [FindingState; 6] = [
        FindingState::Deleted,
        FindingState::RecycleBin,
        FindingState::Frozen,
        FindingState::Unknown,
        FindingState::Active,
        FindingState::Root,
    ];

    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            FindingState::Deleted => "Deleted",
            FindingState::RecycleBin => "RecycleBin",
            FindingState::Frozen => "Frozen",
            FindingState::Unknown => "Unknown",
            FindingState::Active => "Active",
            FindingState::Root => "Root",
        }
    }
}

/// Whether an identity made no request for dormantDays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Dormancy {
    /// It made none.
    Dormant,
    /// It made one.
    InUse,
    /// The audit log cannot tell.
    Unknown,
}

/// What bindings amount to, the most powerful first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// A ClusterRoleBinding to cluster-admin: everything.
    ClusterAdmin,
    /// A ClusterRoleBinding: something in every namespace.
    ClusterWide,
    /// RoleBindings only.
    Namespaced,
    /// No binding; a kubeconfig only.
    None,
}

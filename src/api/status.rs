//! The `status` of a `UserOffboarding`.
//!
//! No status field changes merely because time passes: a status is written only when what was seen or done has changed.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was seen and done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserOffboardingStatus {
    /// The generation of the spec that this status describes; -1 before the first reconcile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Which operator wrote this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorStatus>,
    /// Who the UID is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityStatus>,
    /// What the audit log says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity: Option<ActivityStatus>,
    /// What still uses the identity, as the audit log tells; it decides nothing. Source addresses and whole user agents are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageStatus>,
    /// Whether the plan takes away the last ClusterRoleBinding to cluster-admin that names a RAM identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_cluster_admin: Option<bool>,
    /// True if ACK says that the identity created this cluster; absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_creator: Option<bool>,
    /// What is to be removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// What the current run may do, and why. The operator writes it before the first change; nobody else can write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clearance: Option<ClearanceStatus>,
    /// Who created this UserOffboarding, as the audit log tells; absent while it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<AuthorStatus>,
    /// The approval of this object on which the current run, or the last one, rests; absent if its approval is Automatic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<ApproverStatus>,
    /// Subjects that begin with the UID and a dash, do not end in digits alone, and are not in spec.names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub undecided_names: Vec<String>,
    /// Where the removed bindings are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// What was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<RemovedStatus>,
    /// The kubeconfig that ACK issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<KubeconfigStatus>,
    /// Since when the offboarding has been waiting for the identity to become inactive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Time>,
    /// Since when it is neither at its end nor waiting because the spec says so: for longer than a day, somebody should look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished_since: Option<Time>,
    /// When the current run, or the last one, made its first change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When ACK was last asked to purge the kubeconfig; written before the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purge_requested_at: Option<Time>,
    /// When the offboarding was last verified as complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// The conditions; one entry for each type.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Which operator wrote a status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorStatus {
    /// Its namespace, where the backups are.
    pub namespace: String,
    /// Its version.
    pub version: String,
}

/// Who the UID is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityStatus {
    /// What kind of identity it is, if that is still known.
    #[serde(rename = "type")]
    pub type_: ResolvedIdentityType,
    /// Its name: the RAM user name or the RAM role name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether RAM still knows it.
    pub state: IdentityState,
    /// When it was moved to RAM's recycle bin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Time>,
    /// What it was when RAM last knew it, if it is no longer known to RAM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_known: Option<LastKnownIdentity>,
    /// When the operator found that it exists again after it had been deleted. Earlier approvals are void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<Time>,
}

/// What an identity was when RAM last knew it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastKnownIdentity {
    /// What kind of identity.
    #[serde(rename = "type")]
    pub type_: ResolvedIdentityType,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What the current run may do, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClearanceStatus {
    /// The ID of the run, as in its backups.
    #[serde(rename = "runID")]
    pub run_id: String,
    /// Why the run may change something.
    pub decision: Decision,
    /// How many items passed the checks: bindings, and the kubeconfig.
    pub item_count: u32,
    /// The sha256 of the list of these items.
    pub items_digest: String,
    /// The ConfigMap with the list, in the operator's namespace. It counts only if its sha256 is itemsDigest.
    pub list: String,
}

/// Who made a request, as the API server's audit log tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorStatus {
    /// The Kubernetes user for whom the request was made.
    pub user: String,
    /// The user that was authenticated, if it is another one: it impersonated the user, or is the ACK console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// When.
    pub time: Time,
}

/// An approval, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApproverStatus {
    /// The digest of the plan that was approved.
    pub digest: String,
    /// When a run began by it.
    pub since: Time,
    /// The Kubernetes user for whom it was added to spec.approvals, or brought into effect with it, as the audit log tells; absent
    /// while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user that was authenticated, if it is another one: it impersonated the user, or is the ACK console.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

/// Why a run may change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decision {
    /// No approval is needed, and the identity is inactive.
    Automatic,
    /// A person approved the plan.
    PlanApproved,
    /// The identity is active, but the spec says to proceed.
    OverrideActive,
    /// Activity is unknown, but the spec says to proceed.
    OverrideUnknown,
    /// The longest wait that the spec allows is over.
    WaitExpired,
}

/// What kind of identity a UID turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ResolvedIdentityType {
    /// A RAM user.
    RamUser,
    /// A RAM role.
    RamRole,
    /// The Alibaba Cloud account itself.
    RootAccount,
    /// It is no longer known.
    Unknown,
}

/// Whether RAM still knows an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdentityState {
    /// RAM knows it.
    Exists,
    /// It is in RAM's recycle bin, from where it can be restored.
    InRecycleBin,
    /// RAM does not know it.
    NotFound,
}

/// What the audit log says of the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivityStatus {
    /// Inactive, Active, or Unknown when the log cannot prove either.
    pub state: ActivityState,
    /// The length of the window in days.
    pub window_days: u16,
    /// When the audit log was last searched.
    pub checked_at: Time,
    /// The latest request found in the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// That request's audit ID.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "lastAuditID")]
    pub last_audit_id: Option<String>,
    /// That request's verb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// The kind of client that made it. Its address and whole user agent are in the audit log only, under that audit ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The SLS project that was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The logstore that was searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logstore: Option<String>,
}

/// What still uses the identity: the requests in the window that were authenticated as it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageStatus {
    /// Why there is no list, if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_available: Option<String>,
    /// How many requests; if truncated, at least so many.
    pub total: u32,
    /// From how many source addresses; if truncated, at least so many.
    pub sources: u32,
    /// When the latest was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// Whether rows are missing; the counts may be too low then.
    pub truncated: bool,
    /// The latest 20 by user, kind of client and verb.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub rows: Vec<UsageRow>,
}

/// Requests of one user name, with one kind of client and one verb.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageRow {
    /// The user name: the UID, or that of a certificate.
    pub user: String,
    /// The kind of client, such as kubectl: the first word of its user agent.
    pub client: String,
    /// The verb.
    pub verb: String,
    /// How many requests.
    pub count: u32,
    /// From how many source addresses.
    pub sources: u32,
    /// When the latest was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
}

/// Whether an identity is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ActivityState {
    /// The log covers the window and contains no request of the identity.
    Inactive,
    /// The log contains a request of the identity.
    Active,
    /// The log cannot prove either.
    Unknown,
}

/// What is to be removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// The plan's digest: what a person approves.
    pub digest: String,
    /// The first 100 bindings of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub bindings: Vec<PlannedBinding>,
    /// How many bindings the plan contains.
    pub total: u32,
}

/// One binding of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedBinding {
    /// RoleBinding or ClusterRoleBinding.
    pub kind: String,
    /// The namespace of a RoleBinding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The binding's name.
    pub name: String,
    /// The role it grants, as "ClusterRole/NAME" or "Role/NAME".
    pub role_ref: String,
    /// What the operator does with it.
    pub action: BindingAction,
    /// The owner that may restore it (Git, Helm, Terraform, a backup tool), according to its labels, annotations or owner references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
}

/// What the operator does with a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum BindingAction {
    /// Every subject is the leaver: the binding is deleted.
    Delete,
    /// Others are bound too: only the leaver's subjects are removed.
    RemoveSubject,
}

/// Where the removed bindings are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// The newest 100 ConfigMaps that contain the backup, as NAMESPACE/NAME. All of them have the object's UID as a label.
    pub config_maps: Vec<String>,
    /// How many bindings they contain.
    pub bindings: u32,
    /// ConfigMaps that were stored and read back but no longer exist: the first 20.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub missing: Vec<String>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RemovedStatus {
    /// Bindings that are gone.
    pub deleted: u32,
    /// Bindings that have no subjects and grant nothing, but still exist: their finalizers are not done.
    pub disarmed: u32,
    /// Bindings from which only the leaver's subjects were removed.
    pub subjects_removed: u32,
    /// Bindings that the operator kept but that disappeared between the purge request and its confirmation.
    pub disappeared: u32,
    /// All of these.
    pub total: u32,
}

/// The kubeconfig that ACK issued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeconfigStatus {
    /// The state of its client certificate as reported by ACK; Absent when ACK does not list this cluster for the UID.
    pub state: CertState,
    /// When ACK accepted the purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purged_at: Option<Time>,
    /// When the operator found that ACK reports one again after the offboarding was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reissued_at: Option<Time>,
    /// When ACK last refused to purge it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_at: Option<Time>,
    /// Until when ACK can restore the purged kubeconfig: 30 days after the purge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_until: Option<Time>,
}

impl KubeconfigStatus {
    /// A kubeconfig in this state, of which nothing else is known.
    pub fn of(state: CertState) -> Self {
        KubeconfigStatus {
            state,
            purged_at: None,
            reissued_at: None,
            refused_at: None,
            restorable_until: None,
        }
    }
}

/// The state of a kubeconfig's client certificate, in ACK's words (ListUserKubeConfigStates), and `Absent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CertState {
    /// ACK does not list this cluster for the UID.
    Absent,
    /// Issued and valid.
    Unexpired,
    /// Issued, but expired.
    Expired,
    /// Never issued.
    Unissued,
    /// Purged.
    Removed,
    /// ACK does not know.
    Unknown,
}

impl CertState {
    /// Whether a certificate in this state is still there: `Unknown` is no proof that it is not.
    pub fn is_left(self) -> bool {
        matches!(self, CertState::Unexpired | CertState::Expired | CertState::Unknown)
    }
}

//! What users write and read: the objects `UserOffboarding` and `PermissionScan`, their conditions and reasons.

pub mod conditions;
mod crd;
mod ends;
mod reason;
#[cfg(test)]
mod reference;
pub mod scan;
mod spec;
mod status;
mod vocabulary;

pub use conditions::{ConditionStatus, ConditionType};
pub use crd::{crd, crd_yaml, scan_crd, scan_crd_yaml};
pub use ends::Ends;
pub use reason::Reason;
pub use scan::{PermissionScan, PermissionScanSpec, PermissionScanStatus};
pub use spec::{
    ActivityCheck, Approval, Enforcement, IdentityType, KubeconfigPolicy, Mode, Names, OnUncertainty, PlanApproval,
    UserOffboarding, UserOffboardingSpec,
};
pub use status::{
    ActivityState, ActivityStatus, ApproverStatus, AuthorStatus, BackupStatus, BindingAction, CertState,
    ClearanceStatus, Decision, IdentityState, IdentityStatus, KubeconfigStatus, LastKnownIdentity, OperatorStatus,
    PlanStatus, PlannedBinding, RemovedStatus, ResolvedIdentityType, UsageRow, UsageStatus, UserOffboardingStatus,
};

/// The API group of everything that the operator defines, and the prefix of its labels and annotations.
pub const GROUP: &str = "ack-offboarding.io";

/// Labels a UserOffboarding that was made only to show a plan.
pub const PLAN_LABEL: &str = "ack-offboarding.io/plan";

/// What `apiVersion` of both kinds says.
pub const API_VERSION: &str = "ack-offboarding.io/v1alpha1";

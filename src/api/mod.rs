//! What users write and read: the objects `UserOffboarding` and `PermissionScan`, their conditions and reasons.

pub mod conditions;
mod crd;
pub mod operator_status;
#[cfg(test)]
mod reference;
pub mod scan;
pub mod spec;
pub mod status;

pub use conditions::{ConditionStatus, ConditionType, Ends, Reason};
pub use crd::{crd, crd_yaml, scan_crd, scan_crd_yaml};
pub use operator_status::OperatorStatus;
pub use scan::{PermissionScan, PermissionScanSpec, PermissionScanStatus};
pub use spec::{
    ActivityCheck, Approval, Enforcement, IdentityType, KubeconfigPolicy, Mode, Names, OnUncertainty, PlanApproval,
    UserOffboarding, UserOffboardingSpec,
};
pub use status::{
    ActivityState, ActivityStatus, BackupStatus, BindingAction, CertState, ClearanceStatus, Decision, IdentityState,
    IdentityStatus, KubeconfigStatus, LastKnownIdentity, PlanStatus, PlannedBinding, RemovedStatus,
    ResolvedIdentityType, UsageRow, UsageStatus, UserOffboardingStatus,
};

/// The API group of everything that the operator defines, and the prefix of its labels and annotations.
pub const GROUP: &str = "ack-offboarding.io";

/// `apiVersion` of the objects.
pub const API_VERSION: &str = "ack-offboarding.io/v1alpha1";

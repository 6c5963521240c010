//! The conditions of a `PermissionScan`, and their reasons.

use crate::api::{ConditionStatus, conditions::put, vocabulary::vocabulary};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};

vocabulary!(
    /// What a condition is about.
    ScanCondition {
        /// Whether the last scan was complete.
        Ready,
        /// Whether the operator is about to scan, or to try again.
        Reconciling,
        /// Whether a person must change something before the operator can scan.
        Stalled,
        /// Whether there are findings.
        FindingsPresent,
    }
);

vocabulary!(
    /// Why a condition is as it is.
    ScanReason {
        /// The last scan was complete.
        Scanned,
        /// The spec says to stop.
        Suspended,
        /// Findings are shown.
        Found,
        /// There are none.
        NothingFound,
        /// A listing is not whole.
        ListingIncomplete,
        /// A service did not answer.
        LookupFailed,
        /// Alibaba Cloud rejects the operator's credentials.
        CredentialsRejected,
        /// The operator may not do something.
        Forbidden,
        /// The credentials are of another account than the cluster.
        WrongAccount,
        /// ACK does not know the cluster.
        ClusterNotFound,
        /// A proposal could not be made.
        ProposalFailed,
        /// Nothing of that kind.
        None,
    }
);

impl ScanReason {
    /// Whether a person must change something before the operator can scan.
    pub fn is_stalled(self) -> bool {
        matches!(
            self,
            ScanReason::CredentialsRejected
                | ScanReason::Forbidden
                | ScanReason::WrongAccount
                | ScanReason::ClusterNotFound
        )
    }
}

/// Sets one condition; its time stays while its status does. Returns whether status or reason changed.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: ScanCondition,
    (status, reason): (ConditionStatus, ScanReason),
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    put(
        conditions,
        (type_.as_str(), status, reason.as_str()),
        message,
        generation,
        now,
    )
}

//! Condition types, their reasons, and how a condition changes.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use std::fmt;

/// Defines an enum whose variants are spelled in the API as they are here.
macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of the documentation.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The word in the API.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant)),* }
            }

            /// The value of a word in the API.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $(stringify!($variant) => Some($name::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

vocabulary!(
    /// What a condition is about. Every one of them is set on the first visit.
    ConditionType {
        /// Who the UID is.
        IdentityResolved,
        /// The identity made no request in the window.
        Inactive,
        /// The plan may be carried out.
        Approved,
        /// Every binding of the plan is stored and was read back.
        BackedUp,
        /// No binding names the UID.
        BindingsRemoved,
        /// ACK reports no kubeconfig for the UID in this cluster.
        KubeconfigPurged,
        /// The access was verified as gone. Auditors wait on this one.
        Offboarded,
        /// Access was found after the end.
        AccessReturned,
        /// kstatus: the object is where its spec wants it.
        Ready,
        /// kstatus: work or waiting goes on.
        Reconciling,
        /// kstatus: a person must change something.
        Stalled,
    }
);

vocabulary!(
    /// Why a condition is what it is.
    Reason {
        /// Not evaluated yet.
        Pending,
        /// The UID is an existing RAM user.
        RamUser,
        /// The UID is an existing RAM role.
        RamRole,
        /// RAM no longer knows the UID, and it has, or had, access here.
        DeletedFromRam,
        /// The RAM user is in the recycle bin.
        InRecycleBin,
        /// Root account, the operator's own identity, or on the protected list.
        ProtectedIdentity,
        /// The UID and the expected name do not belong together.
        NameMismatch,
        /// The UID is a role where a user was said, or the reverse.
        TypeMismatch,
        /// The UID is a user and a role at once.
        AmbiguousIdentity,
        /// RAM does not know the UID, and it has no access here.
        NothingFound,
        /// A service did not answer.
        LookupFailed,
        /// Alibaba Cloud does not accept the operator's credentials.
        CredentialsRejected,
        /// The credentials belong to another account than the cluster.
        WrongAccount,
        /// No request in the window.
        NoActivity,
        /// A request in the window.
        ActiveInWindow,
        /// The cluster's audit log is off.
        AuditDisabled,
        /// The audit project or logstore does not exist.
        LogstoreMissing,
        /// A field that the check needs is not indexed.
        FieldNotIndexed,
        /// The logstore keeps records for less than the window.
        RetentionTooShort,
        /// The logstore, or its index as it is now, is younger than the window.
        AuditTooRecent,
        /// An hour or more without a record of anybody.
        AuditGap,
        /// The log has records, and none that a search by user name finds.
        NotSearchable,
        /// A record that the search found is not in the form that the check reads.
        RecordUnreadable,
        /// SLS's answers contradict each other, or are not about what was asked.
        ResultInconsistent,
        /// SLS did not finish the search.
        ResultIncomplete,
        /// More records than could be read, none of them decisive.
        TooManyRecords,
        /// SLS or ACK refused or failed the question.
        QueryFailed,
        /// The operator's own limit of calls to Alibaba Cloud is reached.
        CloudBudgetSpent,
        /// Nobody has to approve.
        Automatic,
        /// The plan's digest is in approvals.
        PlanApproved,
        /// Active, and the spec says to proceed.
        OverrideActive,
        /// Activity unknown, and the spec says to proceed.
        OverrideUnknown,
        /// The wait of waitAtMostDays is over.
        WaitExpired,
        /// The plan waits for a person.
        AwaitingApproval,
        /// The identity must be quiet first.
        WaitingForInactivity,
        /// A dry run stops here.
        DryRun,
        /// spec.suspend is true.
        Suspended,
        /// The backup is stored and was read back.
        Stored,
        /// There was no binding.
        NothingToBackUp,
        /// A backup could not be written.
        WriteFailed,
        /// A quota of the operator's namespace leaves no room for a backup.
        QuotaExceeded,
        /// An admission policy or webhook refuses a backup.
        BackupRefused,
        /// A binding is too large to be backed up.
        BindingTooLarge,
        /// A backup does not read back as it was written.
        VerifyFailed,
        /// A backup that was stored no longer exists.
        BackupMissing,
        /// A subject begins with the UID, and the spec has not decided whose it is.
        UndecidedNames,
        /// More was backed up for the UID lately than its budget allows.
        BudgetSpent,
        /// Bindings were removed.
        Removed,
        /// There was nothing to remove.
        NothingToRemove,
        /// A binding kept changing.
        Conflict,
        /// A binding that the API server lists cannot be read or addressed.
        BindingUnreadable,
        /// A binding was changed each time before it could be removed, for as often as that is tried.
        KeepsChanging,
        /// The API server gave up on the operator's admission policy for one binding: somebody has put too many names into it.
        PolicyLimitExceeded,
        /// An admission policy of the chart is missing, weakened, or cannot be shown to be in force.
        PoliciesNotInForce,
        /// A permission is missing.
        Forbidden,
        /// A mutating webhook or policy changes bindings while the operator updates them.
        ChangedByWebhook,
        /// Bindings shared with others were left, as the operator may not change them.
        SharedBindingsKept,
        /// A deleted binding waits for its finalizers, and still grants access.
        Terminating,
        /// Something restores a binding again and again.
        RestoredByManager,
        /// ACK purged the kubeconfig.
        Purged,
        /// ACK knows no kubeconfig to purge.
        NothingToPurge,
        /// The spec says to keep the kubeconfig.
        Kept,
        /// Bindings are left, so the purge was not asked for.
        BindingsRemain,
        /// ACK refused the purge.
        RefusedByAck,
        /// ACK does not report the kubeconfig as purged yet.
        NotConfirmed,
        /// The access was verified as gone.
        Verified,
        /// A binding for the UID appeared after the end.
        BindingFound,
        /// A kubeconfig for the UID appeared after the end.
        KubeconfigReissued,
        /// Nothing returned.
        None,
        /// The offboarding is complete.
        Offboarded,
        /// The dry run is complete.
        DryRunComplete,
        /// ACK does not know the cluster.
        ClusterNotFound,
        /// Another object works on the same UID.
        Queued,
        /// As many offboardings as may have begun in the last hour.
        RunLimitReached,
        /// Access was found after the end.
        AccessReturned,
        /// Work goes on.
        InProgress,
    }
);

/// Who ends a state, which is a reason of the condition Ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Nobody: the object is where its spec wants it.
    Reached,
    /// It waits because somebody asked for that, in the spec.
    Asked,
    /// The operator: it retries, and what is in the way is expected to go away.
    Operator,
    /// A person must change something. The condition Stalled is True.
    Person,
}

impl Reason {
    /// The one rule for Stalled: who ends this state. `None` of a reason that is never a state.
    pub fn ends(self) -> Option<Ends> {
        Some(match self {
            Reason::Offboarded | Reason::NothingToRemove | Reason::DryRunComplete => Ends::Reached,
            Reason::Suspended | Reason::AwaitingApproval | Reason::WaitingForInactivity => Ends::Asked,
            Reason::Pending
            | Reason::LookupFailed
            | Reason::WriteFailed
            | Reason::BackupMissing
            | Reason::Conflict
            | Reason::Terminating
            | Reason::RefusedByAck
            | Reason::NotConfirmed
            | Reason::Queued
            | Reason::RunLimitReached
            | Reason::InProgress => Ends::Operator,
            Reason::ProtectedIdentity
            | Reason::NameMismatch
            | Reason::TypeMismatch
            | Reason::AmbiguousIdentity
            | Reason::CredentialsRejected
            | Reason::WrongAccount
            | Reason::QuotaExceeded
            | Reason::BackupRefused
            | Reason::BindingTooLarge
            | Reason::VerifyFailed
            | Reason::UndecidedNames
            | Reason::BudgetSpent
            | Reason::BindingUnreadable
            | Reason::KeepsChanging
            | Reason::PolicyLimitExceeded
            | Reason::PoliciesNotInForce
            | Reason::Forbidden
            | Reason::ChangedByWebhook
            | Reason::SharedBindingsKept
            | Reason::RestoredByManager
            | Reason::ClusterNotFound
            | Reason::AccessReturned => Ends::Person,
            Reason::RamUser
            | Reason::RamRole
            | Reason::DeletedFromRam
            | Reason::InRecycleBin
            | Reason::NothingFound
            | Reason::NoActivity
            | Reason::ActiveInWindow
            | Reason::AuditDisabled
            | Reason::LogstoreMissing
            | Reason::FieldNotIndexed
            | Reason::RetentionTooShort
            | Reason::AuditTooRecent
            | Reason::AuditGap
            | Reason::NotSearchable
            | Reason::RecordUnreadable
            | Reason::ResultInconsistent
            | Reason::ResultIncomplete
            | Reason::TooManyRecords
            | Reason::QueryFailed
            | Reason::CloudBudgetSpent
            | Reason::Automatic
            | Reason::PlanApproved
            | Reason::OverrideActive
            | Reason::OverrideUnknown
            | Reason::WaitExpired
            | Reason::DryRun
            | Reason::Stored
            | Reason::NothingToBackUp
            | Reason::Removed
            | Reason::Purged
            | Reason::NothingToPurge
            | Reason::Kept
            | Reason::BindingsRemain
            | Reason::Verified
            | Reason::BindingFound
            | Reason::KubeconfigReissued
            | Reason::None => return Option::None,
        })
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is unknown, or not evaluated yet.
    Unknown,
}

impl ConditionStatus {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        }
    }
}

/// Sets one condition in a list.
///
/// `lastTransitionTime` stays as it was while the status stays the same (the convention of the Kubernetes API).
/// Returns whether status or reason changed: what people are told of with an event.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let previous = conditions.iter_mut().find(|c| c.type_ == type_.as_str());
    let unchanged_since = previous
        .as_ref()
        .filter(|c| c.status == status.as_str())
        .map(|c| c.last_transition_time.clone());
    let changed = previous
        .as_ref()
        .is_none_or(|c| c.status != status.as_str() || c.reason != reason.as_str());
    let condition = Condition {
        type_: type_.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: unchanged_since.unwrap_or(Time(now)),
    };
    match previous {
        Some(slot) => *slot = condition,
        Option::None => conditions.push(condition),
    }
    changed
}

/// The condition of a type in a list.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

#[cfg(test)]
mod tests;

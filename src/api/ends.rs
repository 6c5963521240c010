//! Who must act on a state: the one rule for Stalled.

use super::reason::Reason;

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

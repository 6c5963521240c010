//! Why a condition is what it is: the reasons, in the order of the documentation.

use super::vocabulary::vocabulary;

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

//! What each reason means in plain words, what changes it, and what to do next. Pure: a reason without an explanation does not compile.

use ack_offboarding_operator::api::Reason;

/// What a reason means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Meaning {
    /// What was seen.
    pub(crate) what: &'static str,
    /// What ends the state; empty of a reason that is no state.
    pub(crate) changes: &'static str,
    /// What to run next.
    pub(crate) next: Next,
}

/// The command to run next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing is left to do.
    Nothing,
    /// Follow it.
    Wait,
    /// Follow it for longer than one sits and watches.
    WaitForEver,
    /// Approve the plan.
    Approve,
    /// Go on.
    Resume,
    /// Carry out what the dry run showed.
    Start,
    /// Check the operator.
    Doctor,
    /// Call it off.
    Delete,
    /// See what is there, with every condition.
    Status,
    /// Change the spec by this merge patch.
    Patch(&'static str),
    /// One of these, each after what it is for.
    Choose(&'static [(&'static str, Next)]),
}

impl Next {
    /// The whole command, or several, a line each; `None` where nothing is left to do.
    pub(crate) fn command(self, name: &str, uid: &str) -> Option<String> {
        Some(match self {
            Next::Nothing => return None,
            Next::Choose(several) => {
                let lines = several.iter().filter_map(|(purpose, next)| {
                    let command = next.command(name, uid)?;
                    Some(format!("{command}   # {purpose}"))
                });
                lines.collect::<Vec<_>>().join("\n")
            }
            Next::Wait => format!("kubectl ack-offboard wait {name}"),
            Next::WaitForEver => format!("kubectl ack-offboard wait {name} --timeout 0"),
            Next::Approve => format!("kubectl ack-offboard approve {name}"),
            Next::Resume => format!("kubectl ack-offboard resume {name}"),
            Next::Start => format!("kubectl ack-offboard start {uid}"),
            Next::Doctor => "kubectl ack-offboard doctor".to_owned(),
            Next::Delete => format!("kubectl delete useroffboarding {name}"),
            Next::Status => format!("kubectl ack-offboard status {name}"),
            Next::Patch(patch) => {
                format!("kubectl patch useroffboarding {name} --type merge --patch '{{\"spec\":{patch}}}'")
            }
        })
    }
}

/// A reason that is a state of an offboarding.
const fn state(what: &'static str, changes: &'static str, next: Next) -> Meaning {
    Meaning { what, changes, next }
}

/// A reason that only a condition has.
const fn fact(what: &'static str) -> Meaning {
    state(what, "", Next::Nothing)
}

/// What a reason means.
pub(crate) const fn meaning(reason: Reason) -> Meaning {
    match reason {
        // States that are the end.
        Reason::Offboarded => state(
            "The access has ended: no binding names the identity any more, and its kubeconfig is gone or kept on purpose.",
            "Nothing. The operator keeps looking, and reports access that returns.",
            Next::Nothing,
        ),
        Reason::NothingToRemove => state(
            "The identity has no access to this cluster: no binding names it, and ACK reports no kubeconfig.",
            "Nothing. If you expected access, check the UID.",
            Next::Nothing,
        ),
        Reason::DryRunComplete => state(
            "The dry run is complete: the plan is made, and nothing was changed.",
            "A dry run ends here. Starting the offboarding carries the plan out.",
            Next::Start,
        ),
        // States that somebody asked for.
        Reason::Suspended => state(
            "Somebody suspended it. What was already done stays done; nothing more is done.",
            "It goes on when it is resumed, which takes the ClusterRole ack-offboarding-approver.",
            Next::Resume,
        ),
        Reason::AwaitingApproval => state(
            "The plan is ready, and waits for a person to approve it. Nothing of it was carried out.",
            "Somebody with the ClusterRole ack-offboarding-approver approves the plan.",
            Next::Approve,
        ),
        Reason::WaitingForInactivity => state(
            "The identity was used lately, or the audit log cannot show that it was not. Nothing was changed.",
            "It goes on by itself once the audit log shows a whole window without a request. A person may have it go on now (this takes the \
             ClusterRole ack-offboarding-approver).",
            Next::Choose(&[
                (
                    "to follow it; the window is seven days, unless the spec says otherwise",
                    Next::WaitForEver,
                ),
                (
                    "to go on although it is active",
                    Next::Patch("{\"activityCheck\":{\"whenActive\":\"Proceed\"}}"),
                ),
            ]),
        ),
        // States that the operator ends.
        Reason::Pending => state(
            "The operator has not looked at it yet.",
            "The operator's first look, which takes seconds.",
            Next::Wait,
        ),
        Reason::LookupFailed => state(
            "Alibaba Cloud or the API server did not answer a question, so the operator cannot know what it needs to know.",
            "The operator retries within 5 minutes. If it persists, the message names the call.",
            Next::Wait,
        ),
        Reason::WriteFailed => state(
            "A backup could not be written. Nothing is removed without one.",
            "The operator retries within 5 minutes. If it persists, the message says what is in the way.",
            Next::Wait,
        ),
        Reason::BackupMissing => state(
            "A backup that was stored no longer exists. What it held is stored again before anything is removed.",
            "The operator retries by itself. Find out who deletes ConfigMaps in its namespace.",
            Next::Wait,
        ),
        Reason::Conflict => state(
            "A binding changed while it was being removed, or a request was interrupted.",
            "The operator backs up the new state and tries again within 5 minutes.",
            Next::Wait,
        ),
        Reason::Terminating => state(
            "A deleted binding still exists and still grants access: a finalizer holds it.",
            "The controller that owns the finalizer finishes. The message names the binding.",
            Next::Wait,
        ),
        Reason::RefusedByAck => state(
            "The bindings are gone, but ACK refused to purge the kubeconfig. Without a binding it grants nothing.",
            "The operator asks ACK again every hour. The message has ACK's own words.",
            Next::Wait,
        ),
        Reason::NotConfirmed => state(
            "ACK was asked to purge the kubeconfig and does not report it as purged yet.",
            "The operator asks for its state again within 5 minutes.",
            Next::Wait,
        ),
        Reason::Queued => state(
            "Another UserOffboarding works on the same UID.",
            "They take turns by themselves. One of the two can be deleted.",
            Next::Wait,
        ),
        Reason::RunLimitReached => state(
            "As many offboardings as may have begun in the last hour. Nothing was touched.",
            "It begins by itself within the hour. If so many were not meant, suspend them now.",
            Next::Wait,
        ),
        Reason::InProgress => state("The operator is at work.", "It goes on by itself.", Next::Wait),
        // States that a person ends.
        Reason::ProtectedIdentity => state(
            "This identity may not be offboarded: it is the Alibaba Cloud account, the operator itself, or on the list of protected UIDs.",
            "Delete the object. If the UID is mistyped, start one with the right UID.",
            Next::Delete,
        ),
        Reason::NameMismatch => state(
            "The UID belongs to another name than the one expected: one of the two is mistyped. Nothing was changed.",
            "If the UID is wrong, delete the object and start another. If the name is wrong, correct spec.expectedName.",
            Next::Choose(&[
                ("if the UID is wrong; then start another", Next::Delete),
                (
                    "if the name is wrong, with the right one",
                    Next::Patch("{\"expectedName\":\"NAME\"}"),
                ),
            ]),
        ),
        Reason::TypeMismatch => state(
            "The UID is a RAM role where a user was said, or the reverse. Everyone who assumes a role would lose access. Nothing was changed.",
            "Delete the object and start another: with --role only if everyone who assumes the role is meant.",
            Next::Delete,
        ),
        Reason::AmbiguousIdentity => state(
            "The UID is a RAM user and a RAM role at once: the operator cannot tell whose access it would remove.",
            "Remove the access by hand, or delete one of the two identities in RAM.",
            Next::Status,
        ),
        Reason::CredentialsRejected => state(
            "Alibaba Cloud does not accept the operator's credentials. No offboarding goes on until it does.",
            "Whoever runs the operator corrects its credentials; it retries within 5 minutes.",
            Next::Doctor,
        ),
        Reason::WrongAccount => state(
            "The operator's credentials are of another Alibaba Cloud account than the cluster, from where every user looks deleted.",
            "Whoever runs the operator gives it credentials of the cluster's account.",
            Next::Doctor,
        ),
        Reason::QuotaExceeded => state(
            "A quota of the operator's namespace leaves no room for a backup, and nothing is removed without one.",
            "Raise the quota, or delete backups that nobody needs; the message names the quota.",
            Next::Status,
        ),
        Reason::BackupRefused => state(
            "An admission policy or webhook refuses a backup, and nothing is removed without one.",
            "Exclude the operator's namespace from what refuses it; the message has its words.",
            Next::Status,
        ),
        Reason::BindingTooLarge => state(
            "A binding is too large to be backed up, so it is left and still grants access.",
            "Take the leaver out of this binding by hand; the message names it.",
            Next::Status,
        ),
        Reason::VerifyFailed => state(
            "A backup does not read back as it was written: something changes what the operator stores.",
            "Find the webhook or policy that changes ConfigMaps in the operator's namespace, and exclude it there.",
            Next::Status,
        ),
        Reason::UndecidedNames => state(
            "User names begin with the UID, and whose they are is not decided.",
            "List each of them in spec.names.include if it is the leaver's (this takes the ClusterRole ack-offboarding-approver), else in spec.names.ignore.",
            Next::Status,
        ),
        Reason::BudgetSpent => state(
            "More was backed up for this identity lately than is allowed for one: somebody keeps creating or changing its bindings.",
            "Find out who does; the message says what is left and when the operator goes on.",
            Next::Status,
        ),
        Reason::BindingUnreadable => state(
            "A binding of the identity cannot be read or addressed. It still grants access; all others are removed.",
            "Remove it by hand: docs/operations.md says how.",
            Next::Status,
        ),
        Reason::KeepsChanging => state(
            "Somebody changes a binding again and again, each time before it could be removed. It still grants access.",
            "Run the command in the message, which removes the leaver at once; then find out who writes to the binding.",
            Next::Status,
        ),
        Reason::PolicyLimitExceeded => state(
            "Somebody has put so many names into one binding that the API server gives up on the admission policy. It still grants access.",
            "Take the leaver out by hand with the command in the message.",
            Next::Status,
        ),
        Reason::PoliciesNotInForce => state(
            "An admission policy of the chart is missing or weakened, so the operator changes nothing.",
            "Whoever runs the operator installs the chart again as it is.",
            Next::Doctor,
        ),
        Reason::Forbidden => state(
            "The operator is not permitted to do something that it needs.",
            "Whoever runs the operator grants what the message names.",
            Next::Doctor,
        ),
        Reason::ChangedByWebhook => state(
            "A webhook or policy changes bindings while the operator updates them, and the result is refused.",
            "Exclude the operator's ServiceAccount from it; the message says what was changed.",
            Next::Status,
        ),
        Reason::SharedBindingsKept => state(
            "Bindings that others share still name the identity, and this operator may not change shared bindings.",
            "Take the leaver out by hand, or have the operator run with rbac.removeSubjects=true.",
            Next::Status,
        ),
        Reason::RestoredByManager => state(
            "Something puts a binding back each time it is removed: Git, Helm or Terraform, say. It is left, and grants access.",
            "Remove it at its source; the message names it.",
            Next::Status,
        ),
        Reason::ClusterNotFound => state(
            "ACK does not know this cluster under the ID and region that the operator was given.",
            "Whoever runs the operator corrects --cluster-id or --region.",
            Next::Doctor,
        ),
        Reason::AccessReturned => state(
            "The offboarding was complete, and access was found afterwards.",
            "If it is not meant to be there, remove it by hand, or have the operator remove it, now and whenever it returns (this takes the \
             ClusterRole ack-offboarding-approver). If somebody gave it on purpose, delete the object.",
            Next::Choose(&[
                (
                    "to have it removed, now and whenever it returns",
                    Next::Patch("{\"enforcement\":\"Continuous\"}"),
                ),
                ("if it was given on purpose; the backups stay", Next::Delete),
            ]),
        ),
        // Facts about the identity.
        Reason::RamUser => fact("It is an existing RAM user."),
        Reason::RamRole => fact("It is an existing RAM role: everyone who assumes it is meant."),
        Reason::DeletedFromRam => fact("RAM no longer knows the UID."),
        Reason::InRecycleBin => fact("The RAM user is in the recycle bin, and can be restored there."),
        Reason::NothingFound => fact("RAM does not know the UID, and it has no access here."),
        // Facts about its activity.
        Reason::NoActivity => fact("The audit log covers the whole window, and the identity made no request in it."),
        Reason::ActiveInWindow => fact("The identity made a request in the window."),
        Reason::AuditDisabled => fact("The cluster's audit log is off, so activity is unknown."),
        Reason::LogstoreMissing => fact("The audit log's project or logstore does not exist, so activity is unknown."),
        Reason::FieldNotIndexed => {
            fact("The logstore does not index a field that the check needs, so activity is unknown.")
        }
        Reason::RetentionTooShort => {
            fact("The logstore keeps records for less than the window, so activity is unknown.")
        }
        Reason::AuditTooRecent => {
            fact("The logstore or its index is younger than the window, so activity is unknown until it is not.")
        }
        Reason::AuditGap => fact("The audit log has no record of anybody for an hour or more, so activity is unknown."),
        Reason::NotSearchable => {
            fact("A search by user name finds nothing of what the audit log holds, so activity is unknown.")
        }
        Reason::RecordUnreadable => {
            fact("A record that may be a request of the identity cannot be read, so activity is unknown.")
        }
        Reason::ResultInconsistent => fact("The audit log's answers contradict each other, so activity is unknown."),
        Reason::ResultIncomplete => fact("The audit log did not finish the search, so activity is unknown."),
        Reason::TooManyRecords => fact("More records mention the identity than could be read, so activity is unknown."),
        Reason::QueryFailed => fact("The audit log could not be asked, so activity is unknown."),
        Reason::CloudBudgetSpent => {
            fact("The operator has made as many calls to Alibaba Cloud as it allows itself, and asks again in minutes.")
        }
        // Facts about the decision.
        Reason::Automatic => fact("No approval is needed."),
        Reason::PlanApproved => fact("A person approved the plan."),
        Reason::OverrideActive => fact("The identity is active, and the spec says to proceed."),
        Reason::OverrideUnknown => fact("Activity is unknown, and the spec says to proceed."),
        Reason::WaitExpired => fact("The longest wait that the spec allows is over."),
        Reason::DryRun => fact("It is a dry run, which changes nothing."),
        // Facts about what was done.
        Reason::Stored => fact("Every binding is backed up, and the backup was read back."),
        Reason::NothingToBackUp => fact("There was no binding to back up."),
        Reason::Removed => fact("The bindings were removed."),
        Reason::Purged => fact("ACK purged the kubeconfig. It can be restored in the ACK console for 30 days."),
        Reason::NothingToPurge => fact("ACK reports no kubeconfig to purge."),
        Reason::Kept => fact("The spec says to keep the kubeconfig: it still signs in, though nothing is bound to it."),
        Reason::BindingsRemain => fact("Bindings are left, so ACK was not asked to purge the kubeconfig."),
        Reason::Verified => fact("An up-to-date read found no binding, and ACK reports no kubeconfig."),
        Reason::BindingFound => fact("A binding for the identity appeared after the end."),
        Reason::KubeconfigReissued => fact("A kubeconfig for the identity appeared after the end."),
        Reason::None => fact("There is nothing to report."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ack_offboarding_operator::api::Ends;
    use std::collections::BTreeSet;

    #[test]
    fn every_reason_is_explained_and_every_state_says_what_is_next() {
        let mut seen = BTreeSet::new();
        for &reason in Reason::ALL {
            let Meaning { what, changes, next } = meaning(reason);
            assert!(what.ends_with('.') && what.len() > 15, "{reason}: {what}");
            assert!(seen.insert(what), "{reason} is explained as another one is");
            let command = next.command("left", "42");
            match reason.ends() {
                None => assert_eq!((changes, command), ("", None), "{reason} is no state"),
                Some(ends) => {
                    assert!(changes.ends_with('.'), "{reason}: {changes}");
                    let is_over = matches!(reason, Reason::Offboarded | Reason::NothingToRemove);
                    assert_eq!(command.is_none(), is_over, "{reason}: {command:?}");
                    let waits = next == Next::Wait;
                    let may_wait = ends == Ends::Operator && reason != Reason::WaitingForInactivity;
                    assert_eq!(waits, may_wait, "{reason}: waiting is for what ends without a person");
                }
            }
        }
    }
}

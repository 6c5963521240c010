//! What was not removed, and why: the one hold that a person should read first. Pure.

use super::{
    backup,
    outcome::{Blocked, Requeue},
    plan::more_bindings,
    shells::Waiting,
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::{BindingKey, backup::TooLarge, owner::Manager, subject::Leaver},
};

/// How often a binding that changes under the operator's hands is backed up and tried again in one reconcile.
pub(super) const ATTEMPTS: u32 = 5;

#[derive(Debug)]
pub(super) enum Outcome {
    /// It is as it should be: gone, or without the leaver.
    Removed,
    /// It names nobody, and is still there: why.
    Waits(String),
    /// RBAC, a policy or a webhook refused, in the API server's words.
    Refused(String),
    /// Something changed the operator's request on its way, so that the operator's own policy refused it.
    ChangedByWebhook(String),
    /// The API server gave up on the operator's own admission policy, which costs more for this binding than it allows: the command for
    /// a person.
    PolicyLimit(String),
    /// The API server failed.
    Failed(String),
    /// Its connection broke: what came of it is not known, and nothing more is tried.
    Interrupted(String),
    /// It changed as often as it was tried.
    KeepsChanging,
    /// It is not any more what was planned.
    Changed,
    /// The ConfigMap with its backup is no longer there.
    BackupMissing(String),
    /// It was changed into something that is too large to be stored.
    TooLarge(TooLarge),
}

/// What was not removed, and why.
#[derive(Debug, Default)]
pub(super) struct Unremoved {
    pub(super) refused: Vec<(BindingKey, String)>,
    pub(super) policy_limit: Vec<(BindingKey, String)>,
    pub(super) changed_by_webhook: Vec<(BindingKey, String)>,
    pub(super) failed: Vec<(BindingKey, String)>,
    pub(super) interrupted: Vec<(BindingKey, String)>,
    pub(super) changing: Vec<BindingKey>,
    pub(super) changed: Vec<BindingKey>,
    pub(super) shared: Vec<BindingKey>,
    pub(super) unbacked: Vec<(BindingKey, String)>,
    pub(super) too_large: Vec<TooLarge>,
    pub(super) managers: Vec<(BindingKey, Manager)>,
}

fn broken_off(key: &BindingKey, error: &str) -> Blocked {
    let message = format!(
        "Removing {key} was interrupted: {error}. The binding is backed up. The next reconcile checks the result."
    );
    Blocked::new(Reason::Conflict, Requeue::Backoff, message).about(Condition::BindingsRemoved, Is::False)
}

impl Unremoved {
    pub(super) fn note(&mut self, key: BindingKey, outcome: Outcome, waiting: &mut Vec<Waiting>) {
        match outcome {
            Outcome::Removed => {}
            Outcome::Waits(why) => waiting.push((key, why)),
            Outcome::Refused(why) => self.refused.push((key, why)),
            Outcome::ChangedByWebhook(why) => self.changed_by_webhook.push((key, why)),
            Outcome::PolicyLimit(command) => self.policy_limit.push((key, command)),
            Outcome::Failed(why) => self.failed.push((key, why)),
            Outcome::Interrupted(why) => self.interrupted.push((key, why)),
            Outcome::KeepsChanging => self.changing.push(key),
            Outcome::Changed => self.changed.push(key),
            Outcome::BackupMissing(config_map) => self.unbacked.push((key, config_map)),
            Outcome::TooLarge(left) => self.too_large.push(left),
        }
    }

    /// In an order that does not depend on which of the parallel removals was faster.
    fn sort(&mut self) {
        self.refused.sort();
        self.policy_limit.sort();
        self.changed_by_webhook.sort();
        self.failed.sort();
        self.interrupted.sort();
        self.changing.sort();
        self.changed.sort();
        self.unbacked.sort();
    }

    pub(super) fn blocked(mut self, leaver: &Leaver) -> Option<Blocked> {
        self.sort();
        let owner = |key: &BindingKey| {
            let found = self.managers.iter().find(|(of, manager)| of == key && manager.owns);
            found.map(|(_, manager)| manager.clone())
        };
        if let Some((key, why)) = self.interrupted.first() {
            return Some(broken_off(key, why));
        }
        if let [(key, config_map), rest @ ..] = self.unbacked.as_slice() {
            let more = match rest.len() {
                0 => String::new(),
                n => format!(" (also affected: {})", more_bindings(n)),
            };
            let message = format!(
                "ConfigMap {config_map}, which contains the backup of {key}, no longer exists{more}: someone deleted it after it \
                 was stored and read back. The binding was not changed. The operator backs it up again and continues. Find out \
                 in the audit log who deletes backups."
            );
            let blocked = Blocked::new(Reason::BackupMissing, Requeue::Backoff, message);
            return Some(blocked.about(Condition::BackedUp, Is::False));
        }
        if let [(key, why), rest @ ..] = self.refused.as_slice() {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" and {}", more_bindings(rest.len()))
            };
            let or = match owner(key) {
                None => "remove the binding by hand".to_owned(),
                Some(owner) => format!(
                    "remove the binding: where it comes from, if that is {} as it is marked, else by hand",
                    owner.name
                ),
            };
            let message = format!(
                "The API server refused to let the operator remove {key}{more}: {}. The bindings that it may remove are removed. \
                 The kubeconfig is not purged, because ACK's purge would remove the remaining bindings without a check. Allow \
                 the removal, or {or}.",
                why.trim_end_matches('.')
            );
            return Some(Blocked::recheck(Reason::Forbidden, message).about(Condition::BindingsRemoved, Is::False));
        }
        if let [(key, why), rest @ ..] = self.changed_by_webhook.as_slice() {
            let more = match rest.len() {
                0 => String::new(),
                n => format!(" (also affected: {})", more_bindings(n)),
            };
            let message = format!(
                "A mutating webhook or policy of the cluster changes {key} while the operator updates it{more}, and the operator's own admission \
                 policy refuses the result: {}. The bindings are backed up and unchanged; the kubeconfig is not purged. Exclude the operator's \
                 ServiceAccount from that webhook: kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies.",
                why.trim_end_matches('.')
            );
            return Some(
                Blocked::recheck(Reason::ChangedByWebhook, message).about(Condition::BindingsRemoved, Is::False),
            );
        }
        if let [(key, command), rest @ ..] = self.policy_limit.as_slice() {
            let how = match owner(key) {
                None => "To remove the leaver by hand, run this command".to_owned(),
                Some(owner) => format!(
                    "It is marked as belonging to {}. {}. If the leaver is still in it afterwards, run this command",
                    owner.name, owner.advice.subject
                ),
            };
            let more = match rest.len() {
                0 => String::new(),
                n => format!(" (also affected: {})", more_bindings(n)),
            };
            let message = format!(
                "The API server could not check the removal from {key} against the operator's own admission policy{more}: too many \
                 user names in the binding begin with the UID, and the check exceeds the API server's cost limit. The binding \
                 is backed up and unchanged. The other bindings are removed, and the kubeconfig is not purged. {how}; the \
                 operator then continues: {command}"
            );
            return Some(
                Blocked::recheck(Reason::PolicyLimitExceeded, message).about(Condition::BindingsRemoved, Is::False),
            );
        }
        if let Some((key, why)) = self.failed.first() {
            return Some(broken_off(key, why));
        }
        let conflict = |message| {
            Blocked::new(Reason::Conflict, Requeue::Backoff, message).about(Condition::BindingsRemoved, Is::False)
        };
        if let Some(key) = self.changing.first() {
            let by = owner(key).map(|m| format!(" {}", m.relation())).unwrap_or_default();
            return Some(conflict(format!(
                "{key} was changed {ATTEMPTS} times in a row between its backup and its removal.{by} Each version was backed up. \
                 The operator retries automatically. If this persists, find out in the audit log who writes to the binding."
            )));
        }
        if let Some(key) = self.changed.first() {
            return Some(conflict(format!(
                "{key} no longer matches the plan: after it was backed up, its subjects were changed, or it was replaced by \
                 another binding of the same name. The operator left it unchanged and plans it again automatically."
            )));
        }
        if let Some(blocked) = backup::left_too_large(&self.too_large, leaver) {
            return Some(blocked);
        }
        let [key, ..] = self.shared.as_slice() else { return None };
        let how = match owner(key) {
            None => "Take the UID out of the subjects by hand".to_owned(),
            Some(owner) => format!(
                "The first is marked as belonging to {}. {}, or, if it is not there, by hand",
                owner.name, owner.advice.subject
            ),
        };
        let which = match self.shared.len() {
            1 => format!("{key} is a shared binding and still names the UID"),
            n => format!("{n} shared bindings still name the UID, including {key}"),
        };
        let message = format!(
            "{which}: the operator may not change shared bindings (--remove-subjects=false). {how}. Until then, the kubeconfig is \
             not purged."
        );
        Some(Blocked::recheck(Reason::SharedBindingsKept, message).about(Condition::BindingsRemoved, Is::False))
    }
}

//! Step 5: removes the bindings that are stored, each in exactly the resourceVersion that is stored, in two moves: first it
//! loses the leaver's subjects, which ends the access; then, if nobody is left in it, it is deleted.

use super::{
    backup::{self, Task},
    journal::Journal,
    outcome::{Blocked, Interrupted, Requeue},
    plan::{self, Item, Plan, more_bindings},
    policies,
    report::Report,
    run::Run,
    shells::Waiting,
    wanted::still_wanted,
};
use crate::{
    api::{BindingAction, ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::{
        BindingKey,
        backup::{Stored, TooLarge, still_there},
        by_hand,
        effects::{self, Disarmed, Effect, ReadError, Remains, Shrunk},
        owner::Manager,
        subject::Leaver,
    },
    request_id,
};
use futures::StreamExt;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// How long a removal goes on before it says in the status how far it is, and then again.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// How many bindings are removed at a time.
const PARALLEL: usize = 8;

/// How often a binding that changes under the operator's hands is backed up and tried again in one reconcile.
const ATTEMPTS: u32 = 5;

/// What became of one binding.
#[derive(Debug)]
enum Outcome {
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
struct Unremoved {
    refused: Vec<(BindingKey, String)>,
    policy_limit: Vec<(BindingKey, String)>,
    changed_by_webhook: Vec<(BindingKey, String)>,
    failed: Vec<(BindingKey, String)>,
    interrupted: Vec<(BindingKey, String)>,
    changing: Vec<BindingKey>,
    changed: Vec<BindingKey>,
    shared: Vec<BindingKey>,
    unbacked: Vec<(BindingKey, String)>,
    too_large: Vec<TooLarge>,
    managers: Vec<(BindingKey, Manager)>,
}

/// Removes what is stored, and says in the status how far it is if that takes long. One that is refused does not keep
/// the others from going. Gives what no longer names anybody and waits for its finalizers.
///
/// # Errors
/// When something is left, or when it is not known whether the last change was carried out.
pub async fn remove(
    run: &Run,
    report: &mut Report,
    record: &mut Journal,
    task: Task<'_>,
    plan: &Plan,
    backup: backup::Backup,
) -> Result<(), Interrupted> {
    let kept = plan
        .items
        .iter()
        .filter(|item| !plan::may_remove(run.settings.remove_subjects, item));
    let mut left = Unremoved {
        shared: kept.map(|item| item.binding.key.clone()).collect(),
        too_large: backup.too_large,
        changed: backup.changed,
        managers: plan.items.iter().filter_map(managed).collect(),
        ..Unremoved::default()
    };
    let mut waiting = Vec::new();
    let found: Vec<String> = backup.stored.iter().map(|(item, _)| item.binding.uid.clone()).collect();
    let total = found.len();
    let mut told = Instant::now();
    // What stops one stops those that are not begun; what is on its way is finished.
    let (halt, mut stopped) = (AtomicBool::new(false), None);
    {
        let halt = &halt;
        let removals = futures::stream::iter(backup.stored).map(|(item, stored)| async move {
            let key = item.binding.key.clone();
            let mut added = Journal::default();
            let outcome = match halt.load(Ordering::SeqCst) {
                true => None,
                false => Some(remove_one(run, task, item, stored, &mut added).await),
            };
            (key, added, outcome)
        });
        let mut outcomes = std::pin::pin!(removals.buffer_unordered(PARALLEL));
        let mut done = 0;
        while let Some((key, added, outcome)) = outcomes.next().await {
            added.parts.into_iter().for_each(|part| record.add(part));
            match outcome {
                None => continue,
                Some(Err(stop)) => {
                    halt.store(true, Ordering::SeqCst);
                    stopped.get_or_insert(stop);
                    continue;
                }
                Some(Ok(outcome)) => {
                    if matches!(outcome, Outcome::Interrupted(_)) {
                        halt.store(true, Ordering::SeqCst);
                    }
                    left.note(key, outcome, &mut waiting);
                }
            }
            done += 1;
            if told.elapsed() > TELL_EVERY && stopped.is_none() {
                report.removing(done, total);
                if let Err(stop) = report.write(run).await {
                    halt.store(true, Ordering::SeqCst);
                    stopped = Some(stop);
                }
                told = Instant::now();
            }
        }
    }
    if let Some(stop) = stopped {
        return Err(stop);
    }
    if left.interrupted.is_empty() {
        finish_shells(run, task, record, &found, &mut left, &mut waiting).await?;
    }
    waiting.sort();
    report.waiting(waiting);
    left.blocked(task.leaver).map_or(Ok(()), |blocked| Err(blocked.into()))
}

/// A binding, and who may bring it back.
fn managed(item: &Item) -> Option<(BindingKey, Manager)> {
    Some((item.binding.key.clone(), item.binding.managed_by.clone()?))
}

/// Bindings that an earlier run emptied, and was killed before it deleted them: nothing names the UID any more that would lead
/// to them but the record. Somebody may have filled one with others meanwhile: it stays.
async fn finish_shells(
    run: &Run,
    task: Task<'_>,
    record: &Journal,
    found: &[String],
    left: &mut Unremoved,
    waiting: &mut Vec<Waiting>,
) -> Result<(), Interrupted> {
    let object_uid = task.purpose.object_uid.as_str();
    let stored: Vec<Stored> = record
        .to_delete()
        .into_iter()
        .filter(|stored| {
            !found.iter().any(|uid| uid == stored.uid()) && !run.removals.is_gone(object_uid, stored.uid())
        })
        .collect();
    let ends = futures::stream::iter(stored).map(|stored| async move {
        let outcome = finish_shell(run, task, &stored).await;
        (stored.key().clone(), outcome)
    });
    let mut ends = std::pin::pin!(ends.buffer_unordered(PARALLEL));
    let mut stopped = None;
    while let Some((key, outcome)) = ends.next().await {
        match outcome {
            Ok(outcome) => left.note(key, outcome, waiting),
            Err(stop) => stopped = Some(stop),
        }
    }
    stopped.map_or(Ok(()), Err)
}

async fn finish_shell(run: &Run, task: Task<'_>, stored: &Stored) -> Result<Outcome, Interrupted> {
    match effects::remains(&run.client, stored, task.leaver).await {
        Ok(Remains::Gone) => {
            run.removals.note_gone(&task.purpose.object_uid, stored.uid());
            Ok(Outcome::Removed)
        }
        Ok(Remains::Filled) => Ok(Outcome::Removed),
        Ok(Remains::Shell(disarmed)) => second_move(run, task, stored.key(), disarmed).await,
        Err(ReadError::Api { source, .. }) => Ok(failure(&source)),
        Err(ReadError::Malformed(error)) => Ok(Outcome::Failed(error.to_string())),
    }
}

async fn remove_one(
    run: &Run,
    task: Task<'_>,
    item: Item,
    stored: Stored,
    added: &mut Journal,
) -> Result<Outcome, Interrupted> {
    let key = item.binding.key.clone();
    let (mut item, mut stored) = (item, stored);
    for _ in 0..ATTEMPTS {
        let action = item.action;
        // What others have in a shared binding is read again, and sent back.
        let room = run.room_for(item.binding.bytes).await;
        let (permit, is_stored) = tokio::join!(
            still_wanted(run, task.asked),
            still_there(&run.client, &run.settings.namespace, &stored)
        );
        let permit = permit?;
        if !is_stored? {
            return Ok(Outcome::BackupMissing(stored.config_map().to_owned()));
        }
        let change = async {
            match run.settings.remove_subjects {
                true => effects::remove_subjects(&run.client, &stored, task.leaver, &permit).await,
                // One move, for an operator that may do no other: there is nothing in between.
                false => Ok(match effects::delete(&run.client, &stored, &permit).await? {
                    Effect::Done(_) => Effect::Done(Shrunk::Shared),
                    Effect::Gone => Effect::Gone,
                    Effect::Conflict => Effect::Conflict,
                    Effect::Refused(why) => Effect::Refused(why),
                }),
            }
        };
        let (effect, request_id) = request_id::traced(change).await;
        drop(permit);
        match &effect {
            Ok(Effect::Done(_)) => tracing::info!(binding = %key, ?action, request_id, "removed"),
            Ok(Effect::Gone) => tracing::info!(binding = %key, ?action, request_id, "was already gone"),
            Ok(Effect::Conflict) => {
                tracing::info!(binding = %key, ?action, request_id, "changed in the meantime; the operator reads it again");
            }
            Ok(Effect::Refused(why)) => tracing::warn!(binding = %key, ?action, request_id, why, "not removed"),
            Err(error) => tracing::warn!(binding = %key, ?action, request_id, %error, "not removed"),
        }
        match effect {
            Ok(Effect::Done(shrunk)) => {
                run.observer.binding_removed(action);
                run.removals
                    .note_carried_out(&task.purpose.object_uid, stored.uid(), stored.resource_version());
                return match (shrunk, action) {
                    (Shrunk::Disarmed(disarmed), BindingAction::Delete) => second_move(run, task, &key, disarmed).await,
                    _ => Ok(Outcome::Removed),
                };
            }
            Ok(Effect::Gone) => return Ok(Outcome::Removed),
            Ok(Effect::Refused(why)) if policies::ran_out(&why) => {
                let command = by_hand::command(&key, stored.uid(), task.leaver);
                return Ok(Outcome::PolicyLimit(command));
            }
            // What the operator sends, its policy lets pass.
            Ok(Effect::Refused(why)) if policies::is_ours(&why) => return Ok(Outcome::ChangedByWebhook(why)),
            Ok(Effect::Refused(why)) => return Ok(Outcome::Refused(why)),
            Ok(Effect::Conflict) => {}
            Err(ReadError::Api { source, .. }) => return Ok(failure(&source)),
            Err(ReadError::Malformed(error)) => return Ok(Outcome::Failed(error.to_string())),
        }
        // To store it again takes room of its own: whoever holds some while waiting for more may wait for ever.
        drop(room);
        match changed(run, task, added, &item).await? {
            Ok((newer, proof)) => (item, stored) = (newer, proof),
            Err(outcome) => return Ok(outcome),
        }
    }
    Ok(Outcome::KeepsChanging)
}

/// Deletes what no longer names anybody.
async fn second_move(run: &Run, task: Task<'_>, key: &BindingKey, disarmed: Disarmed) -> Result<Outcome, Interrupted> {
    let permit = still_wanted(run, task.asked).await?;
    let uid = disarmed.uid().to_owned();
    let deletion = effects::delete_disarmed(&run.client, disarmed, &permit);
    let (effect, request_id) = request_id::traced(deletion).await;
    drop(permit);
    Ok(match effect {
        Ok(Effect::Done(finalizers)) if finalizers.is_empty() => {
            run.removals.note_gone(&task.purpose.object_uid, &uid);
            tracing::info!(binding = %key, request_id, "deleted");
            Outcome::Removed
        }
        Ok(Effect::Done(finalizers)) => {
            tracing::info!(binding = %key, request_id, ?finalizers, "has no subjects and waits for its finalizers");
            Outcome::Waits(format!(
                "it disappears when these finalizers are removed: {}",
                finalizers.join(", ")
            ))
        }
        Ok(Effect::Gone) => Outcome::Removed,
        // Somebody has changed it since it named nobody: what it is now is found, and planned, in the next look.
        Ok(Effect::Conflict) => Outcome::Changed,
        Ok(Effect::Refused(why)) => {
            // It grants nothing any more, and ACK's purge cannot take it for the leaver's: it holds nothing up.
            tracing::warn!(binding = %key, request_id, why, "has no subjects but was not deleted");
            Outcome::Waits(format!(
                "the API server refused to delete it: {}",
                why.trim_end_matches('.')
            ))
        }
        Err(ReadError::Api { source, .. }) => failure(&source),
        Err(ReadError::Malformed(error)) => Outcome::Failed(error.to_string()),
    })
}

fn failure(error: &kube::Error) -> Outcome {
    match error {
        // A webhook of one namespace that is down, say: the others must not wait for it.
        kube::Error::Api(status) => Outcome::Failed(status.message.clone()),
        error => Outcome::Interrupted(error.to_string()),
    }
}

/// Someone changed the binding since it was stored: reads it again, and stores the new version.
async fn changed(
    run: &Run,
    task: Task<'_>,
    added: &mut Journal,
    item: &Item,
) -> Result<Result<(Item, Stored), Outcome>, Interrupted> {
    let key = item.binding.key.clone();
    let Some(binding) = run.bindings.read(task.leaver, vec![key]).await?.pop() else {
        return Ok(Err(Outcome::Removed));
    };
    if !binding.names_leaver() {
        return Ok(Err(Outcome::Removed));
    }
    let newer = plan::item(task.barrier, binding);
    if newer.fingerprint != item.fingerprint {
        return Ok(Err(Outcome::Changed));
    }
    let mut backup = backup::store_items(run, task, added, vec![newer]).await?;
    if let Some(left) = backup.too_large.pop() {
        return Ok(Err(Outcome::TooLarge(left)));
    }
    Ok(backup.stored.pop().ok_or(Outcome::Changed))
}

fn broken_off(key: &BindingKey, error: &str) -> Blocked {
    let message = format!(
        "Removing {key} was interrupted: {error}. The binding is backed up. The next reconcile checks the result."
    );
    Blocked::new(Reason::Conflict, Requeue::Backoff, message).about(Condition::BindingsRemoved, Is::False)
}

impl Unremoved {
    fn note(&mut self, key: BindingKey, outcome: Outcome, waiting: &mut Vec<Waiting>) {
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

    fn blocked(mut self, leaver: &Leaver) -> Option<Blocked> {
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

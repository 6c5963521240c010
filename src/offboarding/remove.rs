//! Step 5: removes the bindings that are stored, each in exactly the resourceVersion that is stored, in two moves: first it
//! loses the leaver's subjects, which ends the access; then, if nobody is left in it, it is deleted.

use super::{
    backup::{self, Task},
    journal::Journal,
    outcome::Interrupted,
    plan::{self, Item, Plan},
    policies,
    report::Report,
    run::Run,
    shells::Waiting,
    unremoved::{ATTEMPTS, Outcome, Unremoved},
    wanted::still_wanted,
};
use crate::{
    api::BindingAction,
    rbac::{
        BindingKey,
        backup::{Stored, still_there},
        by_hand,
        effects::{self, Disarmed, Effect, ReadError, Remains, Shrunk},
        owner::Manager,
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

/// Removes what is stored, and says in the status how far it is if that takes long. One that is refused does not keep
/// the others from going. Gives what no longer names anybody and waits for its finalizers.
///
/// # Errors
/// When something is left, or when it is not known whether the last change was carried out.
pub(super) async fn remove(
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

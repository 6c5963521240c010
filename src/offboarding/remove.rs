//! Step 5: removes the bindings that are stored, each in exactly the resourceVersion that is stored.

use super::{
    backup::{self, VerifiedBackup},
    context::{Context, RESTORES},
    hold::{Again, Hold, Stop},
    plan::{self, Item, Plan, bindings},
    record::Record,
    report::Report,
};
use crate::{
    api::{BindingAction, ConditionStatus as Is, ConditionType as Condition, Reason, UserOffboarding},
    rbac::{
        BindingKey,
        backup::Purpose,
        live::{self, Effect},
        subject,
    },
};
use std::time::{Duration, Instant};

/// How many bindings are removed at a time.
const PARALLEL: usize = 8;

/// How long a removal goes on before it says in the status how far it is, and then again.
const TELL_EVERY: Duration = Duration::from_secs(3);

/// How often a binding that changes under the operator's hands is backed up and tried again in one reconcile.
const ATTEMPTS: u32 = 5;

/// What was not removed, and why.
#[derive(Debug, Default)]
struct Left {
    refused: Vec<(BindingKey, String)>,
    failed: Vec<(BindingKey, String)>,
    changing: Vec<BindingKey>,
    shared: Vec<BindingKey>,
}

/// Removes what `stored` holds, and says in the status how far it is if that takes long. One that is refused does not keep
/// the others from going.
///
/// # Errors
/// When something is left, or when it is not known whether the last changes were carried out.
pub async fn remove(
    ctx: &Context,
    report: &mut Report,
    record: &mut Record,
    purpose: &Purpose,
    plan: &Plan,
    stored: &VerifiedBackup,
) -> Result<(), Stop> {
    let kept = plan
        .items
        .iter()
        .filter(|item| !may_remove(ctx, item))
        .map(|item| item.binding.key.clone());
    let mut left = Left {
        shared: kept.collect(),
        ..Left::default()
    };
    let items: Vec<_> = stored.items().iter().filter(|item| !item.binding.terminating).collect();
    let (mut told, mut done) = (Instant::now(), 0);
    for batch in items.chunks(PARALLEL) {
        let attempts = batch.iter().map(|item| attempt(ctx, &report.object, purpose, item));
        // All of them come to their end before the first that failed ends the run.
        let outcomes = futures::future::join_all(attempts).await;
        for (item, outcome) in batch.iter().zip(outcomes) {
            if left.takes(item, outcome?) {
                retry(ctx, &report.object, record, purpose, item, &mut left).await?;
            }
        }
        done += batch.len();
        if told.elapsed() > TELL_EVERY && done < items.len() {
            report.removing(done, items.len());
            report.write(ctx).await?;
            told = Instant::now();
        }
    }
    left.hold(stored).map_or(Ok(()), |hold| Err(hold.into()))
}

/// Whether something restores a binding as fast as it is removed: then the operator stops, and names it.
///
/// # Errors
/// With the hold that names it.
pub fn not_restored_each_time(ctx: &Context, plan: &Plan) -> Result<(), Hold> {
    let Some(item) = plan.items.iter().find(|item| ctx.keeps_returning(&item.binding.key)) else {
        return Ok(());
    };
    let (times, within) = RESTORES;
    let by = item
        .managed_by
        .clone()
        .unwrap_or_else(|| "something that leaves no mark on it".to_owned());
    let message = format!(
        "{} was removed {times} times within {} minutes, and returned each time: {by} restores it. Remove it there (from Git, \
         say); the operator looks again every hour.",
        item.binding.key,
        within.as_secs() / 60
    );
    Err(Hold::stall(Reason::RestoredByManager, message).about(Condition::BindingsRemoved, Is::False))
}

/// Whether the operator is allowed to do what the plan says of a binding.
pub fn may_remove(ctx: &Context, item: &Item) -> bool {
    item.action == BindingAction::Delete || ctx.settings.remove_subjects
}

/// Removes one binding in exactly the resourceVersion that is stored.
async fn attempt(
    ctx: &Context,
    object: &UserOffboarding,
    purpose: &Purpose,
    item: &Item,
) -> Result<Result<Effect, String>, Stop> {
    let key = &item.binding.key;
    ctx.still_wanted(object).await?;
    let effect = match item.action {
        BindingAction::Delete => live::delete(&ctx.client, &item.binding).await,
        BindingAction::RemoveSubject => {
            live::remove_subjects(&ctx.client, &item.binding, subject::key(&purpose.uid)).await
        }
    };
    match effect {
        Ok(effect) => {
            if matches!(effect, Effect::Done) {
                tracing::info!(binding = %key, action = ?item.action, "removed");
                ctx.note_removal(key);
            }
            Ok(Ok(effect))
        }
        // A webhook of one namespace that is down, say: the others must not wait for it.
        Err(kube::Error::Api(status)) => Ok(Err(status.message.clone())),
        Err(error) => Err(broken_off(key, &error.to_string()).into()),
    }
}

/// Someone changed the binding after it was stored: stores and removes it as it is now.
async fn retry(
    ctx: &Context,
    object: &UserOffboarding,
    record: &mut Record,
    purpose: &Purpose,
    item: &Item,
    left: &mut Left,
) -> Result<(), Stop> {
    let mut item = item.clone();
    for _ in 1..ATTEMPTS {
        match changed(ctx, object, record, purpose, &item).await? {
            Changed::Harmlessly(newer) => item = *newer,
            Changed::NothingToDo => return Ok(()),
            // Another subject, or another object of this name: the plan did not hold it. It is planned anew.
            Changed::Materially => break,
        }
        if !left.takes(&item, attempt(ctx, object, purpose, &item).await?) {
            return Ok(());
        }
    }
    left.changing.push(item.binding.key);
    Ok(())
}

enum Changed {
    Harmlessly(Box<Item>),
    Materially,
    NothingToDo,
}

/// Someone changed the binding since it was stored: reads it again, and stores the new version.
async fn changed(
    ctx: &Context,
    object: &UserOffboarding,
    record: &mut Record,
    purpose: &Purpose,
    item: &Item,
) -> Result<Changed, Stop> {
    let key = item.binding.key.clone();
    let Some(binding) = super::observe::read(ctx, vec![key]).await?.pop() else {
        return Ok(Changed::NothingToDo);
    };
    let newer = plan::item(&purpose.uid, binding);
    if newer.names.is_empty() || newer.binding.terminating {
        return Ok(Changed::NothingToDo);
    }
    if newer.fingerprint != item.fingerprint {
        return Ok(Changed::Materially);
    }
    let stored = backup::store_items(ctx, object, record, purpose, vec![newer]).await?;
    Ok(stored
        .items()
        .first()
        .map_or(Changed::Materially, |item| Changed::Harmlessly(Box::new(item.clone()))))
}

fn broken_off(key: &BindingKey, error: &str) -> Hold {
    let message =
        format!("Removing {key} was broken off: {error}. It is backed up; what came of it is looked up next.");
    Hold::wait(Reason::Conflict, Again::Backoff, message).about(Condition::BindingsRemoved, Is::False)
}

impl Left {
    /// Notes what was not removed; `true` if the binding is to be read and tried again.
    fn takes(&mut self, item: &Item, outcome: Result<Effect, String>) -> bool {
        let key = || item.binding.key.clone();
        match outcome {
            Ok(Effect::Done | Effect::Gone) => {}
            Ok(Effect::Conflict) => return true,
            Ok(Effect::Refused(why)) => self.refused.push((key(), why)),
            Err(why) => self.failed.push((key(), why)),
        }
        false
    }

    fn hold(self, stored: &VerifiedBackup) -> Option<Hold> {
        let manager = |key: &BindingKey| {
            stored
                .items()
                .iter()
                .find(|i| i.binding.key == *key)?
                .managed_by
                .clone()
        };
        if let [(key, why), rest @ ..] = self.refused.as_slice() {
            let more = if rest.is_empty() {
                String::new()
            } else {
                format!(" ({} more were refused)", bindings(rest.len()))
            };
            let message = format!(
                "The API server refused to let the operator remove {key}: {}. The bindings that it may remove are removed{more}; the \
                 kubeconfig is not purged, since ACK would remove what is left without a check. Allow it, or remove the \
                 binding by hand.",
                why.trim_end_matches('.')
            );
            return Some(Hold::stall(Reason::Forbidden, message).about(Condition::BindingsRemoved, Is::False));
        }
        if let Some((key, why)) = self.failed.first() {
            return Some(broken_off(key, why));
        }
        if let Some(key) = self.changing.first() {
            let by = manager(key)
                .map(|m| format!(" (it belongs to {m})"))
                .unwrap_or_default();
            let message = format!(
                "{key} keeps changing while it is being removed{by}. It is backed up and tried again by itself."
            );
            return Some(
                Hold::wait(Reason::Conflict, Again::Backoff, message).about(Condition::BindingsRemoved, Is::False),
            );
        }
        if let Some(hold) = backup::left_too_large(stored.too_large()) {
            return Some(hold);
        }
        let [key, ..] = self.shared.as_slice() else { return None };
        let message = format!(
            "{} shared with other subjects still name the UID, {key} among them: the operator may not change bindings \
             (--remove-subjects=false). Remove the subject by hand; the kubeconfig is not purged until then.",
            bindings(self.shared.len())
        );
        Some(Hold::stall(Reason::SharedBindingsKept, message).about(Condition::BindingsRemoved, Is::False))
    }
}

//! Step 5: removes the bindings that are stored, each in exactly the resourceVersion that is stored.

use super::{
    backup::{self, VerifiedBackup},
    context::Context,
    hold::{Again, Hold, Stop},
    plan::{self, Item, Plan, bindings},
    record::Record,
    report::Report,
};
use crate::{
    api::{BindingAction, ConditionStatus as Is, ConditionType as Condition, Reason, UserOffboarding},
    metrics::METRICS,
    rbac::{
        BindingKey,
        backup::Purpose,
        live::{self, Effect},
        subject,
    },
    request_id,
};
use std::time::{Duration, Instant};

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
    changed: Vec<BindingKey>,
    shared: Vec<BindingKey>,
}

/// Removes what `stored` holds, and says in the status how far it is if that takes long. One that is refused does not keep
/// the others from going.
///
/// # Errors
/// When something is left, or when it is not known whether the last change was carried out.
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
    let mut told = Instant::now();
    for (done, item) in items.iter().enumerate() {
        if told.elapsed() > TELL_EVERY {
            report.removing(done, items.len());
            report.write(ctx).await?;
            told = Instant::now();
        }
        one(ctx, &report.object, record, purpose, item, &mut left).await?;
    }
    left.hold(stored).map_or(Ok(()), |hold| Err(hold.into()))
}

/// Whether the operator is allowed to do what the plan says of a binding.
pub fn may_remove(ctx: &Context, item: &Item) -> bool {
    item.action == BindingAction::Delete || ctx.settings.remove_subjects
}

async fn one(
    ctx: &Context,
    object: &UserOffboarding,
    record: &mut Record,
    purpose: &Purpose,
    item: &Item,
    left: &mut Left,
) -> Result<(), Stop> {
    let key = &item.binding.key;
    let mut item = item.clone();
    for _ in 0..ATTEMPTS {
        let permit = ctx.still_wanted(object).await?;
        let change = async {
            match item.action {
                BindingAction::Delete => live::delete(&ctx.client, &item.binding).await,
                BindingAction::RemoveSubject => {
                    live::remove_subjects(&ctx.client, &item.binding, subject::key(&purpose.uid)).await
                }
            }
        };
        let (effect, request_id) = request_id::traced(change).await;
        drop(permit);
        let action = item.action;
        match &effect {
            Ok(Effect::Done) => tracing::info!(binding = %key, ?action, request_id, "removed"),
            Ok(Effect::Gone) => tracing::info!(binding = %key, ?action, request_id, "was gone already"),
            Ok(Effect::Conflict) => {
                tracing::info!(binding = %key, ?action, request_id, "changed meanwhile; it is read again");
            }
            Ok(Effect::Refused(why)) => tracing::warn!(binding = %key, ?action, request_id, why, "not removed"),
            Err(error) => tracing::warn!(binding = %key, ?action, request_id, %error, "not removed"),
        }
        let effect = match effect {
            Ok(effect) => effect,
            // A webhook of one namespace that is down, say: the others must not wait for it.
            Err(kube::Error::Api(status)) => {
                left.failed.push((key.clone(), status.message.clone()));
                return Ok(());
            }
            Err(error) => return Err(broken_off(key, &error.to_string()).into()),
        };
        match effect {
            Effect::Done => {
                METRICS.binding_removed(item.action);
                return Ok(());
            }
            Effect::Gone => return Ok(()),
            Effect::Refused(why) => {
                left.refused.push((key.clone(), why));
                return Ok(());
            }
            Effect::Conflict => match changed(ctx, object, record, purpose, &item).await? {
                Changed::Harmlessly(newer) => item = *newer,
                Changed::NothingToDo => return Ok(()),
                // Another subject, or another object of this name: the plan did not hold it. It is planned anew.
                Changed::Materially => {
                    left.changed.push(key.clone());
                    return Ok(());
                }
            },
        }
    }
    left.changing.push(key.clone());
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
        let conflict = |message| {
            Hold::wait(Reason::Conflict, Again::Backoff, message).about(Condition::BindingsRemoved, Is::False)
        };
        if let Some(key) = self.changing.first() {
            let by = manager(key)
                .map(|m| format!(" (it belongs to {m})"))
                .unwrap_or_default();
            return Some(conflict(format!(
                "{key} was changed {ATTEMPTS} times in a row between its backup and its removal{by}. Each state of it was backed \
                 up, and it is tried again by itself. If this stays, find out who writes to it: the audit log says."
            )));
        }
        if let Some(key) = self.changed.first() {
            return Some(conflict(format!(
                "{key} is not any more what the plan held: its subjects were changed, or it was replaced by another of its name, \
                 after it was backed up. It was left as it is, and is planned anew by itself."
            )));
        }
        if let Some(hold) = backup::left_too_large(stored.too_large()) {
            return Some(hold);
        }
        let [key, ..] = self.shared.as_slice() else { return None };
        let which = match self.shared.len() {
            1 => format!("{key} is shared with others and still names the UID"),
            n => format!("{n} bindings shared with others still name the UID, {key} among them"),
        };
        let message = format!(
            "{which}: the operator may not change bindings (--remove-subjects=false). Take the UID out of the subjects by \
             hand; the kubeconfig is not purged until then."
        );
        Some(Hold::stall(Reason::SharedBindingsKept, message).about(Condition::BindingsRemoved, Is::False))
    }
}

//! Bindings that return as often as they are removed, or change as often as they are about to be: they are set aside,
//! so that each look does not make one more backup of them. Pure; judged by the record alone, which a restart keeps.
//!
//! What is set aside is tried once more when the last try is older than the recheck interval: by then, whoever restored
//! it may have stopped, and nobody has to tell the operator.

use super::{
    journal::Journal,
    outcome::{Blocked, Requeue},
    plan::{Item, Plan, bindings},
};
use crate::{
    api::{BindingAction, ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::{
        BindingKey,
        backup::{StoredAction, StoredEntry},
        by_hand,
        subject::Leaver,
    },
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{collections::BTreeMap, time::Duration};

/// What counts as lately. Longer than the interval of any Git operator; by hand, nobody restores a binding that often.
const LATELY: SignedDuration = SignedDuration::from_hours(24);

/// How often a binding may be removed lately, and be there again.
const REMOVALS: usize = 3;

/// How many states of one binding may be stored lately, without an end of it.
const STATES: usize = 20;

/// A shared binding stays the same object when its subject returns. Two of its states that were stored at least so far
/// apart are two removals; closer together they may be one that met an edit.
const APART: SignedDuration = SignedDuration::from_mins(1);

/// How long a binding that came back before must stay away before its access is called gone.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// Whether this process knows that a stored state was removed. After a restart none is known, and uids and times must do.
pub(super) type CarriedOut<'a> = &'a dyn Fn(&StoredEntry) -> bool;

/// Why a binding is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It was removed so many times, and is there again; as the same object, or as a new one.
    Returns { times: usize, same_object: bool },
    /// It was stored in so many states.
    Changes(usize),
}

/// Takes what is flapping out of the plan; and what names it, for when the rest is done.
pub(super) fn defer_flapping(
    plan: Plan,
    leaver: &Leaver,
    record: &Journal,
    carried_out: CarriedOut<'_>,
    now: Timestamp,
    recheck: Duration,
) -> (Plan, Option<Blocked>) {
    let Plan { digest, items, purges } = plan;
    let (mut calm, mut aside) = (Vec::new(), Vec::new());
    for item in items {
        match why(&item, record, carried_out, now, recheck) {
            Some((why, next)) => aside.push((item, why, next)),
            None => calm.push(item),
        }
    }
    // What returns is for a person to stop: it is said first.
    aside.sort_by_key(|(_, why, _)| matches!(why, Why::Changes(_)));
    let next = aside.iter().map(|(_, _, next)| *next).min();
    let blocked = next
        .zip(aside.first())
        .map(|(next, (item, why, at))| blocked(item, leaver, *why, *at, aside.len() - 1, until(next, now)));
    (
        Plan {
            digest,
            items: calm,
            purges,
        },
        blocked,
    )
}

/// What was stored lately to be removed, with its time, oldest first.
fn lately(record: &Journal, now: Timestamp) -> impl Iterator<Item = (Timestamp, &StoredEntry)> {
    record
        .parts
        .iter()
        .filter(move |part| now.duration_since(part.created) < LATELY)
        .flat_map(|part| part.entries.iter().map(|entry| (part.created, entry)))
        .filter(|(_, entry)| entry.action != StoredAction::Keep)
}

/// Why a binding is set aside, and when it is tried once more.
fn why(
    item: &Item,
    record: &Journal,
    carried_out: CarriedOut<'_>,
    now: Timestamp,
    recheck: Duration,
) -> Option<(Why, Timestamp)> {
    let live = &item.binding;
    let earlier: Vec<(Timestamp, &StoredEntry)> = lately(record, now)
        .filter(|(_, e)| e.key == live.key)
        // A try that was begun is finished.
        .filter(|(_, e)| (&e.uid, &e.resource_version) != (&live.uid, &live.resource_version))
        .collect();
    let last = earlier.iter().map(|(time, _)| *time).max()?;
    let next = last.checked_add(recheck).ok().filter(|next| *next > now)?;
    let states = earlier.iter().filter(|(_, e)| e.uid == live.uid).count();
    let gone = |e: &StoredEntry| e.uid != live.uid || e.action == StoredAction::RemoveSubject || carried_out(e);
    let removals = removals(earlier.into_iter().filter(|(_, e)| gone(e)), carried_out);
    if removals.len() >= REMOVALS {
        let same_object = removals.iter().any(|(_, e)| e.uid == live.uid);
        let times = removals.len();
        return Some((Why::Returns { times, same_object }, next));
    }
    (states >= STATES).then_some((Why::Changes(states), next))
}

/// How often one binding was removed, of which these states were stored: another object each time; or the same one, in a state that this
/// process knows to have removed, or stored so much later that it must have been removed in between.
fn removals<'a>(
    stored: impl Iterator<Item = (Timestamp, &'a StoredEntry)>,
    carried_out: CarriedOut<'_>,
) -> Vec<(Timestamp, &'a StoredEntry)> {
    let mut removals: Vec<(Timestamp, &StoredEntry)> = Vec::new();
    for (time, entry) in stored {
        match removals.last_mut() {
            Some(last) if last.1.uid == entry.uid => {
                let apart = entry.action == StoredAction::RemoveSubject && time.duration_since(last.0) >= APART;
                let known = carried_out(entry);
                if known && !apart && !carried_out(last.1) {
                    // One removal, which met an edit.
                    *last = (time, entry);
                } else if known || apart {
                    removals.push((time, entry));
                }
            }
            _ => removals.push((time, entry)),
        }
    }
    removals
}

/// The hold before the end where a removal was undone lately: whatever undid it may do so again within seconds, and the end is called
/// only when it has had the time. `removed_at` is when this process removed something last.
pub(super) fn settling(
    record: &Journal,
    carried_out: CarriedOut<'_>,
    removed_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Blocked> {
    let mut by_key: BTreeMap<&BindingKey, Vec<(Timestamp, &StoredEntry)>> = BTreeMap::new();
    for (time, entry) in lately(record, now) {
        by_key.entry(&entry.key).or_default().push((time, entry));
    }
    let mut undone = Vec::new();
    for (key, stored) in by_key {
        let last = stored.iter().map(|(time, _)| *time).max();
        let removals = removals(stored.into_iter(), carried_out).len();
        undone.extend(last.filter(|_| removals > 1).map(|last| (key, removals, last)));
    }
    let (key, times, _) = *undone.first()?;
    // What was stored was removed later: how much, this process knows unless it has been restarted. A clock may have been ahead.
    let stored = undone.iter().map(|(_, _, last)| *last).max()?;
    let last = removed_at.map_or(stored, |at| at.max(stored)).min(now);
    let next = last.checked_add(PAUSE).ok().filter(|next| *next > now)?;
    let others = match undone.len() - 1 {
        0 => String::new(),
        n => format!(" The same goes for {} more.", bindings(n)),
    };
    let hours = LATELY.as_hours();
    let message = format!(
        "No binding names the UID now. {key} came back before and was removed {times} times within {hours} hours.{others} The operator \
         checks again in {} seconds, and reports the access as gone if nothing has come back by then.",
        PAUSE.as_secs()
    );
    Some(Blocked::new(
        Reason::InProgress,
        Requeue::After(until(next, now)),
        message,
    ))
}

fn until(time: Timestamp, now: Timestamp) -> Duration {
    // Not a moment too early: the record would still say that it is too early.
    time.duration_since(now).unsigned_abs() + Duration::from_millis(50)
}

fn blocked(item: &Item, leaver: &Leaver, why: Why, next: Timestamp, others: usize, wait: Duration) -> Blocked {
    let key = &item.binding.key;
    let hours = LATELY.as_hours();
    let next = Timestamp::from_second(next.as_second()).unwrap_or(next);
    let others = match others {
        0 => String::new(),
        n => format!(" The same goes for {} more.", bindings(n)),
    };
    let deletes = item.action == BindingAction::Delete;
    let blocked = match why {
        Why::Returns { times, same_object } => {
            let (did, is_back, restores, who) = match deletes && !same_object {
                true => (
                    "was deleted",
                    "came back",
                    "restores it, and with it the leaver's access",
                    "who creates it",
                ),
                false => (
                    "lost the leaver",
                    "they were put back",
                    "puts them back",
                    "who changes it",
                ),
            };
            let manager = item.binding.managed_by.as_ref();
            let by = match manager {
                Some(m) if m.owns => format!(
                    "it is marked as belonging to {}{}, which most likely {restores}",
                    m.name,
                    m.written_by()
                ),
                Some(m) => format!("{} {restores}", m.name),
                None => format!("something that leaves no mark on it {restores}"),
            };
            let how = match manager {
                Some(m) if m.owns => format!(
                    "{}. If it is not there, find out in the audit log {who}",
                    if deletes { m.advice.binding } else { m.advice.subject }
                ),
                Some(manager) if deletes => manager.advice.binding.to_owned(),
                Some(manager) => manager.advice.subject.to_owned(),
                None => format!("Find out in the audit log {who}, and stop it there"),
            };
            let then = match deletes {
                true => format!(
                    "The operator continues once the binding is gone. If it is still there at {next}, the operator deletes it once more."
                ),
                false => format!(
                    "The operator continues once the leaver is out of the binding. If they are still in it at {next}, the operator takes them \
                     out once more."
                ),
            };
            let message = format!(
                "{key} {did} {times} times within {hours} hours, and {is_back} each time: {by}. {how}. {then}{others}"
            );
            Blocked::recheck(Reason::RestoredByManager, message)
        }
        Why::Changes(times) => {
            let before = match deletes {
                true => "it was changed again before the operator could delete it",
                false => "the leaver was still in it, or back in it, after the operator had taken them out",
            };
            let manager = item.binding.managed_by.as_ref();
            // Who wrote the subjects need not be who changes the rest.
            let owner = manager.filter(|m| m.owns);
            let by = owner.map(|m| format!(" {}", m.relation()));
            let to_last = owner.map(|m| match deletes {
                true => format!(" {}, or it may come back.", m.advice.binding),
                false => format!(" {}, or they may come back.", m.advice.subject),
            });
            let message = format!(
                "{key} was backed up {times} times within {hours} hours, each time in a different state: {before}. It still grants access.{} Find out \
                 in the audit log who writes to it, and stop them. The operator tries once more at {next}.{others} To take the leaver out at \
                 once: {}{}",
                by.unwrap_or_default(),
                by_hand::command(key, &item.binding.uid, leaver),
                to_last.unwrap_or_default()
            );
            Blocked::recheck(Reason::KeepsChanging, message)
        }
    };
    Blocked {
        again: Requeue::After(wait),
        ..blocked.about(Condition::BindingsRemoved, Is::False)
    }
}

#[cfg(test)]
mod tests;

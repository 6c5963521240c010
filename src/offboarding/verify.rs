//! Step 6: proves that no binding names the UID, by a read that is known to be current.

use super::{
    outcome::{self, Blocked, Interrupted, Requeue},
    plan,
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::{BindingKey, LiveBinding, Match, subject::Leaver},
    sources::bindings::{Bindings, PARALLEL_READS},
};
use alibaba_cloud::Uid;
use futures::StreamExt;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the proof is good for: ACK's purge must follow it at once.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// How often the barrier is asked again about a binding that it lists and that cannot be read.
const LOOKS: u32 = 3;

/// Proof that no binding named the UID, and none was undecided, at some moment after `began`.
///
/// Made here only: [`super::purge`] asks ACK for nothing without one, of this UID, that is not older than two seconds.
#[derive(Debug)]
pub(super) struct NoBindings {
    uid: Uid,
    began: Instant,
}

impl NoBindings {
    /// Whether it is of this UID, and not too old.
    pub(super) fn holds_for(&self, uid: Uid) -> bool {
        self.uid == uid && self.began.elapsed() < GOOD_FOR
    }
}

/// Asks the barrier. A read by name never overrules it: what it lists, and what is not there when it is read, is asked for again.
///
/// # Errors
/// When a binding is left that names the UID, or may.
pub(super) async fn verify(bindings: &Bindings, leaver: &Leaver) -> Result<NoBindings, Interrupted> {
    let failed = |e: kube::Error| outcome::api_server(&e, "Verifying that no binding is left failed");
    // What no look could find: the API server lists it each time.
    let mut never_found: Option<BTreeSet<BindingKey>> = None;
    let mut changing = None;
    for _ in 0..LOOKS {
        let began = Instant::now();
        let relations = [Match::User, Match::OtherSuffix];
        let listed = bindings.listed(leaver.uid(), &relations).await.map_err(failed)?;
        let (mut left, mut unread) = (Vec::new(), BTreeSet::new());
        changing = None;
        let reads = futures::stream::iter(listed).map(|key| async move {
            let read = bindings.fetch(&key, leaver).await;
            (key, read)
        });
        let mut reads = std::pin::pin!(reads.buffered(PARALLEL_READS));
        while let Some((key, read)) = reads.next().await {
            match read? {
                Some(binding) if binding.names_leaver() || !binding.undecided.is_empty() => left.push(binding),
                // Under a name that the spec ignores.
                Some(binding) if binding.has_lookalike => {}
                // It was listed, and is not as it was listed: it may have changed meanwhile.
                Some(_) => changing = Some(key),
                // Or it has gone.
                None => drop(unread.insert(key)),
            }
        }
        if let Some(blocked) = hold_for(&left) {
            return Err(blocked.into());
        }
        if unread.is_empty() && changing.is_none() {
            return Ok(NoBindings {
                uid: leaver.uid(),
                began,
            });
        }
        changing = changing.or_else(|| unread.first().cloned());
        never_found = Some(match never_found {
            Some(known) => known.intersection(&unread).cloned().collect(),
            None => unread,
        });
    }
    if let Some(key) = never_found.iter().flatten().next() {
        return Err(unreadable(key).into());
    }
    Err(keeps_changing(changing.as_ref()).into())
}

/// The hold for a binding that is listed each time, and another one, or gone, when it is read.
fn keeps_changing(key: Option<&BindingKey>) -> Blocked {
    let which = key.map(ToString::to_string).unwrap_or_default();
    let message = format!(
        "{which} was listed as naming the UID {LOOKS} times, and was gone or changed when it was read. The operator does not report the access \
         as gone, and retries automatically. If this persists, find out in the audit log who writes to the binding."
    );
    Blocked::new(Reason::Conflict, Requeue::Backoff, message).about(Condition::BindingsRemoved, Is::False)
}

/// The hold for a binding that every list holds, and that is not there when it is asked for by the name in the list. It is no race: a
/// binding that has gone is not listed again.
fn unreadable(key: &BindingKey) -> Blocked {
    let which = key.to_string();
    // JSON cannot hold other bytes than UTF-8: the API server shows this character in their place.
    let why = match which.contains(char::REPLACEMENT_CHARACTER) {
        true => "Its name is not valid UTF-8, so the name that is shown is not the real one",
        false => "The operator does not know why",
    };
    let message = format!(
        "{which} names the UID, or a name that begins with it, and may still grant access: the API server lists it, but does not find \
         it under that name. {why}. All other bindings are removed. The kubeconfig is not purged. Remove this one by hand, as \
         docs/operations.md describes under BindingUnreadable; the operator then continues."
    );
    Blocked::recheck(Reason::BindingUnreadable, message).about(Condition::BindingsRemoved, Is::False)
}

fn hold_for(left: &[Arc<LiveBinding>]) -> Option<Blocked> {
    let named: Vec<_> = left.iter().filter(|b| b.names_leaver()).collect();
    let Some(first) = named.first().map(|b| &b.key) else {
        let first = left.first()?;
        let names = left
            .iter()
            .flat_map(|b| &b.undecided)
            .map(String::as_str)
            .collect::<Vec<_>>();
        return Some(undecided(
            &first.key.to_string(),
            names.first().copied().unwrap_or_default(),
            left.len(),
        ));
    };
    let mut terminating = named.iter().filter(|b| b.terminating);
    // The garbage collector is done with its own in a moment: what another controller keeps is said first.
    if let Some(stuck) = terminating
        .clone()
        .find(|b| !b.finalizers.is_empty())
        .or_else(|| terminating.next())
    {
        let message = match stuck.finalizers.as_slice() {
            [] => format!(
                "{} is being deleted, but still grants access until the garbage collector has finished with it.",
                stuck.key
            ),
            foreign => format!(
                "{} is being deleted, but still grants access until these finalizers are gone: {}. Find out why their controller \
                 does not finish. If the controller no longer exists, remove the finalizers by hand.",
                stuck.key,
                foreign.join(", ")
            ),
        };
        let blocked = Blocked::new(Reason::Terminating, Requeue::Backoff, message);
        return Some(blocked.about(Condition::BindingsRemoved, Is::False));
    }
    let message = match named.as_slice() {
        [] | [_] => format!("{first} names the UID: it appeared meanwhile. It is backed up and removed next."),
        [_, rest @ ..] => format!(
            "{first} and {} more name the UID: they appeared meanwhile. They are backed up and removed next.",
            plan::bindings(rest.len())
        ),
    };
    Some(Blocked::new(Reason::Conflict, Requeue::Backoff, message).about(Condition::BindingsRemoved, Is::False))
}

/// The hold for a user name that may be the identity's.
pub(super) fn undecided(binding: &str, name: &str, count: usize) -> Blocked {
    let name: String = name.chars().filter(|c| !c.is_control()).take(256).collect();
    let more = match count {
        0 | 1 => String::new(),
        n => format!(" ({} more hold such names)", plan::bindings(n - 1)),
    };
    let message = format!(
        "{binding} names the user {name:?}{more}. That begins with the UID, and does not end in digits as ACK's certificates do: the \
         operator does not know whose it is. The kubeconfig is not purged, and access is not called gone, until somebody decides. If it is \
         the identity's, add it to names.include, and the operator removes it; if it is not, add it to names.ignore, and it stays."
    );
    Blocked::recheck(Reason::UndecidedNames, message).about(Condition::BindingsRemoved, Is::False)
}

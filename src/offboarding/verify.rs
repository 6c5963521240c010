//! Step 6: proves that no binding names the UID, by a read that is known to be current.

use super::{
    context::Context,
    hold::{self, Again, Hold, Stop},
    observe,
    plan::bindings,
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::{Match, subject},
    uid::Uid,
};

/// Proof that no binding named the UID at some moment after the step was begun.
///
/// Made here only: [`super::purge`] cannot be called without one.
#[derive(Debug)]
pub struct NoBindings(());

/// Asks the fence.
///
/// # Errors
/// When a binding is left: one that appeared meanwhile, or one that waits for its finalizers.
pub async fn verify(ctx: &Context, uid: &Uid) -> Result<NoBindings, Stop> {
    let key = subject::key(uid);
    let found = ctx.fence.find(key, Match::User).await;
    let found = found.map_err(|e| hold::api_server(&e, "Verifying that no binding is left failed"))?;
    // A live list may be a moment old when it is read here; what is read now is what counts.
    let left: Vec<_> = observe::read(ctx, found)
        .await?
        .into_iter()
        .filter(|b| !b.names_of(key).is_empty())
        .collect();
    let Some(first) = left.first().map(|b| &b.key) else {
        return Ok(NoBindings(()));
    };
    if let Some(stuck) = left.iter().find(|b| b.terminating) {
        let finalizers: Vec<_> = stuck
            .raw
            .pointer("/metadata/finalizers")
            .and_then(|list| list.as_array())
            .into_iter()
            .flatten()
            .filter_map(|finalizer| finalizer.as_str())
            .collect();
        let message = format!(
            "{} is being deleted, but grants access until its finalizers are gone: {}. Find out why the controller that set \
             them does not finish; if it does not exist any more, remove them by hand.",
            stuck.key,
            finalizers.join(", ")
        );
        let hold = Hold::wait(Reason::Terminating, Again::Backoff, message);
        return Err(hold.about(Condition::BindingsRemoved, Is::False).into());
    }
    let message = match left.as_slice() {
        [] | [_] => format!("{first} names the UID: it appeared meanwhile. It is backed up and removed next."),
        [_, rest @ ..] => format!(
            "{first} and {} more name the UID: they appeared meanwhile. They are backed up and removed next.",
            bindings(rest.len())
        ),
    };
    Err(Hold::wait(Reason::Conflict, Again::Backoff, message)
        .about(Condition::BindingsRemoved, Is::False)
        .into())
}

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
    let Some(first) = left.first() else {
        return Ok(NoBindings(()));
    };
    let names = &first.key;
    if let Some(stuck) = left.iter().find(|b| b.terminating) {
        let finalizers = stuck
            .raw
            .pointer("/metadata/finalizers")
            .map(|f| f.to_string())
            .unwrap_or_default();
        let message = format!(
            "{} is deleted but waits for its finalizers {finalizers}, and grants access until they are gone. Find out why \
             whoever set them does not finish.",
            stuck.key
        );
        let hold = Hold::wait(Reason::Terminating, Again::Backoff, message);
        return Err(hold.about(Condition::BindingsRemoved, Is::False).into());
    }
    let message = format!(
        "{} of the UID appeared meanwhile, {names} among them. They are removed next.",
        bindings(left.len())
    );
    Err(Hold::wait(Reason::Conflict, Again::Backoff, message)
        .about(Condition::BindingsRemoved, Is::False)
        .into())
}

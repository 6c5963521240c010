//! Bindings that name nobody and are still there: what holds them.

use super::{journal::Journal, outcome::Interrupted, run::Run};
use crate::{
    rbac::{
        BindingKey, LiveBinding,
        effects::{self, Remains},
        subject::Leaver,
    },
    sources::bindings::PARALLEL_READS,
};
use futures::StreamExt;
use std::sync::Arc;

/// A binding that no longer names anybody and is still there, and why.
pub(super) type Waiting = (BindingKey, String);

/// How many bindings of the record no longer name anybody, and are still there for another reason than that the garbage collector has
/// not come to them yet.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn shells(
    run: &Run,
    leaver: &Leaver,
    record: &Journal,
    object_uid: &str,
    found: &[Arc<LiveBinding>],
) -> Result<u32, Interrupted> {
    let unknown = record.to_delete().into_iter().filter(|stored| {
        !run.removals.is_gone(object_uid, stored.uid()) && found.iter().all(|b| b.uid != stored.uid())
    });
    let reads = futures::stream::iter(unknown).map(|stored| async move {
        let remains = effects::remains(&run.client, &stored, leaver).await;
        (stored, remains)
    });
    let mut reads = std::pin::pin!(reads.buffer_unordered(PARALLEL_READS));
    let mut shells = 0;
    while let Some((stored, remains)) = reads.next().await {
        match remains? {
            Remains::Shell(disarmed) if disarmed.waits_for.as_ref().is_none_or(|list| !list.is_empty()) => shells += 1,
            Remains::Gone | Remains::Shell(_) => run.removals.note_gone(object_uid, stored.uid()),
            Remains::Filled => {}
        }
    }
    Ok(shells)
}

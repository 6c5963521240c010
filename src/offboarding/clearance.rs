//! What passed the checks of a run, remembered item by item: whatever is found later is checked anew, at any time.
//!
//! The decision and the digest of the list are in the status, which only the operator writes; the list itself is in an
//! immutable ConfigMap, and counts only if its sha256 is the one in the status. Conditions and backups decide nothing.

use super::{
    cleared::{Cleared, digest},
    decide::Clearance,
    facts::Facts,
    outcome::{Blocked, Interrupted, Requeue},
    plan::Plan,
    report::Report,
    run::Run,
    wanted::still_wanted,
};
use crate::{
    api::{ClearanceStatus, ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::backup,
};
use kube::ResourceExt;
use std::{collections::BTreeSet, time::Duration};

/// How many items pass the checks at a time: their list must fit in a ConfigMap.
pub(super) const ITEMS_AT_MOST: usize = 10_000;

/// Takes out of the plan what is more than that; and the hold for when the rest is done: it comes in the next pass.
pub(super) fn within(mut plan: Plan) -> (Plan, Option<Blocked>) {
    let Some(more) = plan.items.len().checked_sub(ITEMS_AT_MOST).filter(|more| *more > 0) else {
        return (plan, None);
    };
    plan.items.truncate(ITEMS_AT_MOST);
    let message = format!(
        "The first {} are removed. {more} more name the UID and are removed next.",
        super::plan::bindings(ITEMS_AT_MOST)
    );
    let blocked = Blocked::new(Reason::InProgress, Requeue::After(NEXT_PASS), message);
    (plan, Some(blocked.about(Condition::BindingsRemoved, Is::False)))
}

/// When the next pass begins.
const NEXT_PASS: Duration = Duration::from_secs(1);

/// Writes down what passed the checks, before the first change: the list, then the status. `planned` is all that there is to do, and
/// `plan` the part of it that passed.
///
/// # Errors
/// When either cannot be written.
pub(super) async fn write(
    run: &Run,
    report: &mut Report,
    facts: &Facts,
    planned: &BTreeSet<String>,
    plan: &Plan,
    clearance: &Clearance,
) -> Result<Cleared, Interrupted> {
    // Also when the list is written already: what is left of this run is changed in this reconcile.
    run.prover.demand().await?;
    let decision = clearance.decision();
    let known = facts.cleared.run().is_some_and(|begun| begun.decision == decision);
    if known && facts.cleared.covers_all(plan.fingerprints()) {
        return Ok(facts.cleared.clone());
    }
    // What is no longer planned is gone, or another: neither needs to have passed.
    let mut items: BTreeSet<String> = facts.cleared.items().intersection(planned).cloned().collect();
    items.extend(plan.fingerprints().map(str::to_owned));
    let lines: Vec<&str> = items.iter().map(String::as_str).collect();
    let list = lines.join("\n");
    let map = backup::clearance_map(facts.uid, &facts.object_uid, &list, &run.settings.namespace);
    let permit = still_wanted(run, &facts.asked).await?;
    let stored = backup::create(&run.client, &map).await;
    let (stored, request_id) = stored.map_err(|error| not_written(&error))?;
    drop(permit);
    if stored.data != map.data || stored.immutable != Some(true) {
        let name = format!("{}/{}", run.settings.namespace, map.name_any());
        return Err(not_as_written(&name).into());
    }
    let run_id = match facts.cleared.run() {
        Some(begun) => begun.run_id.clone(),
        None => new_run_id(),
    };
    let begun = ClearanceStatus {
        run_id,
        decision,
        item_count: items.len() as u32,
        items_digest: digest(&list),
        list: map.name_any(),
    };
    tracing::info!(
        run = begun.run_id,
        ?decision,
        items = begun.item_count,
        list = begun.list,
        request_id,
        "cleared"
    );
    report.cleared(begun.clone());
    report.write(run).await?;
    Ok(Cleared::new(begun, items))
}

fn new_run_id() -> String {
    let mut bytes = [0; 10];
    // Only to tell runs apart: where the system has no randomness, the clock and the fast generator do.
    if getrandom::fill(&mut bytes).is_err() {
        bytes.copy_from_slice(&fastrand::u128(..).to_be_bytes()[..10]);
    }
    hex::encode(bytes)
}

fn not_as_written(config_map: &str) -> Blocked {
    let message = format!(
        "ConfigMap {config_map} does not contain the list of bindings and kubeconfig that was written to it. The operator removes \
         nothing without that list. Find out what created or changed the ConfigMap (a mutating webhook or policy, say), and remove it as \
         described in docs/operations.md. The operator checks again every hour."
    );
    Blocked::recheck(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}

fn not_written(error: &backup::StoreError) -> Blocked {
    super::backup::not_stored(
        error,
        "Cannot store the list of bindings and kubeconfig that passed the checks",
    )
}

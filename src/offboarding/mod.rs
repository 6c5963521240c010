//! The main job, a step a file:
//!
//! ```text
//! observe ─▶ plan ─▶ decide ─▶ clearance ─▶ backup ─▶ remove ─▶ verify ─▶ purge ─▶ confirm ─▶ report
//! (facts)   (pure)  Clearance              Stored   Disarmed   NoBindings
//! ```
//!
//! Beside the flow, `authors` asks the audit log who asked and who approved, `monitor` watches what is complete, and `policies` proves what
//! every effect needs.
//!
//! Every step may stop the run with a [`Blocked`]: a reason, a message for a person, and when to look again. What was
//! done so far is never undone, and found again by the next reconcile in the backups and in the cluster itself.

pub(crate) mod authors;
mod backup;
mod budget;
pub(crate) mod claims;
mod clearance;
mod cleared;
mod confirm;
mod consequences;
mod decide;
mod elsewhere;
mod events;
mod facts;
mod flapping;
mod journal;
mod monitor;
mod observe;
pub(crate) mod outcome;
pub(crate) mod pace;
mod peers;
pub mod plan;
pub(crate) mod policies;
mod purge;
mod refusal;
mod removals;
mod remove;
mod report;
pub(crate) mod retries;
pub(crate) mod run;
mod runs;
pub(crate) mod settings;
mod shells;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unreadable;
mod unremoved;
mod verify;
mod wanted;
pub(crate) mod watched;

use crate::{
    api::{Reason, UserOffboarding},
    rbac::backup::StoredEntry,
    sources::activity::Answer,
};
use alibaba_cloud::Uid;
use decide::GateInput;
use facts::Facts;
use journal::Journal;
use kube::{ResourceExt, runtime::controller::Action};
use outcome::{Blocked, Done, Interrupted, Requeue};
use report::Report;
use run::Run;
use std::time::Duration;

/// What was observed is void; an edit wakes the object by itself, but a status that kept changing does not.
const ANEW: Action = Action::requeue(Duration::from_secs(1));

/// Brings one object a step nearer to its end, reports, and says when to look again.
///
/// # Errors
/// When the status could not be written.
pub async fn reconcile(run: &Run, object: UserOffboarding, uid: Uid) -> Result<Action, Blocked> {
    if let Some(action) = monitor::still_complete(run, &object, uid).await {
        return Ok(action);
    }
    let mut report = Report::begin(object, run.clock.clone(), run.backups.namespace());
    let outcome = match observe::observe(run, report.object(), uid).await {
        Ok(facts) => {
            let mut journal = facts.record.clone();
            let outcome = offboard(run, &mut report, &facts, &mut journal).await;
            report.count(run, &facts, &journal).await.and(outcome)
        }
        Err(stop) => Err(stop),
    };
    let outcome = match outcome {
        Ok(done) => Ok(done),
        Err(Interrupted::Blocked(blocked)) => Err(blocked),
        Err(Interrupted::Superseded) => return Ok(ANEW),
    };
    report.finish(outcome.as_ref());
    match report.write(run).await {
        Ok(()) => Ok(look_again(run, report.object(), &outcome)),
        Err(Interrupted::Superseded) => Ok(ANEW),
        Err(Interrupted::Blocked(blocked)) => Err(blocked),
    }
}

async fn offboard(run: &Run, report: &mut Report, facts: &Facts, journal: &mut Journal) -> Result<Done, Interrupted> {
    report.observed(facts);
    decide::guards(facts)?;
    report.identified(facts);
    let plan = plan::plan(facts);
    report.planned(run.settings.remove_subjects, &plan, facts);
    if decide::is_dry_run(facts) && !facts.spec.suspend {
        if !facts.holds_nothing() {
            look(run, report, facts, &plan).await;
        }
        return Ok(report.dry_run(facts, &plan));
    }

    let _claim = run.claims.claim(facts.uid, report.object())?;
    let activity = match decide::must_ask_for_activity(facts, &plan) {
        true => Some(look(run, report, facts, &plan).await),
        false => None,
    };
    let case = GateInput {
        facts,
        plan: &plan,
        activity: activity.as_ref(),
    };
    let (clearance, held) = match decide::gates(case) {
        Ok(clearance) => {
            report.approved(&clearance);
            (clearance, None)
        }
        // What passed the checks of this run goes on; what came later waits, and with it the end.
        Err(blocked) => match decide::rest(case, &blocked) {
            Some(clearance) => (clearance, Some(blocked)),
            None => {
                report.removal_waits(facts);
                return Err(report.with_consequences(blocked, facts).into());
            }
        },
    };
    let planned = plan.fingerprints().map(str::to_owned).collect();
    let plan = match held {
        Some(_) => plan.only(|item| facts.cleared.covers(&item.fingerprint)),
        None => plan,
    };
    let (plan, deferred) = flapping::defer_flapping(
        plan,
        &facts.leaver,
        &facts.record,
        &|entry| {
            run.removals
                .was_carried_out(&facts.object_uid, &entry.uid, &entry.resource_version)
        },
        facts.now,
        run.settings.recheck_interval,
    );
    let (plan, over_budget) = budget::within(
        plan,
        &facts.record,
        facts.now,
        usize::from(run.settings.backups_per_day),
    );
    let (plan, next_pass) = clearance::within(plan);
    let later = held.or(deferred).or(over_budget).or(next_pass);
    if plan.items.is_empty() {
        later.clone().map_or(Ok(()), Err)?;
    }

    if !facts.holds_nothing() && !facts.in_progress() {
        run.limit.begin(&run.client, facts).await?;
    }
    let cleared = match facts.holds_nothing() && !facts.in_progress() {
        true => facts.cleared.clone(),
        false => {
            report.started(&plan, facts.in_progress());
            let cleared = clearance::write(run, report, facts, &planned, &plan, &clearance).await?;
            report.approved_by(&plan.digest);
            report.write(run).await?;
            cleared
        }
    };
    let purpose = backup::purpose(facts, &cleared, &plan.digest, &clearance);
    let task = backup::Task {
        asked: &facts.asked,
        leaver: &facts.leaver,
        purpose: &purpose,
        barrier: &facts.barrier,
    };
    let stored = backup::back_up(run, task, journal, &plan).await?;
    report.backed_up(journal, run.backups.namespace());
    remove::remove(run, report, journal, task, &plan, stored).await?;
    later.map_or(Ok(()), Err)?;
    if let Some(unread) = facts.unread.first() {
        return Err(unreadable::cannot_handle(unread).into());
    }
    verify::verify(&run.bindings, &facts.leaver).await?;
    report.bindings_removed(journal);
    let purge = purge::purge(run, report, facts, journal, task, &cleared, &clearance).await?;
    confirm::confirm(run, report, facts, purge).await?;
    report.check_backups(&run.backups, journal, &facts.object_uid).await?;
    let removed = &run.removals;
    let carried_out =
        |entry: &StoredEntry| removed.was_carried_out(&facts.object_uid, &entry.uid, &entry.resource_version);
    let removed_at = removed.removed_at(&facts.object_uid);
    if let Some(blocked) = flapping::settling(journal, &carried_out, removed_at, run.clock.now()) {
        return Err(blocked.into());
    }
    let elsewhere = elsewhere::find(&run.backups, facts).await;
    report.found_elsewhere(facts, elsewhere.as_ref());
    Ok(report::complete(facts, elsewhere.as_ref()))
}

/// Asks what the audit log says of the identity and what the plan means, and reports both.
async fn look(run: &Run, report: &mut Report, facts: &Facts, plan: &plan::Plan) -> Answer {
    let question = facts.question();
    let (activity, consequences) = tokio::join!(
        run.cluster.activity(&question),
        consequences::of(run.bindings.index(), &run.cluster, facts, plan)
    );
    report.activity(&activity);
    report.consequences(consequences, facts);
    activity
}

fn look_again(run: &Run, object: &UserOffboarding, outcome: &Result<Done, Blocked>) -> Action {
    let object_uid = object.uid().unwrap_or_default();
    let again = match outcome {
        Ok(done) if done.reason == Reason::DryRunComplete => Requeue::Recheck,
        Ok(_) => Requeue::Poll,
        Err(blocked) => blocked.again,
    };
    let least = match again {
        Requeue::Backoff => Some(Duration::ZERO),
        Requeue::NotBefore(time) => Some(time),
        _ => None,
    };
    if let Some(least) = least {
        return Action::requeue(run.retries.backoff(&object_uid).max(least));
    }
    run.retries.recovered(&object_uid);
    match again {
        Requeue::Recheck | Requeue::Backoff | Requeue::NotBefore(_) => {
            Action::requeue(run.settings.recheck_interval.mul_f64(fastrand::f64().mul_add(0.2, 0.9)))
        }
        Requeue::Poll => {
            run.retries.polled(&object_uid);
            Action::requeue(run.settings.poll_interval)
        }
        Requeue::After(time) => Action::requeue(time),
        Requeue::OnEdit => Action::await_change(),
    }
}

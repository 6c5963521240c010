//! The main job, a step a file:
//!
//! ```text
//! observe ─▶ plan ─▶ decide ─▶ clearance ─▶ backup ─▶ remove ─▶ verify ─▶ purge ─▶ confirm ─▶ report
//! (facts)   (pure)  Clearance              Stored   Disarmed   NoBindings
//! ```
//!
//! Every step may stop the run with a [`Blocked`]: a reason, a message for a person, and when to look again. What was
//! done so far is never undone, and found again by the next reconcile in the backups and in the cluster itself.

pub mod activity;
pub mod backup;
pub mod budget;
pub mod clearance;
pub mod cleared;
pub mod confirm;
pub mod consequences;
pub mod context;
pub mod decide;
pub mod elsewhere;
pub mod events;
pub mod flapping;
pub mod identity;
pub mod journal;
pub mod memory;
pub mod monitor;
pub mod observe;
pub mod outcome;
pub mod peers;
pub mod plan;
pub mod policies;
pub mod purge;
pub mod remove;
pub mod report;
pub mod runs;
pub mod settings;
pub mod shells;
#[cfg(test)]
mod testing;
pub mod verify;
pub mod watched;

use crate::{
    api::{Reason, UserOffboarding},
    rbac::backup::StoredEntry,
};
use alibaba_cloud::Uid;
use context::Context;
use decide::GateInput;
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};
use observe::Facts;
use outcome::{Blocked, Done, Interrupted, Requeue};
use report::Report;
use std::time::Duration;

/// What was observed is void; an edit wakes the object by itself, but a status that kept changing does not.
const ANEW: Action = Action::requeue(Duration::from_secs(1));

/// Brings one object a step nearer to its end, reports, and says when to look again.
///
/// # Errors
/// When the status could not be written.
pub async fn reconcile(ctx: &Context, object: UserOffboarding, uid: Uid) -> Result<Action, Blocked> {
    if let Some(action) = monitor::still_complete(ctx, &object, uid).await {
        return Ok(action);
    }
    let mut report = Report::begin(object);
    let outcome = match observe::observe(ctx, &report.object, uid).await {
        Ok(mut facts) => {
            let outcome = offboard(ctx, &mut report, &mut facts).await;
            report.count(ctx, &facts).await.and(outcome)
        }
        Err(stop) => Err(stop),
    };
    let outcome = match outcome {
        Ok(done) => Ok(done),
        Err(Interrupted::Blocked(blocked)) => Err(blocked),
        Err(Interrupted::Superseded) => return Ok(ANEW),
    };
    report.finish(outcome.as_ref());
    match report.write(ctx).await {
        Ok(()) => Ok(look_again(ctx, &report.object, &outcome)),
        Err(Interrupted::Superseded) => Ok(ANEW),
        Err(Interrupted::Blocked(blocked)) => Err(blocked),
    }
}

/// The flow.
async fn offboard(ctx: &Context, report: &mut Report, facts: &mut Facts) -> Result<Done, Interrupted> {
    report.observed(facts);
    decide::guards(facts)?;
    report.identified(facts);
    let plan = plan::plan(facts);
    report.planned(ctx, &plan, facts);
    if decide::is_dry_run(facts) && !facts.spec.suspend {
        if !facts.holds_nothing() {
            look(ctx, report, facts, &plan).await;
        }
        return Ok(report.dry_run(facts, &plan));
    }

    let _claim = ctx.claim(facts.leaver.uid(), &report.object)?;
    let activity = match decide::must_ask_for_activity(facts, &plan) {
        true => Some(look(ctx, report, facts, &plan).await),
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
        &|entry| ctx.was_carried_out(&facts.object_uid, &entry.uid, &entry.resource_version),
        facts.now,
        ctx.settings.recheck_interval,
    );
    let (plan, over_budget) = budget::within(
        plan,
        &facts.record,
        facts.now,
        usize::from(ctx.settings.backups_per_day),
    );
    let (plan, next_pass) = clearance::within(plan);
    let later = held.or(deferred).or(over_budget).or(next_pass);
    if plan.items.is_empty() {
        later.clone().map_or(Ok(()), Err)?;
    }

    if !facts.holds_nothing() && !facts.in_progress() {
        runs::begin(ctx, facts).await?;
    }
    if !facts.holds_nothing() || facts.in_progress() {
        report.started(&plan, facts.in_progress());
        clearance::write(ctx, report, facts, &planned, &plan, &clearance).await?;
        report.write(ctx).await?;
    }
    let purpose = backup::purpose(facts, &plan.digest, &clearance);
    let (asked, leaver, barrier) = (facts.asked.clone(), facts.leaver.clone(), facts.barrier.clone());
    let task = backup::Task {
        asked: &asked,
        leaver: &leaver,
        purpose: &purpose,
        barrier: &barrier,
    };
    let stored = backup::back_up(ctx, task, &mut facts.record, &plan).await?;
    report.backed_up(&facts.record, ctx);
    remove::remove(ctx, report, &mut facts.record, task, &plan, stored).await?;
    later.map_or(Ok(()), Err)?;
    if let Some(unread) = facts.unread.first() {
        return Err(observe::cannot_handle(unread).into());
    }
    verify::verify(ctx, &leaver).await?;
    report.bindings_removed(&facts.record);
    let purge = purge::purge(ctx, report, facts, task, &clearance).await?;
    confirm::confirm(ctx, report, facts, purge).await?;
    report.check_backups(ctx, &facts.record, &facts.object_uid).await?;
    let carried_out = |entry: &StoredEntry| ctx.was_carried_out(&facts.object_uid, &entry.uid, &entry.resource_version);
    let removed_at = ctx.removed_at(&facts.object_uid);
    if let Some(blocked) = flapping::settling(&facts.record, &carried_out, removed_at, Timestamp::now()) {
        return Err(blocked.into());
    }
    let elsewhere = elsewhere::find(ctx, facts).await;
    report.found_elsewhere(facts, elsewhere.as_ref());
    Ok(report::complete(facts, elsewhere.as_ref()))
}

/// Asks what the audit log says of the identity and what the plan means, and reports both.
async fn look(ctx: &Context, report: &mut Report, facts: &Facts, plan: &plan::Plan) -> activity::Activity {
    let (activity, consequences) = tokio::join!(activity::check(ctx, facts), consequences::of(ctx, facts, plan));
    report.activity(&activity);
    report.consequences(consequences, facts);
    activity
}

fn look_again(ctx: &Context, object: &UserOffboarding, outcome: &Result<Done, Blocked>) -> Action {
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
        return Action::requeue(ctx.backoff(&object_uid).max(least));
    }
    ctx.recovered(&object_uid);
    match again {
        Requeue::Recheck | Requeue::Backoff | Requeue::NotBefore(_) => {
            Action::requeue(ctx.settings.recheck_interval.mul_f64(fastrand::f64().mul_add(0.2, 0.9)))
        }
        Requeue::Poll => {
            ctx.polled(&object_uid);
            Action::requeue(ctx.settings.poll_interval)
        }
        Requeue::After(time) => Action::requeue(time),
        Requeue::OnEdit => Action::await_change(),
    }
}

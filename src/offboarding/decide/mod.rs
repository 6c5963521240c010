//! Step 3: whether it may go on. Two chains of small checks, in the order of what a person should read first. Pure.
//!
//! [`guards`] are about the identity, and hold everything; [`gates`] are about the first effect of a run, and end in a [`Clearance`].

mod gates;
mod guards;
#[cfg(test)]
mod tests;

pub(super) use gates::GateInput;
pub(super) use guards::guards;

use self::gates::{
    awaiting_approval, cluster_not_found, has_nothing_to_do, kubeconfig_alone_unknown, kubeconfig_unknown, suspended,
    wait_expired, waiting_for_inactivity,
};
use super::{facts::Facts, outcome::Blocked, plan::Plan};
use crate::api::{ActivityState, Approval, Decision, Mode, OnUncertainty, Reason};

/// The word that a run may change something, and why: only the gates say it, and ACK is asked for nothing without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clearance {
    decision: Decision,
    force: bool,
}

impl Clearance {
    /// Why the run may change something: stored in the status and in each backup.
    pub(super) fn decision(&self) -> Decision {
        self.decision
    }

    /// Whether ACK's own guard against purging active users is to be switched off: only where the spec says so now.
    pub(super) fn force(&self) -> bool {
        self.force
    }

    /// The decision as the reason of the condition `Approved`.
    pub(super) fn reason(&self) -> Reason {
        match self.decision {
            Decision::Automatic => Reason::Automatic,
            Decision::PlanApproved => Reason::PlanApproved,
            Decision::OverrideActive => Reason::OverrideActive,
            Decision::OverrideUnknown => Reason::OverrideUnknown,
            Decision::WaitExpired => Reason::WaitExpired,
        }
    }
}

/// Whether the run may have its first effect, or go on with those after it.
///
/// What has passed the checks is no longer stopped by activity: the leaver's own refused requests must not stop a run
/// half-way. What has not is checked, however long the run has been under way.
///
/// # Errors
/// The first gate that holds, about `Approved`.
pub(super) fn gates(case: GateInput<'_>) -> Result<Clearance, Blocked> {
    let chain: [fn(GateInput<'_>) -> Option<Blocked>; 5] = [
        suspended,
        kubeconfig_unknown,
        cluster_not_found,
        waiting_for_inactivity,
        awaiting_approval,
    ];
    match chain.into_iter().find_map(|gate| gate(case)) {
        Some(blocked) => Err(blocked),
        None => Ok(clearance(case)),
    }
}

/// Whether the part of a plan that passed the checks of this run goes on while `blocked` holds what came later: the leaver, who makes
/// one more binding, must not stop the removal of the others.
pub(super) fn rest(case: GateInput<'_>, blocked: &Blocked) -> Option<Clearance> {
    let facts = case.facts;
    let run = facts.cleared.run()?;
    let waits = matches!(blocked.reason, Reason::WaitingForInactivity | Reason::AwaitingApproval);
    let is_left = case
        .plan
        .items
        .iter()
        .any(|item| facts.cleared.covers(&item.fingerprint));
    (waits && is_left).then_some(Clearance {
        decision: run.decision,
        force: false,
    })
}

/// Whether the audit log is to be asked: for whatever has not passed the checks of the current run.
pub(super) fn must_ask_for_activity(facts: &Facts, plan: &Plan) -> bool {
    let nothing_to_ask_for = facts.spec.suspend || facts.holds_nothing() || kubeconfig_alone_unknown(facts);
    !nothing_to_ask_for && !facts.cleared.covers_all(plan.fingerprints())
}

/// Whether the spec says to change nothing, whatever the gates find.
pub(super) fn is_dry_run(facts: &Facts) -> bool {
    facts.spec.mode == Mode::DryRun
}

fn clearance(case: GateInput<'_>) -> Clearance {
    let facts = case.facts;
    let check = &facts.spec.activity_check;
    let insists = check.when_active == OnUncertainty::Proceed;
    let begun_with = facts
        .cleared
        .run()
        .filter(|_| case.activity.is_none())
        .map(|run| run.decision);
    let decision = match case.activity.map(|a| a.activity.state()) {
        // ACK counts the identity as active, and a person says to proceed with an active one.
        _ if refused_by_ack(facts) && insists => Decision::OverrideActive,
        Some(ActivityState::Active | ActivityState::Unknown) if wait_expired(facts) => Decision::WaitExpired,
        Some(ActivityState::Active) => Decision::OverrideActive,
        Some(ActivityState::Unknown) => Decision::OverrideUnknown,
        _ => match begun_with {
            Some(decision) => decision,
            None if facts.spec.approval == Approval::Manual && !has_nothing_to_do(facts) => Decision::PlanApproved,
            None => Decision::Automatic,
        },
    };
    // What was said when the run began may have been taken back since.
    let force = match decision {
        Decision::OverrideActive => insists,
        Decision::OverrideUnknown => check.when_unknown == OnUncertainty::Proceed,
        Decision::WaitExpired => check.wait_at_most_days.is_some(),
        Decision::Automatic | Decision::PlanApproved => false,
    };
    Clearance { decision, force }
}

/// Whether ACK refused the purge of this run.
fn refused_by_ack(facts: &Facts) -> bool {
    let refused = facts
        .status
        .kubeconfig
        .as_ref()
        .and_then(|kubeconfig| kubeconfig.refused_at.as_ref());
    let started = facts.status.started_at.as_ref();
    facts.in_progress() && refused.is_some_and(|refused| started.is_none_or(|started| refused.0 >= started.0))
}

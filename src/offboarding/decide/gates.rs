//! What must be true before a run has its first effect: each gate is a function, and says what it waits for.

use crate::{
    api::{
        ActivityState, Approval, ConditionStatus as Is, ConditionType as Condition, KubeconfigPolicy, OnUncertainty,
        Reason,
    },
    offboarding::{
        facts::Facts,
        outcome::{Blocked, Requeue},
        peers,
        plan::Plan,
    },
    sources::{
        QueryError,
        activity::{Answer, is_incident},
    },
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// What the gates look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateInput<'a> {
    /// Taken at one instant, before anything is done.
    pub facts: &'a Facts,
    /// What would be removed, and the digest that a person approves.
    pub plan: &'a Plan,
    /// What the audit log says; `None` when it need not be asked.
    pub activity: Option<&'a Answer>,
}

pub(super) fn suspended(case: GateInput<'_>) -> Option<Blocked> {
    let facts = case.facts;
    let message = match facts.bindings.len() {
        left @ 1.. if facts.in_progress() => format!(
            "The spec suspended the offboarding during a run: {} access. The operator does nothing more until suspend is false. \
             What was removed stays removed.",
            match left {
                1 => "1 binding is left and still grants".to_owned(),
                n => format!("{n} bindings are left and still grant"),
            }
        ),
        _ => "The spec suspends the offboarding: the operator does nothing more until suspend is false. What was done before \
         stays done."
            .to_owned(),
    };
    if facts.spec.suspend {
        return Some(Blocked::new(Reason::Suspended, Requeue::OnEdit, message).about(Condition::Approved, Is::False));
    }
    let name = &peers::suspended(&facts.peers)?.name;
    let message = format!(
        "UserOffboarding {name:?} has the same UID and is suspended. This suspends this one too. {} Set suspend to false in \
         {name:?}, or delete {name:?}.",
        facts.so_far()
    );
    Some(Blocked::new(Reason::Suspended, Requeue::Recheck, message).about(Condition::Approved, Is::False))
}

pub(super) fn kubeconfig_unknown(case: GateInput<'_>) -> Option<Blocked> {
    let trouble = case
        .facts
        .kubeconfig
        .as_ref()
        .err()
        .filter(|_| kubeconfig_alone_unknown(case.facts))?;
    let (is, reason) = if trouble.forbidden {
        (Is::False, Reason::Forbidden)
    } else {
        (Is::Unknown, Reason::LookupFailed)
    };
    let blocked = Blocked::by(trouble, case.facts.so_far());
    Some(blocked.about_as(Condition::KubeconfigPurged, is, reason))
}

/// Without bindings, all depends on the kubeconfig; with bindings, they can go while ACK does not answer.
pub(super) fn kubeconfig_alone_unknown(facts: &Facts) -> bool {
    facts.bindings.is_empty()
        && facts.spec.kubeconfig == KubeconfigPolicy::Purge
        && facts.kubeconfig.is_err()
        && !facts.in_progress()
}

/// An operator that takes its cluster for another one must not begin anything.
pub(super) fn cluster_not_found(case: GateInput<'_>) -> Option<Blocked> {
    let GateInput { facts, activity, .. } = case;
    let unknown = |trouble: &QueryError, about, reason| {
        let blocked = Blocked::by(trouble, facts.so_far());
        trouble
            .cluster_not_found
            .then(|| blocked.about_as(about, Is::Unknown, reason))
    };
    let by_log = activity.and_then(|a| unknown(a.activity.unanswered()?, Condition::Inactive, Reason::QueryFailed));
    by_log.or_else(|| {
        let trouble = facts.kubeconfig.as_ref().err().filter(|_| !facts.in_progress())?;
        unknown(trouble, Condition::KubeconfigPurged, Reason::LookupFailed)
    })
}

pub(super) fn waiting_for_inactivity(case: GateInput<'_>) -> Option<Blocked> {
    let activity = case.activity?;
    let check = &case.facts.spec.activity_check;
    let proceeds = match activity.activity.state() {
        ActivityState::Inactive => true,
        ActivityState::Active => check.when_active == OnUncertainty::Proceed,
        ActivityState::Unknown => check.when_unknown == OnUncertainty::Proceed,
    };
    if proceeds || wait_expired(case.facts) {
        return None;
    }
    let (what, unless) = match activity.activity.state() {
        ActivityState::Active => (
            "proceeds automatically once the inactivity window contains no request",
            "whenActive: Proceed",
        ),
        _ => (
            "proceeds automatically once the audit log shows an inactivity window without a request",
            "whenUnknown: Proceed",
        ),
    };
    let end = wait_end(case.facts)
        .map(|end| format!(", or at {end} (waitAtMostDays)"))
        .unwrap_or_default();
    // Somebody uses a kubeconfig of an identity that RAM has deleted: how to end that comes first.
    let (first, last) = match is_active_after_deletion(case.facts, activity) {
        true => (
            format!("To end access now, set activityCheck.{unless}. "),
            String::new(),
        ),
        false => (String::new(), format!(" To proceed now, set activityCheck.{unless}.")),
    };
    let message = format!(
        "{first}{} {} The operator checks again and {what}{end}.{last}",
        activity.message,
        case.facts.so_far()
    );
    // What keeps the operator from asking passes sooner than what keeps the log from answering.
    let again = match activity
        .activity
        .unanswered()
        .and_then(|unanswered| unanswered.retry_after)
    {
        Some(time) => Requeue::NotBefore(time),
        None => Requeue::Recheck,
    };
    Some(Blocked::new(Reason::WaitingForInactivity, again, message).about(Condition::Approved, Is::False))
}

fn is_active_after_deletion(facts: &Facts, activity: &Answer) -> bool {
    let known = facts.identity.as_ref().ok().zip(activity.activity.hit());
    known.is_some_and(|(identity, hit)| is_incident(&identity.to_status(), hit.time))
}

/// The end of the longest wait that the spec allows, if it sets one. A wait that has not begun begins now.
fn wait_end(facts: &Facts) -> Option<Timestamp> {
    let days = facts.spec.activity_check.wait_at_most_days?;
    let since = facts.status.waiting_since.as_ref().map_or(facts.now, |since| since.0);
    // The status keeps whole seconds, and what is said must not change by the fraction alone.
    let since = Timestamp::from_second(since.as_second()).ok()?;
    since.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
}

pub(super) fn wait_expired(facts: &Facts) -> bool {
    wait_end(facts).is_some_and(|end| facts.now >= end)
}

pub(super) fn awaiting_approval(case: GateInput<'_>) -> Option<Blocked> {
    let GateInput { facts, plan, .. } = case;
    if has_nothing_to_do(facts) || facts.cleared.covers_all(plan.fingerprints()) {
        return None;
    }
    let the_plan = match facts.in_progress() {
        true => "Bindings or the kubeconfig changed after the run began. The remaining plan is different: it",
        false => "The plan",
    };
    let approve = match (
        facts.spec.approval == Approval::Manual && !is_approved(facts, plan),
        peers::unapproved(&facts.peers, &plan.digest),
    ) {
        (true, _) => "To approve it, add its digest to approvals".to_owned(),
        (false, Some(peer)) => format!(
            "UserOffboarding {name:?} has the same UID and approval: Manual, so the plan must be approved there, not here. To approve it, add this \
             digest to approvals of {name:?}",
            name = peer.name
        ),
        (false, None) => return None,
    };
    let message = format!(
        "{the_plan} would {}, and needs approval. Read it in status.plan. {approve}: {}",
        plan.summary(),
        plan.digest
    );
    Some(Blocked::new(Reason::AwaitingApproval, Requeue::Recheck, message).about(Condition::Approved, Is::False))
}

/// A plan is approved as a whole, by its digest.
fn is_approved(facts: &Facts, plan: &Plan) -> bool {
    facts
        .spec
        .approvals
        .iter()
        .any(|approval| approval.digest == plan.digest)
}

pub(super) fn has_nothing_to_do(facts: &Facts) -> bool {
    facts.holds_nothing() && !facts.in_progress()
}

//! Step 3: whether it may go on. Two chains of small gates, in the order of what a person should read first. Pure.
//!
//! [`guards`] are about the identity, and hold everything; [`gates`] are about the first effect of a run.

use super::{
    facts::Facts,
    outcome::{Blocked, Requeue},
    peers,
    plan::Plan,
};
use crate::{
    api::{
        ActivityState, Approval, ConditionStatus as Is, ConditionType as Condition, Decision, Enforcement,
        IdentityType, KubeconfigPolicy, Mode, OnUncertainty, Reason,
    },
    sources::{
        QueryError,
        activity::{Answer, is_incident},
        identity::Identity,
    },
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The word that a run may change something, and why: only the gates say it, and ACK is asked for nothing without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clearance {
    decision: Decision,
    force: bool,
}

impl Clearance {
    /// Why.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// Whether ACK's own guard against purging active users is to be switched off: only where the spec says so now.
    pub fn force(&self) -> bool {
        self.force
    }

    /// The reason of `Approved`.
    pub fn reason(&self) -> Reason {
        match self.decision {
            Decision::Automatic => Reason::Automatic,
            Decision::PlanApproved => Reason::PlanApproved,
            Decision::OverrideActive => Reason::OverrideActive,
            Decision::OverrideUnknown => Reason::OverrideUnknown,
            Decision::WaitExpired => Reason::WaitExpired,
        }
    }
}

/// Whether this identity may be touched at all.
///
/// # Errors
/// The first guard that holds.
pub fn guards(facts: &Facts) -> Result<(), Blocked> {
    let chain: [fn(&Facts) -> Option<Blocked>; 8] = [
        protected,
        caller_unknown,
        wrong_account,
        identity_unknown,
        ambiguous,
        type_mismatch,
        name_mismatch,
        access_returned,
    ];
    chain.into_iter().find_map(|guard| guard(facts)).map_or(Ok(()), Err)
}

fn protected(facts: &Facts) -> Option<Blocked> {
    let uid = &facts.uid.to_string();
    let own = |caller: &alibaba_cloud::sts::CallerIdentity| {
        [&caller.user_id, &caller.role_id]
            .into_iter()
            .flatten()
            .any(|id| id == uid)
    };
    let root = |caller: &alibaba_cloud::sts::CallerIdentity| caller.account_id == *uid;
    let why = if *uid == facts.cluster_account || facts.caller.as_ref().is_ok_and(root) {
        "it is the Alibaba Cloud account itself, whose access cannot be ended"
    } else if facts.caller.as_ref().is_ok_and(own) {
        "it is the identity that this operator runs as"
    } else if facts.protected.iter().any(|p| p == uid) {
        "it is on the operator's list of protected UIDs (--protected-uids)"
    } else {
        return None;
    };
    let so_far = facts.so_far();
    let message = format!(
        "UID {uid} is protected: {why}. {so_far} Delete this UserOffboarding. If the UID is mistyped, create one with the correct \
         UID."
    );
    Some(Blocked::recheck(Reason::ProtectedIdentity, message).about(Condition::IdentityResolved, Is::False))
}

fn caller_unknown(facts: &Facts) -> Option<Blocked> {
    let trouble = facts.caller.as_ref().err()?;
    Some(Blocked::by(trouble, facts.so_far()).about_as(Condition::IdentityResolved, Is::Unknown, Reason::LookupFailed))
}

fn wrong_account(facts: &Facts) -> Option<Blocked> {
    let caller = facts.caller.as_ref().ok()?;
    if caller.account_id == facts.cluster_account {
        return None;
    }
    let message = format!(
        "The operator's credentials belong to account {}, but cluster {} belongs to account {}: every user would look deleted. {} \
         Give the operator credentials of the cluster's account.",
        caller.account_id,
        facts.cluster_id,
        facts.cluster_account,
        facts.so_far()
    );
    Some(Blocked::recheck(Reason::WrongAccount, message).about(Condition::IdentityResolved, Is::Unknown))
}

fn identity_unknown(facts: &Facts) -> Option<Blocked> {
    let trouble = facts.identity.as_ref().err()?;
    Some(Blocked::by(trouble, facts.so_far()).about_as(Condition::IdentityResolved, Is::Unknown, Reason::LookupFailed))
}

/// A UID of two identities: what is bound to it may be either's.
fn ambiguous(facts: &Facts) -> Option<Blocked> {
    let Identity::Both { user, role } = facts.identity.as_ref().ok()? else {
        return None;
    };
    let message = format!(
        "UID {} belongs to both RAM user {user} and RAM role {role}: the operator cannot tell whose access it would remove. {} \
         Remove the access by hand, or delete one of the two identities.",
        facts.uid,
        facts.so_far()
    );
    Some(Blocked::recheck(Reason::AmbiguousIdentity, message).about(Condition::IdentityResolved, Is::False))
}

fn type_mismatch(facts: &Facts) -> Option<Blocked> {
    let uid = facts.uid;
    let message = match (facts.identity.as_ref().ok()?, facts.spec.identity_type) {
        (Identity::Role { name }, IdentityType::RamUser) => format!(
            "UID {uid} is RAM role {name}, not a RAM user. Everyone who assumes a role is the same user to Kubernetes \
             (including all CloudSSO users of an access configuration): all of them would lose access. If you want that, set identityType: \
             RamRole."
        ),
        (Identity::User { name } | Identity::Recycled { name, .. }, IdentityType::RamRole) => {
            format!("UID {uid} is RAM user {name}, not a RAM role. Remove identityType: RamRole, or correct the UID.")
        }
        _ => return None,
    };
    Some(Blocked::recheck(Reason::TypeMismatch, message).about(Condition::IdentityResolved, Is::False))
}

fn name_mismatch(facts: &Facts) -> Option<Blocked> {
    let expected = facts.spec.expected_name.as_ref()?;
    let uid = facts.uid;
    let so_far = facts.so_far();
    let message = match facts.identity.as_ref().ok()? {
        Identity::Nowhere {
            name_belongs_to: Some(other),
        } if other.parse() != Ok(uid) => format!(
            "UID {uid} is not known to RAM, and {expected} has UID {other}: the UID is probably mistyped. {so_far} Create a \
             UserOffboarding with the correct UID, or remove expectedName."
        ),
        identity => match identity.name() {
            Some(name) if name != expected => format!(
                "UID {uid} belongs to {name}, but expectedName says {expected}. {so_far} If expectedName is wrong, edit it. If \
                 the UID is wrong, delete this UserOffboarding and create a new one."
            ),
            _ => return None,
        },
    };
    Some(Blocked::recheck(Reason::NameMismatch, message).about(Condition::IdentityResolved, Is::False))
}

/// After the end, under `Once`, what returns is reported and left.
fn access_returned(facts: &Facts) -> Option<Blocked> {
    if facts.spec.enforcement == Enforcement::Continuous || facts.spec.suspend {
        return None;
    }
    let (reason, what) = facts.returned()?;
    let binding = facts.bindings.first().filter(|_| reason == Reason::BindingFound);
    let manager = binding.and_then(|binding| Some((binding, binding.managed_by.as_ref()?)));
    let (by, how) = match manager {
        Some((binding, manager)) if manager.owns => {
            let how = match binding.is_only_leavers() {
                true => format!("{}, then delete it if it is still there", manager.advice.binding),
                false => format!("{}, or, if it is not there, by hand", manager.advice.subject),
            };
            (format!(" {}", manager.relation()), how)
        }
        Some((_, writer)) => (format!(" {}", writer.relation()), "Remove it by hand".to_owned()),
        None => (String::new(), "Remove it by hand".to_owned()),
    };
    let message = format!(
        "UID {} was offboarded, but access returned: {what}.{by} {how}, or set enforcement: Continuous to have the \
         operator remove it. If access was restored on purpose, delete this UserOffboarding.",
        facts.uid
    );
    let blocked = Blocked {
        again: Requeue::Poll,
        ..Blocked::recheck(Reason::AccessReturned, message)
    };
    Some(blocked.about_as(Condition::AccessReturned, Is::True, reason))
}

/// What was found out for [`gates`].
#[derive(Clone, Copy, Debug)]
pub struct GateInput<'a> {
    /// The facts.
    pub facts: &'a Facts,
    /// What would be removed.
    pub plan: &'a Plan,
    /// What the audit log says; `None` when it need not be asked.
    pub activity: Option<&'a Answer>,
}

/// Whether the run may have its first effect, or go on with those after it.
///
/// What has passed the checks is no longer stopped by activity: the leaver's own refused requests must not stop a run
/// half-way. What has not is checked, however long the run has been under way.
///
/// # Errors
/// The first gate that holds, about `Approved`.
pub fn gates(case: GateInput<'_>) -> Result<Clearance, Blocked> {
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
pub fn rest(case: GateInput<'_>, blocked: &Blocked) -> Option<Clearance> {
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

fn suspended(case: GateInput<'_>) -> Option<Blocked> {
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

/// Whether the audit log is to be asked: for whatever has not passed the checks of the current run.
pub fn must_ask_for_activity(facts: &Facts, plan: &Plan) -> bool {
    let nothing_to_ask_for = facts.spec.suspend || facts.holds_nothing() || kubeconfig_alone_unknown(facts);
    !nothing_to_ask_for && !facts.cleared.covers_all(plan.fingerprints())
}

/// Whether this is a dry run.
pub fn is_dry_run(facts: &Facts) -> bool {
    facts.spec.mode == Mode::DryRun
}

/// Without bindings, all depends on the kubeconfig; with bindings, they can go while ACK does not answer.
fn kubeconfig_alone_unknown(facts: &Facts) -> bool {
    facts.bindings.is_empty()
        && facts.spec.kubeconfig == KubeconfigPolicy::Purge
        && facts.kubeconfig.is_err()
        && !facts.in_progress()
}

fn kubeconfig_unknown(case: GateInput<'_>) -> Option<Blocked> {
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

/// An operator that takes its cluster for another one must not begin anything.
fn cluster_not_found(case: GateInput<'_>) -> Option<Blocked> {
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

fn waiting_for_inactivity(case: GateInput<'_>) -> Option<Blocked> {
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

fn awaiting_approval(case: GateInput<'_>) -> Option<Blocked> {
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

fn has_nothing_to_do(facts: &Facts) -> bool {
    facts.holds_nothing() && !facts.in_progress()
}

/// A plan is approved as a whole, by its digest.
fn is_approved(facts: &Facts, plan: &Plan) -> bool {
    facts
        .spec
        .approvals
        .iter()
        .any(|approval| approval.digest == plan.digest)
}

/// The end of the longest wait that the spec allows, if it sets one. A wait that has not begun begins now.
fn wait_end(facts: &Facts) -> Option<Timestamp> {
    let days = facts.spec.activity_check.wait_at_most_days?;
    let since = facts.status.waiting_since.as_ref().map_or(facts.now, |since| since.0);
    // The status keeps whole seconds, and what is said must not change by the fraction alone.
    let since = Timestamp::from_second(since.as_second()).ok()?;
    since.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()
}

fn wait_expired(facts: &Facts) -> bool {
    wait_end(facts).is_some_and(|end| facts.now >= end)
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

#[cfg(test)]
mod tests;

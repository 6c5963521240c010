//! What goes on once a run has begun, and what ACK is forced to.

use super::super::*;
use super::{activity, asks, cleared, gated};
use crate::{
    api::{CertState, ConditionStatus as Is, ConditionType as Condition, KubeconfigPolicy, KubeconfigStatus},
    offboarding::{
        plan,
        testing::{self, after, holder, part, user},
    },
};

#[test]
fn what_has_passed_the_checks_passes_them_and_nothing_else_does() {
    let mut facts = holder();
    facts.spec.approval = Approval::Manual;
    facts.cleared = cleared(&facts, Decision::PlanApproved);
    facts.bindings.remove(0);
    assert!(!asks(&facts));
    assert_eq!(
        gated(&facts, None),
        Ok(Reason::PlanApproved),
        "the rest of the approved plan"
    );
    facts.bindings.push(testing::binding("new", &[user("100")]));
    assert!(asks(&facts), "a binding that it did not hold");
    assert_eq!(
        gated(&facts, Some(&activity(ActivityState::Active))).unwrap_err().0,
        Reason::WaitingForInactivity
    );
    assert_eq!(
        gated(&facts, Some(&activity(ActivityState::Inactive))).unwrap_err().0,
        Reason::AwaitingApproval
    );
}

#[test]
fn a_kubeconfig_that_appears_in_the_course_of_a_run_is_checked_as_well() {
    let mut facts = holder();
    facts.cleared = cleared(&facts, Decision::Automatic);
    assert!(!asks(&facts));
    facts.kubeconfig = Ok(CertState::Unexpired);
    assert!(asks(&facts));
    facts.spec.kubeconfig = KubeconfigPolicy::Keep;
    assert!(!asks(&facts));
}

#[test]
fn a_run_that_has_begun_is_not_stopped_by_activity_but_by_suspension() {
    let mut facts = holder();
    assert!(asks(&facts));
    facts.cleared = cleared(&facts, Decision::OverrideActive);
    assert!(!asks(&facts));
    assert_eq!(
        gated(&facts, None),
        Ok(Reason::OverrideActive),
        "and goes on as it began"
    );
    facts.spec.suspend = true;
    assert_eq!(gated(&facts, None).unwrap_err().0, Reason::Suspended);
}

#[test]
fn backups_and_conditions_clear_nothing() {
    let mut facts = holder();
    facts.record.add(part(&facts, 5, &["a", "b"]));
    let now = facts.now;
    for (type_, reason) in [
        (Condition::Approved, Reason::OverrideActive),
        (Condition::KubeconfigPurged, Reason::RefusedByAck),
    ] {
        let list = &mut facts.status.conditions;
        crate::api::conditions::set(list, type_, Is::True, reason, "", None, now);
    }
    facts.status.started_at = Some(after(&facts, -5));
    assert!(asks(&facts) && !facts.in_progress());
    assert_eq!(
        gated(&facts, Some(&activity(ActivityState::Active))).unwrap_err().0,
        Reason::WaitingForInactivity
    );
    facts.spec.approval = Approval::Manual;
    assert_eq!(
        gated(&facts, Some(&activity(ActivityState::Inactive))).unwrap_err().0,
        Reason::AwaitingApproval
    );
}

fn forces(facts: &Facts) -> bool {
    let plan = plan::plan(facts);
    let case = GateInput {
        facts,
        plan: &plan,
        activity: None,
    };
    gates(case).unwrap().force()
}

#[test]
fn ack_is_forced_only_while_the_spec_says_so() {
    let mut facts = testing::facts();
    facts.kubeconfig = Ok(CertState::Unexpired);
    facts.cleared = cleared(&facts, Decision::OverrideActive);
    assert!(!forces(&facts), "Proceed was taken back to Wait");
    facts.spec.activity_check.when_active = OnUncertainty::Proceed;
    assert!(forces(&facts));
    facts.cleared = cleared(&facts, Decision::OverrideUnknown);
    assert!(!forces(&facts));
    facts.spec.activity_check.when_unknown = OnUncertainty::Proceed;
    assert!(forces(&facts));
    facts.cleared = cleared(&facts, Decision::WaitExpired);
    assert!(!forces(&facts));
    facts.spec.activity_check.wait_at_most_days = Some(3);
    assert!(forces(&facts));
    for decision in [Decision::Automatic, Decision::PlanApproved] {
        facts.cleared = cleared(&facts, decision);
        assert!(!forces(&facts), "{decision:?}");
    }
}

#[test]
fn a_purge_that_ack_refused_is_forced_only_if_a_person_says_proceed() {
    let mut facts = testing::facts();
    facts.kubeconfig = Ok(CertState::Unexpired);
    facts.cleared = cleared(&facts, Decision::Automatic);
    facts.status.started_at = Some(after(&facts, -5));
    facts.status.kubeconfig = Some(KubeconfigStatus {
        refused_at: Some(after(&facts, -4)),
        ..KubeconfigStatus::of(CertState::Unexpired)
    });
    assert_eq!((gated(&facts, None), forces(&facts)), (Ok(Reason::Automatic), false));
    facts.spec.activity_check.when_active = OnUncertainty::Proceed;
    assert_eq!(
        (gated(&facts, None), forces(&facts)),
        (Ok(Reason::OverrideActive), true)
    );
    facts.status.started_at = Some(after(&facts, -3));
    assert_eq!(gated(&facts, None), Ok(Reason::Automatic), "an earlier run was refused");
}

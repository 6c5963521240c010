//! What waits for inactivity, for how long, and what needs no answer of the audit log.

use super::super::*;
use super::{DAY, activity, asks, gated, trouble};
use crate::{
    api::{CertState, KubeconfigPolicy},
    offboarding::{
        plan,
        testing::{self, after, holder},
    },
    sources::identity::Identity,
};

#[test]
fn an_active_or_unknown_identity_waits_unless_told_otherwise() {
    let waits = Err((Reason::WaitingForInactivity, Some(Reason::WaitingForInactivity)));
    use ActivityState::{Active, Inactive, Unknown};
    use OnUncertainty::{Proceed, Wait};
    let cases = [
        (Inactive, Wait, Wait, Ok(Reason::Automatic)),
        (Active, Wait, Wait, waits),
        (Unknown, Wait, Wait, waits),
        (Active, Proceed, Wait, Ok(Reason::OverrideActive)),
        (Unknown, Proceed, Wait, waits),
        (Active, Wait, Proceed, waits),
        (Unknown, Wait, Proceed, Ok(Reason::OverrideUnknown)),
    ];
    for (state, when_active, when_unknown, expected) in cases {
        let mut facts = holder();
        (
            facts.spec.activity_check.when_active,
            facts.spec.activity_check.when_unknown,
        ) = (when_active, when_unknown);
        assert_eq!(
            gated(&facts, Some(&activity(state))),
            expected,
            "{state:?} {when_active:?} {when_unknown:?}"
        );
    }
}

#[test]
fn how_to_end_the_access_of_a_deleted_identity_comes_first() {
    let nowhere = Identity::Nowhere { name_belongs_to: None };
    let exists = Identity::User { name: "leaver".into() };
    for (identity, comes_first) in [(nowhere, true), (exists, false)] {
        let facts = Facts {
            identity: Ok(identity),
            ..holder()
        };
        let activity = activity(ActivityState::Active);
        let plan = plan::plan(&facts);
        let blocked = gates(GateInput {
            facts: &facts,
            plan: &plan,
            activity: Some(&activity),
        });
        let message = blocked.unwrap_err().message;
        let first = message.starts_with("To end access now, set activityCheck.whenActive: Proceed. Seen.");
        assert_eq!(first, comes_first, "{message}");
        assert_eq!(message.matches("whenActive: Proceed").count(), 1, "{message}");
    }
}

#[test]
fn the_wait_ends_when_the_spec_says_so() {
    let mut facts = holder();
    facts.spec.activity_check.wait_at_most_days = Some(3);
    for (waited, expected) in [(None, false), (Some(3 * DAY - 1), false), (Some(3 * DAY), true)] {
        facts.status.waiting_since = waited.map(|seconds| after(&facts, -seconds));
        let outcome = gated(&facts, Some(&activity(ActivityState::Active)));
        assert_eq!(outcome == Ok(Reason::WaitExpired), expected, "{waited:?}");
    }
}

#[test]
fn without_bindings_all_depends_on_the_kubeconfig() {
    for (forbidden, reason) in [(false, Reason::LookupFailed), (true, Reason::Forbidden)] {
        let mut facts = testing::facts();
        facts.kubeconfig = Err(trouble(forbidden));
        assert_eq!(gated(&facts, None).unwrap_err().0, reason);
        facts.bindings = holder().bindings;
        assert_eq!(
            gated(&facts, Some(&activity(ActivityState::Inactive))),
            Ok(Reason::Automatic),
            "bindings can go"
        );
    }
}

#[test]
fn what_holds_nothing_needs_neither_activity_nor_approval() {
    let mut facts = testing::facts();
    facts.spec.approval = Approval::Manual;
    assert!(!asks(&facts));
    assert!(gated(&facts, None).is_ok());
    facts.kubeconfig = Ok(CertState::Unexpired);
    assert!(asks(&facts));
    facts.spec.kubeconfig = KubeconfigPolicy::Keep;
    assert!(!asks(&facts));
}

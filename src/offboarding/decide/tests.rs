//! Table tests of the guards and gates: given facts, what holds, and what may go on.

use super::*;
use crate::offboarding::peers::Peer;
use crate::{
    api::{BindingAction, CertState, ClearanceStatus, KubeconfigStatus, PlanApproval},
    offboarding::{cleared::Cleared, plan, testing},
    rbac::{
        backup::{StoredAction, StoredEntry, StoredPart},
        subject::RBAC_GROUP,
    },
    sources::activity::{Activity, Inconclusive, audit_event::Hit},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

const DAY: i64 = 86_400;

fn user(name: &str) -> serde_json::Value {
    json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": name})
}

/// A user with two bindings.
fn holder() -> Facts {
    let mut facts = testing::facts();
    facts.bindings = vec![
        testing::binding("a", &[user("100")]),
        testing::binding("b", &[user("100")]),
    ];
    facts
}

fn activity(state: ActivityState) -> Answer {
    answer(match state {
        ActivityState::Inactive => Activity::Inactive,
        ActivityState::Active => Activity::Active(Box::new(hit())),
        ActivityState::Unknown => Activity::Unknown(Inconclusive::new(Reason::AuditGap, "")),
    })
}

fn answer(activity: Activity) -> Answer {
    Answer {
        activity,
        message: "Seen.".into(),
        checked_at: testing::facts().now,
        window_days: 7,
        place: None,
        usage: Default::default(),
    }
}

/// A request that was made now.
fn hit() -> Hit {
    Hit {
        time: testing::facts().now,
        audit_id: None,
        verb: None,
        source_ip: None,
        user_agent: None,
        made_by: None,
        impersonated: false,
        other_name: None,
    }
}

fn trouble(forbidden: bool) -> QueryError {
    QueryError {
        credentials: false,
        forbidden,
        cluster_not_found: false,
        message: "asked".into(),
        advice: "",
        retry_after: None,
    }
}

fn held(facts: &Facts) -> Option<(Reason, bool)> {
    guards(facts)
        .err()
        .map(|blocked| (blocked.reason, blocked.is_stalled()))
}

fn gated(facts: &Facts, activity: Option<&Answer>) -> Result<Reason, (Reason, Option<Reason>)> {
    let plan = plan::plan(facts);
    let case = GateInput {
        facts,
        plan: &plan,
        activity,
    };
    gates(case)
        .map(|clearance| clearance.reason())
        .map_err(|blocked| (blocked.reason, blocked.about.map(|(_, _, reason)| reason)))
}

fn asks(facts: &Facts) -> bool {
    must_ask_for_activity(facts, &plan::plan(facts))
}

fn after(facts: &Facts, seconds: i64) -> Time {
    Time(Timestamp::from_second(facts.now.as_second() + seconds).unwrap())
}

/// A stored part that holds these bindings of the facts, made this long before now.
fn part(facts: &Facts, seconds_ago: i64, names: &[&str]) -> StoredPart {
    let items = plan::plan(facts).items;
    let stored = items
        .iter()
        .filter(|i| names.contains(&i.binding.key.name.as_str()))
        .map(|i| StoredEntry {
            key: i.binding.key.clone(),
            uid: i.binding.uid.clone(),
            resource_version: i.binding.resource_version.clone(),
            action: match i.action {
                BindingAction::Delete => StoredAction::Delete,
                BindingAction::RemoveSubject => StoredAction::RemoveSubject,
            },
            names: i.binding.names.clone(),
            fingerprint: i.fingerprint.clone(),
            sha256: i.binding.sha256.clone(),
            bytes: i.binding.bytes,
        });
    let created = after(facts, -seconds_ago).0;
    StoredPart::of(&format!("part-{seconds_ago}"), created, "r", stored.collect())
}

/// A run in which everything that the facts hold has passed the checks.
fn cleared(facts: &Facts, decision: Decision) -> Cleared {
    let plan = plan::plan(facts);
    let run = ClearanceStatus {
        run_id: "r".into(),
        decision,
        item_count: 0,
        items_digest: String::new(),
        list: String::new(),
    };
    Cleared::new(run, plan.fingerprints().map(str::to_owned))
}

#[test]
fn each_guard_holds_what_it_is_for() {
    type Change = fn(&mut Facts);
    /// Ready's reason, and whether it is stalled; `None` if nothing holds.
    type Held = Option<(Reason, bool)>;
    let cases: [(&str, Change, Held); 17] = [
        ("nothing in the way", |_| {}, None),
        (
            "root by the cluster",
            |f| f.uid = "1".parse().unwrap(),
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "root by the caller",
            |f| {
                f.cluster_account = "2".into();
                f.uid = "1".parse().unwrap();
            },
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "the operator's role",
            |f| f.uid = "9".parse().unwrap(),
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "on the list",
            |f| f.protected = vec!["100".into()],
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "on the list, while nobody answers",
            |f| {
                f.protected = vec!["100".into()];
                f.caller = Err(trouble(false));
            },
            Some((Reason::ProtectedIdentity, true)),
        ),
        (
            "STS fails",
            |f| f.caller = Err(trouble(false)),
            Some((Reason::LookupFailed, false)),
        ),
        (
            "STS forbids",
            |f| f.caller = Err(trouble(true)),
            Some((Reason::Forbidden, true)),
        ),
        (
            "another account",
            |f| f.cluster_account = "2".into(),
            Some((Reason::WrongAccount, true)),
        ),
        (
            "the lookup fails",
            |f| f.identity = Err(trouble(false)),
            Some((Reason::LookupFailed, false)),
        ),
        (
            "the lookup is forbidden",
            |f| f.identity = Err(trouble(true)),
            Some((Reason::Forbidden, true)),
        ),
        (
            "a role unasked",
            |f| f.identity = Ok(Identity::Role { name: "r".into() }),
            Some((Reason::TypeMismatch, true)),
        ),
        (
            "a user and a role",
            |f| {
                f.identity = Ok(Identity::Both {
                    user: "u".into(),
                    role: "r".into(),
                });
            },
            Some((Reason::AmbiguousIdentity, true)),
        ),
        (
            "a user for a role",
            |f| f.spec.identity_type = IdentityType::RamRole,
            Some((Reason::TypeMismatch, true)),
        ),
        (
            "another name",
            |f| f.spec.expected_name = Some("x".into()),
            Some((Reason::NameMismatch, true)),
        ),
        (
            "the name is another's",
            |f| {
                f.spec.expected_name = Some("x".into());
                f.identity = Ok(Identity::Nowhere {
                    name_belongs_to: Some("200".into()),
                });
            },
            Some((Reason::NameMismatch, true)),
        ),
        (
            "deleted, name unknown",
            |f| {
                f.spec.expected_name = Some("x".into());
                f.identity = Ok(Identity::Nowhere { name_belongs_to: None });
            },
            None,
        ),
    ];
    for (what, change, expected) in cases {
        let mut facts = holder();
        change(&mut facts);
        assert_eq!(held(&facts), expected, "{what}");
    }
}

#[test]
fn access_that_returns_holds_under_once_only() {
    let mut facts = holder();
    facts.status.completed_at = Some(after(&facts, -10));
    assert_eq!(held(&facts), Some((Reason::AccessReturned, true)));
    facts.spec.enforcement = Enforcement::Continuous;
    assert_eq!(held(&facts), None);
    facts.spec.enforcement = Enforcement::Once;
    facts.bindings.clear();
    assert_eq!(held(&facts), None);
    facts.status.kubeconfig = Some(KubeconfigStatus::of(CertState::Removed));
    facts.kubeconfig = Ok(CertState::Unexpired);
    let blocked = guards(&facts).unwrap_err();
    assert_eq!(blocked.about.unwrap().2, Reason::KubeconfigReissued);
}

#[test]
fn a_kubeconfig_returns_only_if_it_was_gone() {
    let reported = |state, purged_at| {
        Some(KubeconfigStatus {
            purged_at,
            ..KubeconfigStatus::of(state)
        })
    };
    let mut facts = testing::facts();
    facts.status.completed_at = Some(after(&facts, -10));
    facts.kubeconfig = Ok(CertState::Unexpired);
    facts.status.kubeconfig = reported(CertState::Unexpired, None);
    assert_eq!(held(&facts), None, "Keep was edited to Purge");
    for before in [CertState::Absent, CertState::Removed, CertState::Unissued] {
        facts.status.kubeconfig = reported(before, None);
        assert_eq!(held(&facts), Some((Reason::AccessReturned, true)), "{before:?}");
    }
    facts.status.kubeconfig = reported(CertState::Unknown, Some(after(&facts, -20)));
    assert_eq!(held(&facts), Some((Reason::AccessReturned, true)), "it was purged");
    facts.kubeconfig = Ok(CertState::Unknown);
    assert_eq!(held(&facts), None, "Unknown is no news");

    facts.kubeconfig = Ok(CertState::Unexpired);
    facts.status.kubeconfig = reported(CertState::Unexpired, None);
    let told = after(&facts, -3);
    if let Some(kubeconfig) = &mut facts.status.kubeconfig {
        kubeconfig.reissued_at = Some(told);
    }
    assert_eq!(held(&facts), Some((Reason::AccessReturned, true)), "it was told before");
}

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
fn approval_is_by_the_whole_digest() {
    let mut facts = holder();
    facts.spec.approval = Approval::Manual;
    let quiet = activity(ActivityState::Inactive);
    let waits = Err((Reason::AwaitingApproval, Some(Reason::AwaitingApproval)));
    assert_eq!(gated(&facts, Some(&quiet)), waits);
    let digest = plan::plan(&facts).digest;
    facts.spec.approvals = vec![approval(&digest[..40]), approval("sha256:other")];
    assert_eq!(gated(&facts, Some(&quiet)), waits, "a prefix is no approval");
    facts.spec.approvals.push(approval(&digest));
    assert_eq!(gated(&facts, Some(&quiet)), Ok(Reason::PlanApproved));
    facts.bindings.push(testing::binding("c", &[user("100")]));
    assert_eq!(gated(&facts, Some(&quiet)), waits, "the plan changed");
}

fn approval(digest: &str) -> PlanApproval {
    PlanApproval {
        digest: digest.to_owned(),
        reason: None,
    }
}

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

#[test]
fn another_object_for_the_uid_holds_if_it_is_stricter() {
    let peer = |spec: serde_json::Value| Peer {
        name: "first".into(),
        spec: serde_json::from_value(spec).unwrap(),
    };
    let quiet = activity(ActivityState::Inactive);
    let mut facts = holder();
    facts.peers = vec![peer(json!({"uid": "100", "suspend": true}))];
    let blocked = gates(GateInput {
        facts: &facts,
        plan: &plan::plan(&facts),
        activity: Some(&quiet),
    });
    let blocked = blocked.unwrap_err();
    assert!(
        blocked.reason == Reason::Suspended && blocked.message.contains("UserOffboarding \"first\""),
        "{blocked:?}"
    );
    facts.peers = vec![peer(json!({"uid": "100", "approval": "Manual"}))];
    assert_eq!(gated(&facts, Some(&quiet)).unwrap_err().0, Reason::AwaitingApproval);
    let digest = plan::plan(&facts).digest;
    facts.peers = vec![peer(
        json!({"uid": "100", "approval": "Manual", "approvals": [{"digest": digest}]}),
    )];
    assert_eq!(gated(&facts, Some(&quiet)), Ok(Reason::Automatic));
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
fn what_is_gone_is_counted_by_what_is_left() {
    let mut facts = holder();
    facts
        .bindings
        .push(testing::binding("shared", &[user("100"), user("200")]));
    facts.record.add(part(&facts, 5, &["a", "b", "shared"]));
    let counts = facts.record.counts(&facts.bindings, &[]);
    assert_eq!((counts.deleted, counts.subjects_removed), (0, 0));
    let counts = facts.record.counts(&facts.bindings[1..2], &[]);
    assert_eq!((counts.deleted, counts.subjects_removed), (1, 1));
}

#[test]
fn what_acks_purge_took_is_counted_once_and_as_acks() {
    let mut facts = holder();
    facts.bindings = vec![testing::binding(
        "mixed",
        &[user("100"), json!({"kind": "Group", "name": "100"})],
    )];
    facts.record.add(part(&facts, 5, &["mixed"]));
    let mut kept = part(&facts, 4, &["mixed"]);
    kept.entries[0].action = StoredAction::Keep;
    facts.record.add(kept);
    let shrunk = testing::binding("mixed", &[json!({"kind": "Group", "name": "100"})]);
    let counts = facts.record.counts(&[], &[shrunk]);
    assert_eq!(
        (counts.subjects_removed, counts.disappeared),
        (1, 0),
        "it is still there"
    );
    let counts = facts.record.counts(&[], &[]);
    assert_eq!((counts.subjects_removed, counts.disappeared), (0, 1));
}

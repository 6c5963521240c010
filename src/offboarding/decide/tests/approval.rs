//! What needs a person's approval, or another object's.

use super::super::*;
use super::{activity, gated};
use crate::{
    api::PlanApproval,
    offboarding::{
        peers::Peer,
        plan,
        testing::{self, holder, user},
    },
};
use serde_json::json;

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

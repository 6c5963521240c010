//! What is counted as gone, and whose doing that was.

use crate::{
    offboarding::testing::{self, holder, part, user},
    rbac::backup::StoredAction,
};
use serde_json::json;

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

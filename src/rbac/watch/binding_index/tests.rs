//! What the index takes in, and what it tells.

use super::*;
use crate::rbac::{
    barrier_bindings::BarrierNames,
    binding::{BindingKey, BindingKind},
    index::Half,
    slim::SlimBinding,
    subject::Match,
};
use crate::testing::uid;
use futures::StreamExt;
use serde_json::json;

fn binding(name: &str, user: &str) -> SlimBinding {
    let subjects = json!([{"kind": "User", "name": user}]);
    serde_json::from_value(json!({"metadata": {"namespace": "n", "name": name}, "subjects": subjects})).unwrap()
}

fn listing(bindings: &[SlimBinding], barrier: Option<&BindingKey>) -> Staging {
    let mut staging = Staging {
        half: Half::new(BindingKind::RoleBinding),
        nonce: None,
    };
    bindings.iter().for_each(|binding| staging.apply(binding, barrier));
    staging
}

#[tokio::test]
async fn a_relist_takes_the_place_of_everything() {
    let index = BindingIndex::default();
    let kind = BindingKind::RoleBinding;
    let mut changes = Box::pin(index.changes());
    index.take_in(kind, listing(&[binding("a", "100")], None));
    index.take_in(kind, listing(&[binding("b", "100")], None));
    let found = index.find(uid(100), Match::User);
    assert_eq!(
        (found.len(), &*found[0].name),
        (1, "b"),
        "what the new list lacks is gone"
    );
    index.apply(kind, &binding("b", "200"));
    assert!(matches!(changes.next().await, Some(Change::Everything)));
    assert!(matches!(changes.next().await, Some(Change::Everything)));
    let who_lost_it = changes.next().await;
    assert!(
        matches!(who_lost_it, Some(Change::Uid(it)) if it == uid(100)),
        "{who_lost_it:?}"
    );
    assert!(matches!(changes.next().await, Some(Change::Uid(it)) if it == uid(200)));
    // Ten thousand are told of once: nobody who listens falls behind, and nobody else is woken.
    let subjects: Vec<_> = (1000..11_000)
        .map(|uid| json!({"kind": "User", "name": uid.to_string()}))
        .collect();
    let crowded = json!({"metadata": {"namespace": "n", "name": "b"}, "subjects": subjects});
    index.apply(kind, &serde_json::from_value(crowded).unwrap());
    index.delete(kind, &binding("b", "1"));
    let mut told = Vec::new();
    for _ in 0..3 {
        told.extend(changes.next().await);
    }
    let concerned = |uid| told.iter().filter(|change| change.concerns(uid)).count();
    assert_eq!(
        (concerned(uid(200)), concerned(uid(5000)), concerned(uid(999))),
        (1, 2, 0)
    );
}

fn names() -> BarrierNames {
    BarrierNames {
        cluster_role_binding: "barrier".to_owned(),
        role_binding: "barrier".to_owned(),
        namespace: "n".to_owned(),
    }
}

fn annotated(namespace: &str, name: &str, nonce: &str) -> SlimBinding {
    serde_json::from_value(json!({"metadata": {
        "namespace": namespace, "name": name, "annotations": {"ack-offboarding.io/barrier": nonce},
    }}))
    .unwrap()
}

#[tokio::test]
async fn a_nonce_counts_in_the_operators_own_bindings_only() {
    let index = BindingIndex::new(&names());
    let kind = BindingKind::RoleBinding;
    let barrier = index.role_bindings.barrier.clone();
    let others = [annotated("n", "other", "n1"), annotated("other", "barrier", "n1")];
    index.take_in(kind, listing(&others, barrier.as_ref()));
    others.iter().for_each(|other| index.apply(kind, other));
    assert_eq!(*index.role_bindings.nonce.borrow(), None);
    index.take_in(kind, listing(&[annotated("n", "barrier", "n2")], barrier.as_ref()));
    index.nonce_seen(kind, "n2").await;
    index.apply(kind, &annotated("n", "barrier", "n3"));
    index.nonce_seen(kind, "n3").await;
}

#[test]
fn what_begins_to_bear_the_uid_is_noted_while_somebody_listens() {
    let index = BindingIndex::default();
    let kind = BindingKind::RoleBinding;
    index.apply(kind, &binding("before", "100"));
    let noted = index.appearances(uid(100));
    for one in [
        binding("before", "100-17"),
        binding("other", "200"),
        binding("new", "100-x"),
    ] {
        index.apply(kind, &one);
    }
    index.apply(kind, &binding("other", "100"));
    index.take_in(
        kind,
        listing(&[binding("before", "100"), binding("listed", "100")], None),
    );
    let (keys, more) = noted.seen();
    let keys: Vec<_> = keys.iter().map(|key| &*key.name).collect();
    assert_eq!((keys, more), (vec!["new", "other", "listed"], false));
    drop(noted);
    assert!(index.noting.is_empty(), "nothing is left of who listened");
}

#[test]
fn events_are_taken_in_and_an_expired_version_is_told() {
    let index = BindingIndex::default();
    let kind = BindingKind::RoleBinding;
    let mut version = "1".to_owned();
    let mut event = |text: &str| index.event(kind, text.as_bytes(), &mut version);
    let object =
        r#"{"metadata":{"name":"a","namespace":"n","resourceVersion":"7"},"subjects":[{"kind":"User","name":"100"}]}"#;
    event(&format!(r#"{{"type":"ADDED","object":{object}}}"#)).unwrap();
    assert_eq!(index.find(uid(100), Match::User).len(), 1);
    event(&format!(r#"{{"object":{object},"type":"DELETED"}}"#)).unwrap();
    assert!(index.is_empty());
    event(r#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}"#).unwrap();
    let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
    assert!(matches!(event(gone), Err(kube::Error::Api(status)) if status.code == 410));
    assert_eq!(version, "9");
}

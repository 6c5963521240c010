//! What the index finds, and what it leaves of a binding that is gone.

use super::*;
use crate::testing::uid;
use serde_json::json;

fn binding(namespace: &str, name: &str, users: &[&str]) -> SlimBinding {
    let subjects: Vec<_> = users.iter().map(|n| json!({"kind": "User", "name": n})).collect();
    serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}, "subjects": subjects})).unwrap()
}

fn names(half: &Half, uid: Uid) -> Vec<String> {
    half.find(uid, Match::User).into_iter().map(|k| k.to_string()).collect()
}

#[test]
fn finds_exactly_the_bindings_that_name_a_uid() {
    let mut half = Half::new(BindingKind::RoleBinding);
    half.apply(&binding("b", "x", &["100"]));
    half.apply(&binding("a", "x", &["200", "100-17", "100"]));
    half.apply(&binding("a", "y", &["1001", "leaver"]));
    half.apply(&binding("a", "z", &["leaver"]));
    assert_eq!(names(&half, uid(100)), ["RoleBinding a/x", "RoleBinding b/x"]);
    assert_eq!(names(&half, uid(1001)), ["RoleBinding a/y"]);
    assert_eq!((names(&half, uid(10)).len(), half.len()), (0, 3));
}

#[test]
fn an_update_leaves_nothing_of_the_old_subjects() {
    let mut half = Half::new(BindingKind::RoleBinding);
    half.apply(&binding("a", "x", &["100", "200"]));
    half.apply(&binding("a", "x", &["200"]));
    assert_eq!((names(&half, uid(100)).len(), names(&half, uid(200)).len()), (0, 1));
    assert_eq!(half.borne_under_key_of(&binding("a", "x", &[])).uids, [uid(200)]);
    half.apply(&binding("a", "x", &[]));
    assert!(half.is_empty() && half.by_uid.is_empty());
}

#[test]
fn a_binding_with_very_many_uids_is_found_by_each_and_leaves_nothing() {
    let mut half = Half::new(BindingKind::RoleBinding);
    let users: Vec<_> = (1000..6000).map(|uid| uid.to_string()).collect();
    let users: Vec<_> = users.iter().map(String::as_str).chain(["77-x"]).collect();
    half.apply(&binding("a", "crowded", &users));
    half.apply(&binding("a", "plain", &["1000"]));
    assert_eq!(
        names(&half, uid(1000)),
        ["RoleBinding a/crowded", "RoleBinding a/plain"]
    );
    assert_eq!(
        (
            names(&half, uid(5999)).len(),
            names(&half, uid(6000)).len(),
            names(&half, uid(77)).len()
        ),
        (1, 0, 0)
    );
    assert_eq!(
        (
            half.find(uid(77), Match::OtherSuffix).len(),
            half.find_any(uid(77)).len()
        ),
        (1, 1)
    );
    assert_eq!(half.by_uid.len(), 1, "no map grows with them");
    let borne = half.borne_under_key_of(&binding("a", "crowded", &[]));
    assert!(borne.bears(uid(3000)) && borne.bears(uid(77)) && !borne.bears(uid(7000)));
    half.apply(&binding("a", "crowded", &["1000"]));
    assert_eq!((names(&half, uid(1000)).len(), names(&half, uid(3000)).len()), (2, 0));
    half.apply(&binding("a", "crowded", &users));
    half.remove(&binding("a", "crowded", &[]));
    assert!(half.crowded.is_empty() && half.find_any(uid(3000)).is_empty());
}

#[test]
fn a_role_is_kept_once_and_no_longer_than_it_is_used() {
    let granting = |name: &str, role: &str| {
        let mut one = binding("a", name, &["100", "200-x"]);
        one.role = RoleRef {
            kind: "ClusterRole".into(),
            name: role.into(),
        };
        one
    };
    let mut half = Half::new(BindingKind::RoleBinding);
    half.apply(&granting("x", "view"));
    half.apply(&granting("y", "view"));
    half.apply(&granting("z", "edit"));
    assert_eq!((half.roles.len(), half.namespaces.len()), (2, 1));
    let edit = half.iter().find(|kept| &*kept.role.name == "edit").unwrap();
    assert_eq!((edit.namespace, edit.name), (Some("a"), "z"));
    let expected: &[_] = &[(uid(100), Match::User), (uid(200), Match::OtherSuffix)];
    assert_eq!(edit.uids, Some(expected));
    half.remove(&granting("z", "edit"));
    half.apply(&granting("y", "admin"));
    assert_eq!((half.roles.len(), half.namespaces.len(), half.len()), (2, 1, 2));
}

#[test]
fn slots_are_reused_and_survive_growth() {
    let mut half = Half::new(BindingKind::RoleBinding);
    for round in 0..3 {
        for n in 0..1000u32 {
            half.apply(&binding("a", &format!("b{n}"), &[&format!("{}", 1 + n % 7 + round)]));
        }
    }
    half.shrink();
    assert_eq!((half.entries.len(), half.len()), (1000, 1000));
    assert_eq!(names(&half, uid(3)).len(), 143);
    for n in 0..1000u32 {
        half.remove(&binding("a", &format!("b{n}"), &[]));
    }
    assert!(half.is_empty() && half.by_uid.is_empty() && half.by_key.is_empty());
    assert!(half.namespaces.is_empty() && half.roles.is_empty());
}

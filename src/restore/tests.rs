//! What is believed of a backup, and what comes of it for a binding as it is now.

use super::*;
use crate::{
    api::{GROUP, UserOffboarding},
    rbac::{
        BindingKey, BindingKind, LiveBinding,
        backup::{self, Entry, Purpose, Record, StoredAction},
        subject::Leaver,
    },
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use serde_json::{Value, json};

const NAMESPACE: &str = "ack-offboarding-system";

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

fn key(name: &str) -> BindingKey {
    BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: Some("n".into()),
        name: name.into(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn leaver(include: &[&str]) -> Leaver {
    let include: Vec<_> = include.iter().map(|name| (*name).to_owned()).collect();
    Leaver::new("100".parse().unwrap(), &include, &[])
}

/// A binding as the API server has it.
fn binding(name: &str, subjects: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "n", "uid": format!("u-{name}"), "resourceVersion": "7"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": subjects,
    })
}

fn entry(binding: &Value, action: StoredAction, include: &[&str]) -> Entry {
    let text = binding.to_string();
    let key = key(binding["metadata"]["name"].as_str().unwrap());
    Entry {
        record: Record {
            binding: LiveBinding::parse(&key, &text, &leaver(include)).unwrap().into(),
            action,
            fingerprint: "f".into(),
        },
        text,
    }
}

fn stored(entries: &[Entry], second: i64) -> ConfigMap {
    let purpose = Purpose {
        cluster_id: "c1".into(),
        uid: "100".parse().unwrap(),
        object_name: "left".into(),
        object_uid: "o-1".into(),
        run_id: format!("r-{second}"),
        plan_digest: "sha256:0".into(),
        decision: "Automatic".into(),
        reason: None,
    };
    backup::config_map(&purpose, entries, NAMESPACE, at(second)).unwrap()
}

fn verified(map: &ConfigMap) -> Result<Verified, String> {
    verify(map, NAMESPACE, at(1_000)).map_err(|error| error.to_string())
}

fn wanted(was: &Value, action: StoredAction, include: &[&str]) -> Wanted {
    let map = stored(&[entry(was, action, include)], 1);
    verified(&map).unwrap().states.remove(0)
}

/// The plan for a binding that is like this now.
fn planned(wanted: &Wanted, now: Option<&Value>) -> Plan {
    let text = now.map(Value::to_string);
    let live = text.as_deref().map(|text| {
        let live = LiveBinding::parse(&wanted.key, text, &wanted.leaver).unwrap();
        (live, text)
    });
    let now = live.as_ref().map(|(live, text)| (live, *text));
    plan(wanted, now, NamespaceNow::Active).unwrap()
}

fn names(subjects: &[Subject]) -> Vec<&str> {
    subjects.iter().map(|subject| subject.name.as_str()).collect()
}

#[test]
fn a_deleted_binding_comes_back_whole_without_what_the_server_assigned() {
    let mut was = binding("a", &json!([user("100"), user("100-17")]));
    was["metadata"]["labels"] = json!({"team": "a"});
    was["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Team", "name": "gone", "uid": "1"}]);
    was["metadata"]["finalizers"] = json!(["example.com/hold"]);
    was["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    was["metadata"]["creationTimestamp"] = json!("2020-01-01T00:00:00Z");
    was["future"] = json!({"a": [1, null]});
    let wanted = wanted(&was, StoredAction::Delete, &[]);
    let Plan::Create { manifest } = planned(&wanted, None) else {
        panic!("it is gone")
    };
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        manifest["metadata"],
        json!({"name": "a", "namespace": "n", "labels": {"team": "a"}})
    );
    assert_eq!(
        (&manifest["subjects"], &manifest["roleRef"], &manifest["future"]),
        (&was["subjects"], &was["roleRef"], &was["future"])
    );
    let notes = wanted.notes.join(" ");
    assert!(
        notes.contains("Team \"gone\"") && notes.contains("example.com/hold"),
        "{notes}"
    );
}

#[test]
fn a_place_in_a_shared_binding_brings_nobody_else_back() {
    let was = binding(
        "a",
        &json!([user("200"), user("100"), user("100-x"), user("100-other")]),
    );
    let wanted = wanted(&was, StoredAction::RemoveSubject, &["100-x"]);
    assert_eq!(names(&wanted.subjects), ["100", "100-x"]);
    // 200 was taken out since, and 300 put in.
    let now = binding("a", &json!([user("300")]));
    let Plan::Merge { patch, added, emptied } = planned(&wanted, Some(&now)) else {
        panic!("it is there")
    };
    let patch: Value = serde_json::from_str(&patch).unwrap();
    let expected = json!({
        "metadata": {"uid": "u-a", "resourceVersion": "7"}, "subjects": [user("300"), user("100"), user("100-x")],
    });
    assert_eq!((patch, added, emptied), (expected, 2, false));
    // Gone altogether: it is made for the leaver alone.
    let Plan::Create { manifest } = planned(&wanted, None) else {
        panic!("it is gone")
    };
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["subjects"], json!([user("100"), user("100-x")]));
}

#[test]
fn what_it_comes_to_depends_on_the_binding_as_it_is_now() {
    let was = binding("a", &json!([user("100"), user("100-17")]));
    let wanted = wanted(&was, StoredAction::Delete, &[]);
    let with = |subjects: Value| binding("a", &subjects);
    let changed = |pointer: &str, value: Value| {
        let mut now = with(json!([user("100")]));
        match pointer.split_once('/') {
            Some((outer, inner)) => now[outer][inner] = value,
            None => now[pointer] = value,
        }
        now
    };
    let kind = |plan: &Plan| match plan {
        Plan::Create { .. } => "create".to_owned(),
        Plan::AlreadyThere => "there".to_owned(),
        Plan::Merge { added, emptied, .. } => format!("merge {added} {emptied}"),
        Plan::Conflict { role_ref } => format!("conflict {role_ref}"),
        Plan::NamespaceMissing => "no namespace".to_owned(),
        Plan::Terminating { finalizers, .. } => format!("terminating {}", finalizers.join(" ")),
    };
    let deleted = |finalizers: Value| {
        let mut now = with(json!([]));
        now["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        now["metadata"]["finalizers"] = finalizers;
        now
    };
    let cases = [
        (with(json!([user("100"), user("100-17")])), "there"),
        (with(json!([user("300"), user("100-17"), user("100")])), "there"),
        // The API server defaults the group.
        (
            with(json!([{"kind": "User", "name": "100"}, {"kind": "User", "apiGroup": "", "name": "100-17"}])),
            "there",
        ),
        // Same name, somebody else.
        (
            with(
                json!([{"kind": "Group", "name": "100"}, {"kind": "ServiceAccount", "namespace": "n", "name": "100-17"}]),
            ),
            "merge 2 false",
        ),
        (with(json!([user("100")])), "merge 1 false"),
        (with(json!([user("100-170"), user("1001")])), "merge 2 false"),
        (with(json!([])), "merge 2 true"),
        (changed("subjects", Value::Null), "merge 2 true"),
        (changed("roleRef/name", json!("view")), "conflict ClusterRole/view"),
        (changed("roleRef/kind", json!("Role")), "conflict Role/edit"),
        (deleted(json!(["example.com/hold"])), "terminating example.com/hold"),
        (deleted(json!(["orphan"])), "terminating "),
    ];
    for (now, expected) in cases {
        assert_eq!(kind(&planned(&wanted, Some(&now))), expected, "{now}");
    }
    for (namespace, expected) in [
        (NamespaceNow::Missing, "no namespace"),
        (NamespaceNow::Terminating, "terminating "),
        (NamespaceNow::Unknown, "create"),
    ] {
        assert_eq!(kind(&plan(&wanted, None, namespace).unwrap()), expected);
    }
}

#[test]
fn a_subject_that_is_stored_twice_comes_back_once() {
    let was = binding("a", &json!([user("100"), user("100")]));
    let wanted = wanted(&was, StoredAction::Delete, &[]);
    let Plan::Merge { added, .. } = planned(&wanted, Some(&binding("a", &json!([])))) else {
        panic!("it is there")
    };
    assert_eq!(added, 1);
}

#[test]
fn the_newest_state_with_subjects_comes_back() {
    let part = |name: &str, subjects: Value, action, second| {
        verified(&stored(&[entry(&binding(name, &subjects), action, &[])], second)).unwrap()
    };
    let backups = vec![
        part("a", json!([user("100"), user("100-2")]), StoredAction::Delete, 20),
        part("a", json!([user("100"), user("200")]), StoredAction::RemoveSubject, 10),
        // Stored between two removals.
        part("a", json!([]), StoredAction::Delete, 30),
        part("b", json!([user("100")]), StoredAction::Delete, 5),
        part(
            "k",
            json!([user("9"), {"kind": "Group", "name": "100"}]),
            StoredAction::Keep,
            40,
        ),
    ];
    let older = backups[1].part.config_map.clone();
    let chosen = newest(backups);
    let told: Vec<_> = chosen
        .iter()
        .map(|c| (c.wanted.key.name.as_str(), c.wanted.stored, names(&c.wanted.subjects)))
        .collect();
    assert_eq!(
        told,
        [
            ("a", at(20), vec!["100", "100-2"]),
            ("b", at(5), vec!["100"]),
            ("k", at(40), vec!["100"])
        ]
    );
    assert_eq!(chosen[0].older, [older]);
}

/// Each with checksums that match: whoever forges one can do that too.
#[test]
fn a_backup_that_is_not_what_it_says_is_refused() {
    let sound = || {
        stored(
            &[entry(&binding("a", &json!([user("100")])), StoredAction::Delete, &[])],
            1,
        )
    };
    assert!(verified(&sound()).is_ok());
    let of = |subjects: Value, action| stored(&[entry(&binding("a", &subjects), action, &[])], 1);
    let with = |change: fn(&mut ConfigMap)| {
        let mut map = sound();
        change(&mut map);
        map
    };
    let other = json!([user("100"), user("mallory")]);
    let cases = [
        (
            "was the leaver's alone, but the original names User \"mallory\"",
            of(other, StoredAction::Delete),
        ),
        (
            "was the leaver's alone, but the original names Group \"100\"",
            of(json!([{"kind": "Group", "name": "100"}]), StoredAction::Delete),
        ),
        (
            "was the leaver's alone, but the original names User \"1001\"",
            of(json!([user("1001")]), StoredAction::Delete),
        ),
        (
            "named the leaver, but the original does not",
            of(json!([user("mallory")]), StoredAction::RemoveSubject),
        ),
        (
            "not in the operator's namespace",
            with(|map| map.metadata.namespace = Some("team-a".into())),
        ),
        ("not marked immutable", with(|map| map.immutable = None)),
        (
            "does not match its sha256",
            with(|map| {
                let data = map.data.as_mut().unwrap();
                let forged = data["deleted.yaml"].replace("\"edit\"", "\"cluster-admin\"");
                data.insert("deleted.yaml".into(), forged);
            }),
        ),
        (
            "in the future",
            with(|map| {
                let annotations = map.metadata.annotations.as_mut().unwrap();
                annotations.insert(format!("{GROUP}/created-at"), "2099-01-01T00:00:00Z".into());
            }),
        ),
        ("does not match its sha256", {
            let mut map = ConfigMap::default();
            map.metadata.namespace = Some(NAMESPACE.into());
            map
        }),
    ];
    for (expected, map) in cases {
        let error = verified(&map).map(|_| ()).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn what_would_take_it_away_again_is_named() {
    let object = |name: &str, spec: Value, status: Value| -> UserOffboarding {
        let mut all = json!({"uid": "100"});
        all.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding",
            "metadata": {"name": name}, "spec": all, "status": status,
        }))
        .unwrap()
    };
    let complete = || json!({"completedAt": "2026-01-01T00:00:00Z"});
    let clearance = json!({
        "completedAt": "2026-01-01T00:00:00Z",
        "clearance": {"runID": "r", "decision": "Automatic", "itemCount": 1, "itemsDigest": "sha256:0", "list": "l"},
    });
    let mut objects = vec![
        object("once", json!({}), complete()),
        object("again", json!({"enforcement": "Continuous"}), complete()),
        object("new", json!({}), json!({})),
        object("anew", json!({}), clearance),
        object("dry", json!({"mode": "DryRun"}), json!({})),
        object("other", json!({"uid": "1001", "enforcement": "Continuous"}), complete()),
    ];
    let found = undo(&objects, "100".parse().unwrap());
    let removes = |object: &str| Undo::RemovesAgain { object: object.into() };
    let incomplete = |object: &str| Undo::NotComplete { object: object.into() };
    let reports = Undo::Reports { object: "once".into() };
    assert_eq!(
        found,
        [removes("again"), incomplete("new"), incomplete("anew"), reports]
    );
    assert!(found[0].message().contains("Continuous") && found[0].is_removal());
    // One that is suspended holds all.
    objects.push(object("stop", json!({"suspend": true}), complete()));
    objects.push(object(
        "later",
        json!({"enforcement": "Continuous", "suspend": true}),
        complete(),
    ));
    let found = undo(&objects, "100".parse().unwrap());
    assert!(!found.iter().any(Undo::is_removal), "{found:?}");
    let held = |object: &str, by: &str| Undo::Held {
        object: object.into(),
        suspended: by.into(),
    };
    for expected in [held("again", "stop"), held("new", "stop"), held("later", "later")] {
        assert!(found.contains(&expected), "{found:?}");
    }
}

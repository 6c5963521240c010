//! What is written, and that it reads back.

use super::*;
use crate::rbac::binding::BindingKind;

fn purpose() -> Purpose {
    Purpose {
        cluster_id: "c1".into(),
        uid: "100".parse().unwrap(),
        object_name: "left".into(),
        object_uid: "o-1".into(),
        plan_digest: "sha256:0".into(),
        decision: "Automatic".into(),
    }
}

fn entry(name: &str, action: StoredAction, padding: &str) -> Entry {
    let key = BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: Some("n".into()),
        name: name.into(),
    };
    let raw = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "futureField": {"a": [1, null]},
        "metadata": {"name": name, "namespace": "n", "uid": format!("u-{name}"), "resourceVersion": "7", "managedFields": [{}],
                     "ownerReferences": [{}], "finalizers": ["x"], "labels": {"on": "1e3"}, "annotations": {"p": padding}},
        "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "100"}],
    });
    let binding = LiveBinding::parse(key, raw).unwrap();
    Entry {
        binding,
        action,
        names: vec!["100".into()],
        fingerprint: format!("f-{name}"),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn the_same_content_has_the_same_name_and_other_content_another() {
    let entries = [entry("a", StoredAction::Delete, "")];
    let first = &write(&purpose(), &entries, "ns", at(1)).unwrap()[0];
    let again = &write(&purpose(), &entries, "ns", at(2)).unwrap()[0];
    assert_eq!(
        (&first.metadata.name, is_same(first, again)),
        (&again.metadata.name, true)
    );
    let other_object = Purpose {
        object_uid: "o-2".into(),
        ..purpose()
    };
    let other_content = [entry("a", StoredAction::Delete, "x")];
    for other in [
        write(&other_object, &entries, "ns", at(1)),
        write(&purpose(), &other_content, "ns", at(1)),
    ] {
        assert_ne!(first.metadata.name, other.unwrap()[0].metadata.name);
    }
}

#[test]
fn a_part_reads_back_as_it_was_written() {
    let entries = [
        entry("a", StoredAction::Delete, ""),
        entry("b", StoredAction::RemoveSubject, ""),
        entry("c", StoredAction::Keep, ""),
    ];
    let map = &write(&purpose(), &entries, "ns", at(5)).unwrap()[0];
    let part = read(map).unwrap();
    assert_eq!(
        (part.created, part.plan_digest.as_str(), part.decision.as_str()),
        (at(5), "sha256:0", "Automatic")
    );
    let stored: Vec<_> = part
        .entries
        .iter()
        .map(|e| (e.key.name.as_str(), e.uid.as_str(), e.action))
        .collect();
    assert_eq!(
        stored,
        [
            ("a", "u-a", StoredAction::Delete),
            ("b", "u-b", StoredAction::RemoveSubject),
            ("c", "u-c", StoredAction::Keep)
        ]
    );
    let data = map.data.as_ref().unwrap();
    let deleted: Value = serde_json::from_str(&data["deleted.yaml"]).unwrap();
    let item = &deleted["items"][0];
    assert_eq!(
        (&item["futureField"], &item["metadata"]["labels"]["on"]),
        (&json!({"a": [1, null]}), &json!("1e3"))
    );
    for gone in [
        "uid",
        "resourceVersion",
        "managedFields",
        "ownerReferences",
        "finalizers",
    ] {
        assert!(item["metadata"].get(gone).is_none(), "{gone}");
    }
    let index: Value = serde_json::from_str(&data["index.json"]).unwrap();
    assert_eq!(
        index["bindings"][0]["original"], entries[0].binding.raw,
        "the original is whole"
    );
}

#[test]
fn many_bindings_make_many_parts_and_a_huge_one_is_compressed() {
    let padding = "x".repeat(100_000);
    let mut entries: Vec<_> = (0..20)
        .map(|i| entry(&format!("b{i}"), StoredAction::Delete, &padding))
        .collect();
    entries.push(entry("huge", StoredAction::Delete, &"y".repeat(1_400_000)));
    let parts = write(&purpose(), &entries, "ns", at(1)).unwrap();
    let size = |map: &ConfigMap| {
        map.data.iter().flatten().map(|(_, v)| v.len()).sum::<usize>()
            + map.binary_data.iter().flatten().map(|(_, v)| v.0.len()).sum::<usize>()
    };
    assert!(parts.len() > 3 && parts.iter().all(|p| size(p) <= PART_LIMIT));
    let stored: Vec<_> = parts
        .iter()
        .flat_map(|p| read(p).unwrap().entries)
        .map(|e| e.key.name)
        .collect();
    assert_eq!(
        stored,
        entries.iter().map(|e| e.binding.key.name.clone()).collect::<Vec<_>>()
    );
    assert!(parts.last().unwrap().binary_data.is_some());
}

#[test]
fn a_damaged_part_is_refused() {
    let map = write(&purpose(), &[entry("a", StoredAction::Delete, "")], "ns", at(1))
        .unwrap()
        .remove(0);
    let mut damaged = map.clone();
    damaged
        .data
        .as_mut()
        .unwrap()
        .insert("deleted.yaml".into(), "{}".into());
    assert!(read(&damaged).unwrap_err().to_string().contains("sha256"));
    assert!(!is_same(&map, &damaged));
    let mutable = ConfigMap {
        immutable: None,
        ..map.clone()
    };
    assert!(!is_same(&map, &mutable));
    assert!(read(&ConfigMap::default()).is_err());
}

#[test]
fn what_cannot_be_stored_is_an_error() {
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = (0..40_000).map(|_| format!("{:032x}", random.u128(..))).collect();
    let error = write(&purpose(), &[entry("a", StoredAction::Delete, &noise)], "ns", at(1)).unwrap_err();
    assert!(error.to_string().starts_with("RoleBinding n/a takes"), "{error}");
}

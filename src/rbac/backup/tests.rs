//! What is written, and that it reads back.

use super::{format::*, index::*, *};
use crate::api::GROUP;
use crate::rbac::{
    binding::{BindingKey, BindingKind, LiveBinding},
    subject::Leaver,
};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, jiff::Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

fn purpose() -> Purpose {
    Purpose {
        reason: None,
        cluster_id: "c1".into(),
        uid: "100".parse().unwrap(),
        object_name: "left".into(),
        object_uid: "o-1".into(),
        run_id: "r-1".into(),
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
    let text = raw.to_string();
    let leaver = Leaver::new("100".parse().unwrap(), &[], &[]);
    Entry {
        record: Record {
            binding: LiveBinding::parse(&key, &text, &leaver).unwrap().into(),
            action,
            fingerprint: format!("f-{name}"),
        },
        text,
    }
}

fn write(purpose: &Purpose, mut entries: Vec<Entry>, now: Timestamp) -> Vec<Result<ConfigMap, TooLarge>> {
    let sizes: Vec<usize> = entries.iter().map(|e| e.record.binding.bytes).collect();
    let parts = split(&sizes).into_iter();
    parts
        .map(|range| {
            let part: Vec<_> = entries.drain(..range.len()).collect();
            config_map(purpose, &part, "ns", now)
        })
        .collect()
}

/// The parts of a backup in which everything fits.
fn parts(purpose: &Purpose, entries: Vec<Entry>, now: Timestamp) -> Vec<ConfigMap> {
    write(purpose, entries, now)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Reads it long after it was made.
fn reread(map: &ConfigMap) -> Result<StoredPart, Unreadable> {
    read(map, at(1_000))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn the_same_content_has_the_same_name_and_other_content_another() {
    let entries = || vec![entry("a", StoredAction::Delete, "")];
    let first = &parts(&purpose(), entries(), at(1))[0];
    let again = &parts(&purpose(), entries(), at(2))[0];
    assert_eq!(
        (&first.metadata.name, is_same(first, again)),
        (&again.metadata.name, true)
    );
    let other_object = Purpose {
        object_uid: "o-2".into(),
        ..purpose()
    };
    let other_content = vec![entry("a", StoredAction::Delete, "x")];
    for other in [
        parts(&other_object, entries(), at(1)),
        parts(&purpose(), other_content, at(1)),
    ] {
        assert_ne!(first.metadata.name, other[0].metadata.name);
    }
}

#[test]
fn a_part_reads_back_as_it_was_written() {
    let entries = vec![
        entry("a", StoredAction::Delete, ""),
        entry("b", StoredAction::RemoveSubject, ""),
        entry("c", StoredAction::Keep, ""),
    ];
    let original = entries[0].text.clone();
    let live = entries[0].record.binding.clone();
    let map = &parts(&purpose(), entries, at(5))[0];
    let part = reread(map).unwrap();
    assert_eq!(
        (part.created, part.run_id.as_str(), part.object_uid.as_str()),
        (at(5), "r-1", "o-1")
    );
    assert!(
        part.proof(&live, StoredAction::Delete)
            .is_some_and(|stored| stored.is_of(&live))
    );
    assert!(
        part.proof(&live, StoredAction::RemoveSubject).is_none(),
        "for another action"
    );
    let other = |change: fn(&mut LiveBinding)| {
        let mut other = live.clone();
        change(Arc::make_mut(&mut other));
        part.proof(&other, StoredAction::Delete)
    };
    assert!(other(|b| b.resource_version = "8".into()).is_none());
    assert!(other(|b| b.uid = "u-b".into()).is_none());
    assert!(other(|b| b.sha256 = "0".into()).is_none());
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
    assert!(
        data["index.json"].contains(&original),
        "the original is there, to the letter"
    );
}

#[test]
fn many_bindings_make_many_parts_and_a_huge_one_is_compressed() {
    let padding = "x".repeat(100_000);
    let mut entries: Vec<_> = (0..20)
        .map(|i| entry(&format!("b{i}"), StoredAction::Delete, &padding))
        .collect();
    entries.push(entry("huge", StoredAction::Delete, &"y".repeat(1_400_000)));
    let names: Vec<_> = entries.iter().map(|e| e.record.binding.key.name.clone()).collect();
    let parts = parts(&purpose(), entries, at(1));
    let size = |map: &ConfigMap| {
        map.data.iter().flatten().map(|(_, v)| v.len()).sum::<usize>()
            + map.binary_data.iter().flatten().map(|(_, v)| v.0.len()).sum::<usize>()
    };
    assert!(parts.len() > 3 && parts.iter().all(|p| size(p) <= PART_LIMIT));
    let stored: Vec<_> = parts
        .iter()
        .flat_map(|p| reread(p).unwrap().entries)
        .map(|e| e.key.name)
        .collect();
    assert_eq!(stored, names);
    assert!(parts.last().unwrap().binary_data.is_some());
}

/// What is wrong with a part, and what makes it so.
type Damage<'a> = (&'a str, &'a dyn Fn(&mut ConfigMap));

#[test]
fn a_damaged_part_is_refused() {
    let map = parts(&purpose(), vec![entry("a", StoredAction::Delete, "")], at(1)).remove(0);
    assert!(reread(&map).is_ok());
    assert!(read(&map, at(-600)).is_ok(), "a clock that is ten minutes off");
    let edit_index = |map: &mut ConfigMap, pointer: &str, value: Value| {
        let data = map.data.as_mut().unwrap();
        let mut index: Value = serde_json::from_str(&data[INDEX]).unwrap();
        *index.pointer_mut(pointer).unwrap() = value;
        data.insert(INDEX.into(), index.to_string());
    };
    // Each with a checksum that matches: whoever forges one can do that too.
    let annotate = |m: &mut ConfigMap, key: &str, value: &str| {
        let annotations = m.metadata.annotations.as_mut().unwrap();
        annotations.insert(format!("{GROUP}/{key}"), value.into());
    };
    // The original, and the checksum with it.
    let edit_original = |m: &mut ConfigMap, pointer: &str, value: Value| {
        let index: Value = serde_json::from_str(&m.data.as_ref().unwrap()[INDEX]).unwrap();
        let mut original = index["bindings"][0]["original"].clone();
        *original.pointer_mut(pointer).unwrap() = value;
        edit_index(m, "/bindings/0/sha256", json!(sha256(original.to_string().as_bytes())));
        edit_index(m, "/bindings/0/original", original);
    };
    let set_file = |m: &mut ConfigMap, file: &str, text: &str| {
        m.data.as_mut().unwrap().insert(file.into(), text.into());
    };
    let bomb = gzip(&"x".repeat(4 << 20));
    let damages: [Damage<'_>; 21] = [
        ("its time, 2099-01-01T00:00:00Z, is in the future", &|m| {
            annotate(m, "created-at", "2099-01-01T00:00:00Z")
        }),
        ("deleted.yaml does not match the originals", &|m| {
            let other = m.data.as_ref().unwrap()["deleted.yaml"].replace("\"r\"", "\"cluster-admin\"");
            set_file(m, "deleted.yaml", &other);
        }),
        ("deleted.yaml does not match the originals", &|m| {
            m.data.as_mut().unwrap().remove("deleted.yaml");
        }),
        ("it contains shrunk.yaml, which is not part of a backup", &|m| {
            set_file(m, "shrunk.yaml", "{}")
        }),
        ("it contains readme, which is not part of a backup", &|m| {
            set_file(m, "readme", "")
        }),
        ("deleted.yaml does not match the originals", &|m| {
            edit_original(m, "/roleRef/name", json!("admin"))
        }),
        ("original of RoleBinding n/a belongs to another binding", &|m| {
            edit_index(m, "/bindings/0/uid", json!("u-2"))
        }),
        ("original of RoleBinding n/a belongs to another binding", &|m| {
            edit_index(m, "/bindings/0/resourceVersion", json!("8"))
        }),
        ("original of RoleBinding n/../x belongs to another binding", &|m| {
            edit_index(m, "/bindings/0/name", json!("../x"))
        }),
        (
            "index.json lists a subject of RoleBinding n/a that does not belong to the UID",
            &|m| edit_index(m, "/bindings/0/subjects", json!(["100", "x\" or *"])),
        ),
        ("index.json has format 1", &|m| {
            edit_index(m, "/formatVersion", json!(1))
        }),
        ("it has no index.json, or index.json is too large", &|m| {
            m.data = None;
            m.binary_data = Some([(format!("{INDEX}.gz"), ByteString(bomb.clone()))].into());
        }),
        ("it is not marked immutable", &|m| m.immutable = None),
        ("it has no creation time", &|m| annotate(m, "created-at", "noon")),
        ("it has no index.json", &|m| m.data = None),
        ("it has no index.json", &|m| {
            m.data = None;
            m.binary_data = Some([(format!("{INDEX}.gz"), ByteString(b"no gzip".into()))].into());
        }),
        ("index.json: ", &|m| {
            m.data.as_mut().unwrap().insert(INDEX.into(), "{}".into());
        }),
        ("its labels name another UID", &|m| edit_index(m, "/uid", json!("101"))),
        ("its labels name another UID or UserOffboarding", &|m| {
            edit_index(m, "/object/uid", json!("o-2"))
        }),
        ("the checksum of a does not match", &|m| {
            edit_index(m, "/bindings/0/original/roleRef/name", json!("admin"));
        }),
        ("deleted.yaml does not match the originals", &|m| {
            edit_index(m, "/bindings/0/kind", json!("Role"))
        }),
    ];
    for (what, damage) in damages {
        let mut damaged = map.clone();
        damage(&mut damaged);
        let digest = content_digest(&damaged);
        damaged
            .metadata
            .annotations
            .as_mut()
            .unwrap()
            .insert(format!("{GROUP}/sha256"), digest);
        let error = reread(&damaged).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
        let same_but_for_the_time = what.contains(" time");
        assert_eq!(is_same(&map, &damaged), same_but_for_the_time, "{what}");
    }
    let mut damaged = map.clone();
    damaged
        .data
        .as_mut()
        .unwrap()
        .insert("deleted.yaml".into(), "{}".into());
    assert!(reread(&damaged).unwrap_err().to_string().contains("sha256"));
    assert!(reread(&ConfigMap::default()).is_err());
}

#[test]
fn what_is_too_large_is_left_out_and_named() {
    let mut random = fastrand::Rng::with_seed(1);
    let noise: String = (0..40_000).map(|_| format!("{:032x}", random.u128(..))).collect();
    let entries = [("a", ""), ("b", noise.as_str()), ("c", "")].map(|(name, p)| entry(name, StoredAction::Delete, p));
    let (mut stored, mut left) = (Vec::new(), Vec::new());
    for part in write(&purpose(), entries.into(), at(1)) {
        match part {
            Ok(map) => stored.extend(reread(&map).unwrap().entries.into_iter().map(|e| e.key.name)),
            Err(error) => left.push(error.key.to_string()),
        }
    }
    assert_eq!(
        (stored, left),
        (vec!["a".into(), "c".into()], vec!["RoleBinding n/b".into()])
    );
}

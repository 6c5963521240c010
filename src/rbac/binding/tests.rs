use super::*;
use serde_json::{Value, json};

fn leaver() -> Leaver {
    Leaver::new("100".parse().unwrap(), &[], &[])
}

fn key() -> BindingKey {
    BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: Some("team-a".into()),
        name: "b".into(),
    }
}

fn text(subjects: &Value) -> String {
    json!({
        "metadata": {"name": "b", "namespace": "team-a", "uid": "u", "resourceVersion": "7"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": subjects,
    })
    .to_string()
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

#[test]
fn the_leavers_subjects_are_dropped_and_the_others_are_kept_as_they_were() {
    let others = [
        json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "200", "unknownField": 1}),
        json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "100"}),
        user("100-c7f1a2b9"),
        json!({"kind": "ServiceAccount", "name": "100", "namespace": "n"}),
    ];
    let text = text(&json!([
        others[0],
        user("100"),
        others[1],
        others[2],
        user("100-170"),
        others[3]
    ]));
    let binding = LiveBinding::parse(&key(), &text, &leaver()).unwrap();
    assert_eq!(binding.names, ["100", "100-170"]);
    assert_eq!((binding.leaver_subjects, binding.subjects), (2, 6));
    assert_eq!(binding.undecided, ["100-c7f1a2b9"]);
    assert!(!binding.is_only_leavers() && binding.has_lookalike);
    let kept: Value = serde_json::from_str(&other_subjects(&text, &leaver()).unwrap()).unwrap();
    assert_eq!(kept, json!(others));
}

#[test]
fn a_binding_without_subjects_belongs_to_nobody() {
    for subjects in [json!(null), json!([])] {
        let text = text(&subjects);
        assert!(!LiveBinding::parse(&key(), &text, &leaver()).unwrap().is_only_leavers());
        assert_eq!(other_subjects(&text, &leaver()).unwrap(), "[]");
    }
}

#[test]
fn the_digest_tells_lists_of_names_apart() {
    let digest = |names: &[&str]| {
        let subjects: Vec<_> = names.iter().map(|name| user(name)).collect();
        let binding = LiveBinding::parse(&key(), &text(&json!(subjects)), &leaver()).unwrap();
        binding.names_digest
    };
    assert_eq!(digest(&["100", "100-1"]), digest(&["100", "100-1"]));
    assert_ne!(digest(&["100", "100-1"]), digest(&["100-1", "100"]));
    assert_ne!(digest(&["100-11", "100-1"]), digest(&["100-1", "100-11"]));
}

#[test]
fn what_is_not_the_binding_that_was_asked_for_is_an_error() {
    for raw in [json!({}), json!(null), json!([]), json!({"metadata": {"uid": 7}})] {
        assert!(LiveBinding::parse(&key(), &raw.to_string(), &leaver()).is_err());
    }
    let good: Value = serde_json::from_str(&text(&json!([]))).unwrap();
    for (pointer, value, field) in [
        ("/metadata/name", json!("c"), "metadata.name"),
        ("/metadata/name", json!(null), "metadata.name"),
        ("/metadata/namespace", json!("team-b"), "metadata.namespace"),
        ("/metadata/namespace", json!(null), "metadata.namespace"),
        ("/metadata/uid", json!(""), "metadata.uid"),
        ("/metadata/resourceVersion", json!(null), "metadata.resourceVersion"),
        ("/subjects", json!("x"), "subjects"),
        ("/subjects", json!([{"kind": "User"}]), "subjects"),
    ] {
        let mut raw = good.clone();
        *raw.pointer_mut(pointer).unwrap() = value;
        let error = LiveBinding::parse(&key(), &raw.to_string(), &leaver()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the API server returned RoleBinding team-a/b without a usable {field}")
        );
    }
}

#[test]
fn every_name_that_rbac_allows_is_one_segment_of_a_path() {
    let every = (1..=0x2ff_u32)
        .filter_map(char::from_u32)
        .filter(|c| !"/%".contains(*c));
    let names = every
        .map(|c| format!("leaver{c}2"))
        .chain(["..a".into(), "…".into(), "\u{10ffff}".into()]);
    for name in names {
        let key = BindingKey {
            name: name.clone(),
            ..key()
        };
        assert!(key.is_possible());
        let path = key.path();
        let uri: http::Uri = path.parse().expect("a path");
        assert_eq!(uri.path(), path, "{name:?} is neither a query nor a fragment");
        let segments: Vec<_> = path.split('/').collect();
        let last = percent_encoding::percent_decode_str(segments[7]).decode_utf8().unwrap();
        assert_eq!((segments.len(), &*last), (8, &*name));
        assert!(!key.to_string().contains(char::is_control), "{name:?}");
    }
    for name in ["", ".", "..", "a/b", "a%2fb"] {
        assert!(
            !BindingKey {
                name: name.into(),
                ..key()
            }
            .is_possible(),
            "{name:?}"
        );
    }
}

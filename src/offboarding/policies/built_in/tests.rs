use super::*;
use std::collections::BTreeMap;

const POLICIES: [Policy; 4] = [Policy::Bindings, Policy::Backups, Policy::Approval, Policy::Proposals];

fn specs(yaml: &str) -> BTreeMap<(String, String), Value> {
    let documents: Vec<Option<DynamicObject>> = serde_saphyr::from_multiple(yaml).unwrap();
    let objects = documents.into_iter().flatten();
    let named = objects.map(|object| {
        let kind = object.types.unwrap().kind;
        ((kind, object.metadata.name.unwrap()), object.data["spec"].clone())
    });
    named
        .filter(|((kind, _), _)| kind.starts_with("ValidatingAdmission"))
        .collect()
}

#[test]
fn what_the_operator_is_built_with_is_what_the_chart_installs() {
    let manifests = ["admission-policy", "backup-policy", "people", "scan-proposals"].map(|name| {
        let path = format!("{}/e2e/manifests/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    });
    let mut installed = specs(&manifests.join("\n---\n"));
    // Others are about objects that the operator only reads.
    installed.retain(|(_, name), _| POLICIES.iter().any(|policy| policy.name() == name));
    let built = specs(BUILT_WITH);
    assert_eq!(built, installed, "run: charts/check --write");
    let names: Vec<_> = built.keys().map(|(_, name)| name.as_str()).collect();
    for policy in POLICIES {
        assert_eq!(names.iter().filter(|name| **name == policy.name()).count(), 2);
    }
}

fn spec(kind: &str, policy: Policy) -> Value {
    let built = built_with("elsewhere").unwrap();
    let is_it = |object: &&DynamicObject| {
        object.types.as_ref().unwrap().kind == kind && object.metadata.name.as_deref() == Some(policy.name())
    };
    built.iter().find(is_it).unwrap().data["spec"].clone()
}

#[test]
fn it_is_built_for_the_namespace_of_the_release() {
    for policy in [Policy::Bindings, Policy::Backups] {
        let text = spec("ValidatingAdmissionPolicy", policy).to_string();
        assert!(text.contains("system:serviceaccount:elsewhere:") && !text.contains(BUILT_FOR));
    }
}

#[test]
fn what_the_api_server_fills_in_is_no_difference() {
    for policy in POLICIES {
        let built = spec("ValidatingAdmissionPolicy", policy);
        let mut live = built.clone();
        let constraints = live["matchConstraints"].as_object_mut().unwrap();
        constraints.entry("namespaceSelector").or_insert(json!({}));
        constraints.insert("objectSelector".to_owned(), json!({}));
        constraints.insert("matchPolicy".to_owned(), json!("Equivalent"));
        constraints["resourceRules"][0]["scope"] = json!("*");
        assert_eq!(differences(&built, &live), Vec::<String>::new());
    }
}

#[test]
fn the_charts_settings_may_have_any_value_of_their_form_and_no_other() {
    let built = spec("ValidatingAdmissionPolicy", Policy::Approval);
    let set = |name: &str, value: &str| {
        let mut live = built.clone();
        let variables = live["variables"].as_array_mut().unwrap();
        let setting = variables.iter_mut().find(|variable| variable["name"] == name).unwrap();
        setting["expression"] = json!(value);
        differences(&built, &live)
    };
    assert!(set("minWindowDays", "30").is_empty() && set("always", "true").is_empty());
    for (name, value) in [
        ("minWindowDays", "0 * 7"),
        ("minWindowDays", ""),
        ("always", "7"),
        ("mayApprove", "true"),
    ] {
        assert_eq!(set(name, value), ["variables"], "{name}: {value}");
    }
}

#[test]
fn whatever_weakens_a_policy_or_its_binding_is_named() {
    let policy = |key: &str, value: Value| {
        let built = spec("ValidatingAdmissionPolicy", Policy::Backups);
        let mut live = built.clone();
        live[key] = value;
        differences(&built, &live)
    };
    assert_eq!(policy("failurePolicy", json!("Ignore")), ["failurePolicy (Ignore)"]);
    assert_eq!(
        policy("paramKind", json!({"apiVersion": "v1", "kind": "ConfigMap"})),
        ["paramKind"]
    );
    let condition = json!([{"name": "never", "expression": "false"}]);
    assert_eq!(policy("matchConditions", condition), ["matchConditions"]);
    assert_eq!(policy("validations", json!([])), ["validations"]);
    let binding = |key: &str, value: Value| {
        let built = spec("ValidatingAdmissionPolicyBinding", Policy::Backups);
        let mut live = built.clone();
        live[key] = value;
        differences(&built, &live)
    };
    assert_eq!(
        binding("validationActions", json!(["Audit"])),
        ["validationActions (Audit)"]
    );
    assert_eq!(binding("policyName", json!("another")), ["policyName (another)"]);
    let narrow = json!({"namespaceSelector": {"matchLabels": {"a": "b"}}});
    assert_eq!(binding("matchResources", narrow), ["matchResources"]);
    assert_eq!(binding("paramRef", json!({"name": "x"})), ["paramRef"]);
}

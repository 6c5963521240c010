//! The policies as the operator was built with them, and how the cluster's differ.

use super::policy::{Policy, Seen};
use crate::api_message::api_message;
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
};
use serde_json::{Map, Value, json};

/// What the chart renders into [`BUILT_FOR`]; `charts/check --write` makes it.
const BUILT_WITH: &str = include_str!("../policies.yaml");

/// The namespace that [`BUILT_WITH`] is rendered for.
const BUILT_FOR: &str = "ack-offboarding-system";

/// Whether a value has the form of a setting.
type Form = fn(&str) -> bool;

/// Variables of the approval policy that hold a setting of the chart, and which values they may have.
const SETTINGS: [(&str, Form); 2] = [("minWindowDays", is_number), ("always", is_flag)];

/// Compares the policy and its binding with those that the operator was built with.
pub(super) async fn compare(client: &Client, namespace: &str, policy: Policy) -> Seen {
    let built = match built_with(namespace) {
        Ok(built) => built,
        Err(error) => {
            return Seen::Unclear(format!(
                "cannot read the policies that the operator was built with: {error}"
            ));
        }
    };
    let kinds = [
        ApiResource::erase::<ValidatingAdmissionPolicy>(&()),
        ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&()),
    ];
    let mut seen = Seen::InForce;
    for resource in kinds {
        let (kind, name) = (&resource.kind, policy.name());
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        let is_it = |built: &&DynamicObject| {
            built.types.as_ref().is_some_and(|types| types.kind == *kind)
                && built.metadata.name.as_deref() == Some(name)
        };
        let Some(built) = built.iter().find(is_it) else {
            return Seen::Unclear(format!("the operator was built without {kind} {name}"));
        };
        seen = seen.and(match api.get(name).await {
            Ok(live) => {
                let differences = differences(&built.data["spec"], &live.data["spec"]);
                match differences.is_empty() {
                    true => Seen::InForce,
                    false => Seen::NotInForce(format!(
                        "{kind} {name} differs from the one built into this operator: {}",
                        differences.join(", ")
                    )),
                }
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                Seen::NotInForce(format!("{kind} {name} is missing"))
            }
            Err(error) => Seen::Unclear(format!("cannot read {kind} {name}: {}", api_message(&error))),
        });
    }
    seen
}

/// The policies and bindings that the operator was built with, as the chart renders them for this namespace.
fn built_with(namespace: &str) -> Result<Vec<DynamicObject>, serde_saphyr::Error> {
    let documents: Vec<Option<DynamicObject>> = serde_saphyr::from_multiple(&BUILT_WITH.replace(BUILT_FOR, namespace))?;
    Ok(documents.into_iter().flatten().collect())
}

/// The fields of the spec that differ, by name. What the API server fills in counts as said; the chart's settings, which are
/// variables of the approval policy, may have any value of their form.
fn differences(built: &Value, live: &Value) -> Vec<String> {
    let (built, live) = (complete(built), complete(live));
    let keys = built.keys().chain(live.keys().filter(|key| !built.contains_key(*key)));
    keys.filter(|key| built.get(*key) != live.get(*key))
        .map(|key| match live.get(key) {
            Some(Value::String(value)) => format!("{key} ({value})"),
            Some(Value::Array(values)) if !values.is_empty() && values.iter().all(Value::is_string) => {
                let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                format!("{key} ({})", values.join(", "))
            }
            _ => key.clone(),
        })
        .collect()
}

/// The spec with what the API server fills in.
fn complete(spec: &Value) -> Map<String, Value> {
    let mut spec = spec.clone();
    if spec.get("validations").is_some() {
        fill(&mut spec, "failurePolicy", json!("Fail"));
    }
    for matched in ["matchConstraints", "matchResources"] {
        let Some(matched) = spec.get_mut(matched) else { continue };
        fill(matched, "matchPolicy", json!("Equivalent"));
        fill(matched, "namespaceSelector", json!({}));
        fill(matched, "objectSelector", json!({}));
        for rules in ["resourceRules", "excludeResourceRules"] {
            for rule in matched
                .get_mut(rules)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                fill(rule, "scope", json!("*"));
            }
        }
    }
    for variable in spec
        .get_mut("variables")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let setting = SETTINGS.iter().find(|(name, _)| variable["name"] == *name);
        let fits = setting.is_some_and(|(_, fits)| variable["expression"].as_str().is_some_and(fits));
        if fits {
            variable["expression"] = json!("a setting of the chart");
        }
    }
    match spec {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn fill(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(key).or_insert(value);
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_flag(text: &str) -> bool {
    matches!(text, "true" | "false")
}

#[cfg(test)]
mod tests;

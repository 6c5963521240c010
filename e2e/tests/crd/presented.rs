//! How the API presents itself: names, columns, explanations, and no warnings.

use super::{COLLECTION, UID, cluster, create, send};
use ack_offboarding_e2e::cluster::{Cluster, eventually};
use ack_offboarding_operator::api;
use serde_json::{Value, json};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);

/// What kubectl prints, once it does: discovery and OpenAPI follow a new CRD within a second or two.
pub(crate) async fn kubectl(cluster: &Cluster, args: &[&str], contains: &[&str]) -> String {
    let what = format!("kubectl {} to print {contains:?}", args.join(" "));
    let printed = eventually(&what, DEADLINE, async || {
        let output = cluster.kubectl().args(args).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // It breaks lines where it likes.
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(contains.iter().all(|words| flat.contains(words)).then_some(text))
    });
    printed.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crd_is_applied_without_a_warning() {
    let cluster = cluster().await;
    let crd = serde_json::to_value(api::crd()).unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/useroffboardings.ack-offboarding.io\
                ?fieldManager=kubectl&force=true&fieldValidation=Strict";
    let answer = send(&cluster.admin(), "PATCH", path, "application/apply-patch+yaml", &crd).await;
    assert_eq!((answer.code, answer.warnings.as_slice()), (200, &[][..]), "{answer:?}");
    let conditions = answer.body["status"]["conditions"].as_array().unwrap().clone();
    let is = |type_: &str| {
        conditions
            .iter()
            .find(|c| c["type"] == type_)
            .map(|c| c["status"].clone())
    };
    assert_eq!(is("NamesAccepted"), Some(json!("True")));
    // Set only where the schema is not structural.
    assert_eq!(is("NonStructuralSchema"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_shows_where_an_offboarding_is() {
    let cluster = cluster().await;
    let client = cluster.admin();
    create(&cluster, "a-leaver", &json!({"uid": UID})).await;
    let ready = json!({
        "type": "Ready", "status": "False", "reason": "WaitingForInactivity", "message": "m",
        "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 1,
    });
    let status = json!({"status": {
        "observedGeneration": 1,
        "identity": {"type": "RamUser", "name": "leaver", "state": "Exists"},
        "activity": {"state": "Active", "windowDays": 7, "checkedAt": "2026-01-02T03:04:05Z", "lastSeen": "2026-01-01T00:00:00Z"},
        "removed": {"deleted": 2, "disarmed": 0, "subjectsRemoved": 1, "disappeared": 0, "total": 3},
        "conditions": [ready],
    }});
    let path = format!("{COLLECTION}/a-leaver/status");
    let written = send(&client, "PATCH", &path, "application/merge-patch+json", &status).await;
    assert_eq!(written.code, 200, "{written:?}");

    let request = http::Request::get(COLLECTION)
        .header("accept", "application/json;as=Table;g=meta.k8s.io;v=v1")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        columns,
        [
            "Name",
            "UID",
            "IDENTITY",
            "STATE",
            "REMOVED",
            "LAST SEEN",
            "AGE",
            "REASON",
            "REQUESTED BY",
            "APPROVED BY"
        ]
    );
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(
        cells[..6],
        [
            json!("a-leaver"),
            json!(UID),
            json!("leaver"),
            json!("WaitingForInactivity"),
            json!(3),
            json!("2026-01-01T00:00:00Z"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_that_people_type_are_known() {
    let cluster = cluster().await;
    create(&cluster, "a-leaver", &json!({"uid": UID})).await;
    for name in ["uo", "useroffboarding", "useroffboardings", "ack"] {
        kubectl(
            &cluster,
            &["get", name],
            &["NAME UID IDENTITY STATE REMOVED LAST SEEN AGE", "a-leaver"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_explains_the_fields() {
    let cluster = cluster().await;
    let uid = "The RAM user's UID or the RAM role's ID: a decimal number written as a string, in quotes.";
    kubectl(
        &cluster,
        &["explain", "useroffboarding.spec.uid"],
        &[uid, "It cannot be changed"],
    )
    .await;
    kubectl(
        &cluster,
        &["explain", "uo"],
        &["Ends the access of one RAM user or RAM role to this ACK cluster"],
    )
    .await;
    kubectl(
        &cluster,
        &["explain", "uo.spec.mode"],
        &["ENUM: Execute DryRun", "DryRun makes the plan and changes nothing"],
    )
    .await;
    let all = kubectl(
        &cluster,
        &["explain", "uo", "--recursive"],
        &["waitAtMostDays", "restorableUntil"],
    )
    .await;
    assert!(!all.contains("<no description>"), "{all}");
}

/// The fields of a schema without a description, by path. Conditions come from Kubernetes.
fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, property) in properties.chain(schema["items"]["properties"].as_object().into_iter().flatten()) {
        let path = format!("{path}.{name}");
        if property["description"].as_str().is_none_or(str::is_empty) {
            found.push(path.clone());
        }
        undescribed(property, &path, found);
    }
}

#[test]
fn every_field_has_a_description() {
    let crd = serde_json::to_value(api::crd()).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut found = Vec::new();
    undescribed(schema, "", &mut found);
    assert!(found.is_empty(), "{found:?}");
}

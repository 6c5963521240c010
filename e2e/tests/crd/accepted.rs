//! What the API server accepts, and what it fills in.

use super::{COLLECTION, JSON, UID, cluster, create, digest, manifest, send};
use serde_json::{Value, json};

/// A spec as design and documentation say it is completed.
fn completed(changes: &Value) -> Value {
    let mut spec = json!({
        "uid": UID,
        "identityType": "RamUser",
        "mode": "Execute",
        "approval": "Automatic",
        "suspend": false,
        "activityCheck": {"windowDays": 7, "whenActive": "Wait", "whenUnknown": "Wait"},
        "kubeconfig": "Purge",
        "enforcement": "Once",
    });
    merge(&mut spec, changes);
    spec
}

/// The status of an object that no operator has visited.
fn unvisited() -> Value {
    json!({"observedGeneration": -1, "conditions": []})
}

/// As a JSON merge patch; `null` removes.
fn merge(into: &mut Value, changes: &Value) {
    let Some(changes) = changes.as_object() else {
        *into = changes.clone();
        return;
    };
    for (key, change) in changes {
        match (into.as_object_mut().unwrap(), change) {
            (object, Value::Null) => drop(object.remove(key)),
            (object, _) => merge(object.entry(key).or_insert(json!({})), change),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_specs_are_accepted_and_completed() {
    let cluster = cluster().await;
    let all_256: Value = (0..256).map(|i| json!({"digest": format!("sha256:{i:064}")})).collect();
    // What is written, and how the completed spec differs from the defaults.
    let cases = [
        (json!({"uid": UID}), json!({})),
        (json!({"uid": "1"}), json!({"uid": "1"})),
        (
            json!({"uid": "99999999999999999999"}),
            json!({"uid": "99999999999999999999"}),
        ),
        (
            json!({"uid": UID, "expectedName": "leaver"}),
            json!({"expectedName": "leaver"}),
        ),
        (
            json!({"uid": UID, "expectedName": "a".repeat(128)}),
            json!({"expectedName": "a".repeat(128)}),
        ),
        (
            json!({"uid": UID, "expectedName": "爱丽丝"}),
            json!({"expectedName": "爱丽丝"}),
        ),
        (
            json!({"uid": UID, "identityType": "RamRole"}),
            json!({"identityType": "RamRole"}),
        ),
        (json!({"uid": UID, "mode": "DryRun"}), json!({"mode": "DryRun"})),
        (json!({"uid": UID, "approval": "Manual"}), json!({"approval": "Manual"})),
        (
            json!({"uid": UID, "approval": "Manual", "approvals": [{"digest": digest('a')}, {"digest": digest('0'), "reason": "OPS-1"}]}),
            json!({"approval": "Manual", "approvals": [{"digest": digest('a')}, {"digest": digest('0'), "reason": "OPS-1"}]}),
        ),
        (json!({"uid": UID, "approvals": all_256}), json!({"approvals": all_256})),
        (json!({"uid": UID, "suspend": true}), json!({"suspend": true})),
        (json!({"uid": UID, "activityCheck": {}}), json!({})),
        (
            json!({"uid": UID, "activityCheck": {"windowDays": 1}}),
            json!({"activityCheck": {"windowDays": 1}}),
        ),
        (
            json!({"uid": UID, "activityCheck": {"windowDays": 180, "waitAtMostDays": 365}}),
            json!({"activityCheck": {"windowDays": 180, "waitAtMostDays": 365}}),
        ),
        (
            json!({"uid": UID, "activityCheck": {"whenActive": "Proceed", "whenUnknown": "Proceed", "waitAtMostDays": 1}}),
            json!({"activityCheck": {"whenActive": "Proceed", "whenUnknown": "Proceed", "waitAtMostDays": 1}}),
        ),
        (json!({"uid": UID, "kubeconfig": "Keep"}), json!({"kubeconfig": "Keep"})),
        (
            json!({"uid": UID, "enforcement": "Continuous"}),
            json!({"enforcement": "Continuous"}),
        ),
        // A template that renders nothing for a field: null stands for the default.
        (
            json!({"uid": UID, "mode": null, "suspend": null, "activityCheck": null}),
            json!({}),
        ),
    ];
    for (i, (spec, changes)) in cases.iter().enumerate() {
        let answer = create(&cluster, &format!("valid-{i}"), spec).await;
        assert_eq!(answer.code, 201, "{spec}: {answer:?}");
        assert_eq!(answer.body["spec"], completed(changes), "{spec}");
        assert_eq!(answer.warnings, Vec::<String>::new(), "{spec}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_nobody_visited_is_not_current() {
    let cluster = cluster().await;
    let created = create(&cluster, "new", &json!({"uid": UID})).await;
    // kstatus compares these two; with no status at all it would call the object current.
    assert_eq!(created.body["metadata"]["generation"], 1);
    assert_eq!(created.body["status"], unvisited());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_in_the_manifest_counts_for_nothing() {
    let cluster = cluster().await;
    let mut object = manifest("boast", &json!({"uid": UID}));
    object["status"] = json!({"observedGeneration": 1, "completedAt": "2026-01-02T03:04:05Z"});
    let created = send(&cluster.admin(), "POST", COLLECTION, JSON, &object).await;
    assert_eq!(created.code, 201, "{created:?}");
    assert_eq!(created.body["status"], unvisited());
}

//! PermissionScans: what is refused and in which words, what is filled in, and what the columns show.

use super::{JSON, cluster, presented::kubectl, send};
use ack_offboarding_e2e::cluster::Cluster;
use serde_json::{Value, json};

const SCANS: &str = "/apis/ack-offboarding.io/v1alpha1/permissionscans";

async fn create_scan(cluster: &Cluster, name: &str, spec: &Value) -> super::Answer {
    let object = json!({
        "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "PermissionScan", "metadata": {"name": name}, "spec": spec,
    });
    let path = format!("{SCANS}?fieldValidation=Strict");
    send(&cluster.admin(), "POST", &path, JSON, &object).await
}

#[tokio::test]
async fn a_malformed_scan_is_refused_in_words_that_help() {
    let cluster = cluster().await;
    let interval = "interval must be a time of at least 5m and at most 8760h";
    for (spec, words) in [
        (json!({"interval": "4m"}), interval),
        (json!({"interval": "299s"}), interval),
        (json!({"interval": "1d"}), interval),
        (json!({"interval": ""}), interval),
        (json!({"interval": "8761h"}), interval),
        (json!({"interval": "h"}), interval),
        (json!({"interval": 24}), "must be of type string"),
        (json!({"include": "Everybody"}), "supported values"),
        (json!({"dormantDays": 0}), "greater than or equal to 1"),
        (json!({"maxProposals": 101}), "less than or equal to 100"),
        (json!({"onFinding": "Offboard"}), "supported values"),
        (json!({"findings": []}), "unknown field"),
    ] {
        let answer = create_scan(&cluster, "default", &spec).await;
        assert!(
            answer.code >= 400 && answer.message().contains(words),
            "{spec}: {answer:?}"
        );
    }
    let answer = create_scan(&cluster, &"x".repeat(64), &json!({})).await;
    assert!(answer.message().contains("at most 63 characters"), "{answer:?}");
}

#[tokio::test]
async fn an_empty_spec_is_filled_in_and_the_columns_tell_the_story() {
    let cluster = cluster().await;
    for (name, interval) in [("a", "5m"), ("b", "1h30m"), ("c", "8760h"), (&"x".repeat(63), "300s")] {
        let answer = create_scan(&cluster, name, &json!({"interval": interval})).await;
        assert_eq!(answer.code, 201, "{answer:?}");
    }
    let answer = create_scan(&cluster, "default", &json!({})).await;
    assert_eq!((answer.code, answer.warnings.len()), (201, 0), "{answer:?}");
    let filled = json!({
        "interval": "24h", "include": "Deleted", "dormantDays": 90, "onFinding": "Report", "maxProposals": 10, "suspend": false,
    });
    assert_eq!(answer.body["spec"], filled);
    assert_eq!(
        answer.body["status"]["observedGeneration"], -1,
        "kstatus waits for the first scan"
    );

    let status = json!({"status": {
        "observedGeneration": 1, "truncated": false, "lastScanTime": "2026-01-01T00:00:00Z",
        "counts": {"identities": 9, "active": 4, "frozen": 0, "recycleBin": 0, "deleted": 5, "root": 0, "unknown": 0, "findings": 5,
            "clusterAdmins": 2, "withoutOffboarding": 1},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Scanned", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }});
    let path = format!("{SCANS}/default/status");
    let patch = "application/merge-patch+json";
    let written = send(&cluster.admin(), "PATCH", &path, patch, &status).await;
    assert_eq!(written.code, 200, "{written:?}");
    kubectl(
        &cluster,
        &["get", "pscan", "default"],
        &[
            "NAME STATE FINDINGS DELETED ADMINS LAST SCAN AGE",
            "default Scanned 5 5 2",
        ],
    )
    .await;
}

//! What the operator writes into its log, for a log collector.

use crate::support::{TestEnv, UID, freeze_team_a, give_access, running_with};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{PATIENCE, user},
    simulator::{Fault, FaultKind, Operation},
};
use serde_json::{Value, json};

/// The lines of the log that have this message.
fn lines(env: &TestEnv, message: &str) -> anyhow::Result<Vec<Value>> {
    let log = env.operator_log();
    let lines: Result<Vec<Value>, _> = log.lines().map(serde_json::from_str).collect();
    let mut lines = lines?;
    lines.retain(|line| line["fields"]["message"] == message);
    Ok(lines)
}

/// The request that a line of an effect tells, after it was seen that the line names the object and the UID as well.
fn request_of(line: &Value) -> String {
    assert_eq!(line["span"]["name"], "offboarding", "{line}");
    assert_eq!(line["span"]["object"], "left", "{line}");
    assert_eq!(line["span"]["uid"], UID, "{line}");
    let id = line["fields"]["request_id"].as_str().unwrap_or_default();
    assert!(!id.is_empty(), "no request ID: {line}");
    id.to_owned()
}

/// Verb and resource of a request, as the API server's audit log has it under its ID.
async fn audited(env: &TestEnv, id: &str) -> anyhow::Result<(String, String)> {
    eventually(&format!("the audit log to hold {id}"), PATIENCE, async || {
        let log = std::fs::read_to_string(env.cluster.audit_log())?;
        let mut events = log.lines().filter(|line| line.contains(id));
        let Some(line) = events.next() else { return Ok(None) };
        let event: Value = serde_json::from_str(line)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Some((text(&event["verb"]), text(&event["objectRef"]["resource"]))))
    })
    .await
}

/// Every line about an effect names object, UID and request: the one that the API server's audit log, or the cloud's support, finds.
#[tokio::test(flavor = "multi_thread")]
async fn every_effect_is_told_with_its_object_its_uid_and_its_request() -> anyhow::Result<()> {
    let env = running_with(&["--log-format=json"]).await;
    give_access(&env).await?;
    let colleague = user("259083957089437691");
    env.role_binding("team-a", "shared", "view", &[user(UID), colleague])
        .await?;
    let purge = Operation::CsCleanClusterUserPermissions;
    env.sim.fault(Fault::new(purge, FaultKind::ServerError(503)).times(1));
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await?;

    let stored = lines(&env, "stored a backup")?;
    assert_eq!(stored.len(), 1);
    assert_eq!(
        audited(&env, &request_of(&stored[0])).await?,
        ("create".into(), "configmaps".into())
    );
    let removed = lines(&env, "removed")?;
    let mut requests = Vec::new();
    for line in &removed {
        requests.push(audited(&env, &request_of(line)).await?);
    }
    requests.sort();
    let expected = [
        ("patch", "clusterrolebindings"),
        ("patch", "rolebindings"),
        ("patch", "rolebindings"),
    ];
    assert_eq!(
        requests,
        expected.map(|(verb, resource)| (verb.to_owned(), resource.to_owned()))
    );
    for line in lines(&env, "deleted")? {
        assert_eq!(audited(&env, &request_of(&line)).await?.0, "delete");
    }
    for message in [
        "asked ACK to purge the kubeconfig, but the result is unknown",
        "asked ACK to purge the kubeconfig, and ACK accepted",
    ] {
        let asked = lines(&env, message)?;
        assert_eq!(asked.len(), 1, "{message}");
        // As the simulated cloud writes them.
        assert_eq!(request_of(&asked[0]).split('-').count(), 5);
    }
    Ok(())
}

/// What could not be done is told in the same way.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_removal_is_told_with_its_request() -> anyhow::Result<()> {
    let env = running_with(&["--log-format=json"]).await;
    give_access(&env).await?;
    freeze_team_a(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Forbidden").await?;
    let refused = lines(&env, "not removed")?;
    assert!(!refused.is_empty());
    for line in &refused {
        let (verb, resource) = audited(&env, &request_of(line)).await?;
        assert_eq!((verb.as_str(), resource.as_str()), ("patch", "rolebindings"));
    }
    Ok(())
}

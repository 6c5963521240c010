//! Whether the identity is still in use, and what is done about it.

use crate::sight::sees;
use crate::support::{
    LEAVER, UID, assert_conditions, assert_gone, assert_untouched, assert_waiting, give_access, make_a_request,
    message, purges, running, wait_for_event,
};
use ack_offboarding_e2e::{
    simulator::{Record, world::Guard},
    stage::{CLUSTER_ID, PATIENCE, add_user},
};
use serde_json::json;
use std::time::Duration;

const EIGHT_DAYS: Duration = Duration::from_secs(8 * 86_400);

#[tokio::test(flavor = "multi_thread")]
async fn an_active_user_waits_and_is_offboarded_once_quiet_without_anyone_touching_the_object() -> anyhow::Result<()> {
    let stage = running().await;
    add_user(&stage.sim, UID, "leaver");
    give_access(&stage).await?;
    make_a_request(&stage).await?;

    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "WaitingForInactivity").await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_conditions(
        &status,
        &[
            ("Inactive", "False/ActiveInWindow"),
            ("Approved", "False/WaitingForInactivity"),
        ],
    );
    let activity = status.activity.as_ref().expect("activity");
    assert_eq!(
        (activity.verb.as_deref(), activity.source_ip.as_deref()),
        (Some("list"), Some("127.0.0.1"))
    );
    assert!(activity.last_seen.is_some() && activity.last_audit_id.is_some() && status.waiting_since.is_some());
    assert!(message(&status, "Ready").contains("whenActive: Proceed"));
    assert_untouched(&stage).await?;
    let generation = stage.offboardings().get("left").await?.metadata.generation;

    // The seven days pass.
    stage
        .sim
        .age_records(CLUSTER_ID, |r| r.get("user.username") == Some(LEAVER), EIGHT_DAYS);
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await?;
    assert_eq!(status.waiting_since, None);
    assert_eq!(
        stage.offboardings().get("left").await?.metadata.generation,
        generation,
        "nobody touched it"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_this_very_moment_counts() -> anyhow::Result<()> {
    let stage = running().await;
    add_user(&stage.sim, UID, "leaver");
    give_access(&stage).await?;
    let path = "/api/v1/namespaces/team-a/configmaps";
    let seen = |r: &Record| r.get("user.username") == Some(LEAVER);
    assert_eq!(stage.probe(LEAVER, path).await?, 200);
    stage.sim.wait_for_record(CLUSTER_ID, seen, PATIENCE).await?;

    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "WaitingForInactivity").await?;
    assert_conditions(&status, &[("Inactive", "False/ActiveInWindow")]);
    assert_untouched(&stage).await
}

/// Waits: without an audit log nobody can tell. Goes ahead by itself once the log is there and the window is quiet.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_activity_waits_until_it_is_known() -> anyhow::Result<()> {
    let stage = running().await;
    add_user(&stage.sim, UID, "leaver");
    give_access(&stage).await?;
    stage
        .sim
        .edit(|w| w.cluster_mut(CLUSTER_ID).expect("the cluster").audit_enabled = false);

    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "WaitingForInactivity").await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_conditions(&status, &[("Inactive", "Unknown/AuditDisabled")]);
    sees!(stage, "left", "while the audit log is off");
    assert_untouched(&stage).await?;

    stage
        .sim
        .edit(|w| w.cluster_mut(CLUSTER_ID).expect("the cluster").audit_enabled = true);
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn proceed_offboards_an_active_user_and_lets_ack_know() -> anyhow::Result<()> {
    let stage = running().await;
    add_user(&stage.sim, UID, "leaver");
    give_access(&stage).await?;
    make_a_request(&stage).await?;
    stage
        .apply("left", json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}}))
        .await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await?;
    assert_conditions(
        &status,
        &[
            ("Inactive", "False/ActiveInWindow"),
            ("Approved", "True/OverrideActive"),
        ],
    );
    assert_eq!(purges(&stage)[0].parameter("force"), "true");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn proceed_on_unknown_activity_says_so() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage
        .sim
        .edit(|w| w.cluster_mut(CLUSTER_ID).expect("the cluster").audit_enabled = false);
    stage
        .apply("left", json!({"uid": UID, "activityCheck": {"whenUnknown": "Proceed"}}))
        .await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await?;
    assert_conditions(
        &status,
        &[
            ("Inactive", "Unknown/AuditDisabled"),
            ("Approved", "True/OverrideUnknown"),
        ],
    );
    assert_eq!(purges(&stage)[0].parameter("force"), "true");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_log_is_no_quiet_user() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    let day_ago = k8s_openapi::jiff::Timestamp::now().as_second() - 86_400;
    stage.sim.edit(|w| {
        w.audit_logstore_mut(CLUSTER_ID)
            .expect("the logstore")
            .cut_gap(day_ago..day_ago + 2 * 3_600)
    });
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "WaitingForInactivity").await?;
    assert_conditions(&status, &[("Inactive", "Unknown/AuditGap")]);
    assert_untouched(&stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_of_a_deleted_user_is_an_incident() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    make_a_request(&stage).await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "WaitingForInactivity").await?;
    assert_waiting(&status, "WaitingForInactivity");
    let event = wait_for_event(&stage, "left", "Warning ActiveInWindow").await?;
    for part in ["verb list", "127.0.0.1", "incident"] {
        assert!(event.contains(part), "{event}");
    }
    assert_untouched(&stage).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_ack_refuses_is_forced_once_a_person_says_proceed() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    // ACK's own guard counts every record that mentions the UID: the operator's backup is one.
    stage.sim.edit(|w| w.purge.guard = Guard::AnyMention);
    let mentions = |r: &Record| r.get("requestURI").is_some_and(|uri| uri.contains(UID));
    stage.apply("left", json!({"uid": UID, "suspend": true})).await?;
    stage.wait_for_state("left", "Suspended").await?;
    assert_untouched(&stage).await?;
    stage.sim.add_record(
        CLUSTER_ID,
        Record::by("admin")
            .set("requestURI", &format!("/x/{UID}"))
            .ago(Duration::from_secs(60)),
    );
    stage.sim.wait_for_record(CLUSTER_ID, mentions, PATIENCE).await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "RefusedByAck").await?;
    assert_waiting(&status, "RefusedByAck");
    assert_conditions(
        &status,
        &[
            ("KubeconfigPurged", "False/RefusedByAck"),
            ("BindingsRemoved", "True/Removed"),
        ],
    );
    assert_eq!(
        stage.bindings_of(UID).await?,
        Vec::<String>::new(),
        "the bindings are gone all the same"
    );

    stage
        .apply("left", json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}}))
        .await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await?;
    let forced: Vec<_> = purges(&stage).iter().map(|c| c.parameter("force").to_owned()).collect();
    assert_eq!(
        (forced.first().map(String::as_str), forced.last().map(String::as_str)),
        (Some("false"), Some("true"))
    );
    Ok(())
}

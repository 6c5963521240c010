//! Why an offboarding was asked for, which operator answers, and objects that only show a plan.

use crate::support::{UID, assert_untouched, events, give_access, message, running, wait_for_event};
use ack_offboarding_operator::api::{Mode, PLAN_LABEL, UserOffboarding};
use anyhow::Context;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

const WHY: &str = "HR-4711: left on Friday";

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_is_shown_in_the_status_the_events_and_the_backups() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "reason": WHY})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert!(
        message(&status, "Approved").ends_with(WHY),
        "{}",
        message(&status, "Approved")
    );
    let operator = status.operator.context("no operator in the status")?;
    assert_eq!(operator.namespace, "ack-offboarding-system");
    assert_eq!(operator.version, env!("CARGO_PKG_VERSION"));
    for backup in env.backups().await? {
        let reason = backup
            .metadata
            .annotations
            .unwrap_or_default()
            .remove("ack-offboarding.io/reason");
        assert_eq!(reason.as_deref(), Some(WHY));
    }
    let told = wait_for_event(&env, "left", "Normal Automatic").await?;
    assert!(told.ends_with(WHY), "{told}");
    Ok(())
}

/// A plan: labelled, and a dry run.
fn plan(suspend: bool) -> anyhow::Result<UserOffboarding> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "ack-offboarding.io/v1alpha1",
        "kind": "UserOffboarding",
        "metadata": {"generateName": "plan-", "labels": {PLAN_LABEL: "true"}},
        "spec": {"uid": UID, "mode": "DryRun", "suspend": suspend},
    }))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_shows_a_plan_stays_one_and_is_no_event_nor_a_metric() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let made = env.offboardings().create(&PostParams::default(), &plan(false)?).await?;
    let name = made.metadata.name.context("no name")?;
    let status = env.wait_for_state(&name, "DryRunComplete").await?;
    assert_eq!(status.plan.context("no plan")?.total, 2);
    assert_untouched(&env).await?;
    for change in [
        json!({"spec": {"mode": "Execute"}}),
        json!({"metadata": {"labels": {PLAN_LABEL: null}}}),
    ] {
        let patched = env
            .offboardings()
            .patch(&name, &PatchParams::default(), &Patch::Merge(&change))
            .await;
        let refusal = patched.expect_err("a plan was changed into something else").to_string();
        assert!(refusal.contains("only to show a plan"), "{refusal}");
    }
    let metrics = env.metrics().await?;
    let counted = "ack_offboarding_objects{state=\"DryRunComplete\"} 0";
    assert!(metrics.contains(counted), "no {counted} in\n{metrics}");
    // Another dry run is one.
    env.apply("real", json!({"uid": UID, "mode": "DryRun"})).await?;
    env.wait_for_state("real", "DryRunComplete").await?;
    wait_for_event(&env, "real", "Normal").await?;
    assert!(events(&env, &name).await?.is_empty(), "somebody only looked");
    // Nor does an offboarding hide behind the label, later or from its creation on.
    let label = Patch::Merge(json!({"metadata": {"labels": {PLAN_LABEL: "true"}}}));
    let labelled = env.offboardings().patch("real", &PatchParams::default(), &label).await;
    let mut other = plan(false)?;
    other.spec.mode = Mode::Execute;
    let created = env.offboardings().create(&PostParams::default(), &other).await;
    for refusal in [labelled, created].map(|taken| taken.expect_err("the label was taken").to_string()) {
        assert!(refusal.contains("only to show a plan"), "{refusal}");
    }
    Ok(())
}

/// A plan asks for nothing. Once somebody suspends it, it holds up others for the UID as any suspended object does, whatever its labels.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_holds_nobody_up_until_somebody_suspends_it() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let suspended = env.offboardings().create(&PostParams::default(), &plan(true)?).await?;
    let suspended = suspended.metadata.name.context("no name")?;
    env.wait_for_state(&suspended, "Suspended").await?;
    env.offboardings().create(&PostParams::default(), &plan(false)?).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Suspended").await?;
    assert!(message(&status, "Ready").contains(&suspended));
    assert_untouched(&env).await?;
    env.delete(&suspended).await?;
    env.wait_for_state("left", "Offboarded").await.map(drop)
}

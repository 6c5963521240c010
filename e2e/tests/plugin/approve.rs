//! `approve`, `suspend` and `resume`.

use crate::support::{UID, give_access, person, plugin, running, shows};
use serde_json::json;

/// Approves what it shows, by appending to what others approved.
#[tokio::test(flavor = "multi_thread")]
async fn approve_and_it_goes_on() -> anyhow::Result<()> {
    let env = running().await;
    let (requester, approver) = (person(&env, "requester").await?, person(&env, "approver").await?);
    give_access(&env).await?;
    let other = format!("sha256:{}", "0".repeat(64));
    env.apply(
        "left",
        json!({"uid": UID, "approval": "Manual", "approvals": [{"digest": other, "reason": "of another cluster"}]}),
    )
    .await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    let digest = status.plan.expect("a plan").digest;

    // Who may ask may not approve.
    let refused = plugin(&requester, &["approve", "left", "--yes"]).await?.ends_with(2);
    refused.prints_nothing().tells("ClusterRole ack-offboarding-approver");
    // Another plan than the one that was reviewed.
    let moved = plugin(&approver, &["approve", "left", "--yes", "--digest", &other])
        .await?
        .ends_with(2);
    moved.prints_nothing().tells("is another one by now").tells(&digest);
    assert_eq!(env.offboardings().get("left").await?.spec.approvals.len(), 1);

    let args = ["approve", "left", "--digest", &digest, "--reason=TICKET-7", "--yes"];
    let said = plugin(&approver, &args).await?.ends_with(0);
    shows!("approve", format!("{}---\n{}", said.out, said.err));
    env.wait_for_state("left", "Offboarded").await?;
    let approvals = env.offboardings().get("left").await?.spec.approvals;
    let reasons: Vec<_> = approvals.iter().map(|approval| approval.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("of another cluster"), Some("TICKET-7")]);
    Ok(())
}

/// What needs no approval is left as it is, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_approve() -> anyhow::Result<()> {
    let env = running().await;
    let approver = person(&env, "approver").await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.apply("tried", json!({"uid": UID, "mode": "DryRun"})).await?;
    env.wait_for_state("left", "NothingToRemove").await?;
    env.wait_for_state("tried", "DryRunComplete").await?;
    plugin(&approver, &["approve", "left", "--yes"])
        .await?
        .ends_with(0)
        .tells("needs no approval");
    plugin(&approver, &["approve", "tried", "--yes"])
        .await?
        .ends_with(2)
        .tells("is a dry run");
    plugin(&approver, &["approve", "nobody", "--yes"])
        .await?
        .ends_with(2)
        .tells("not found");
    Ok(())
}

/// A requester may stop it, and only an approver may let it go on.
#[tokio::test(flavor = "multi_thread")]
async fn suspend_and_resume() -> anyhow::Result<()> {
    let env = running().await;
    let (requester, approver) = (person(&env, "requester").await?, person(&env, "approver").await?);
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;

    let said = plugin(&requester, &["suspend", "left", "--reason=on leave"])
        .await?
        .ends_with(0);
    shows!("suspend", format!("{}---\n{}", said.out, said.err));
    env.wait_for_state("left", "Suspended").await?;
    plugin(&requester, &["suspend", "left"])
        .await?
        .ends_with(0)
        .tells("is suspended already");
    let refused = plugin(&requester, &["resume", "left"]).await?.ends_with(2);
    refused.prints_nothing().tells("ClusterRole ack-offboarding-approver");
    assert!(env.offboardings().get("left").await?.spec.suspend);

    let said = plugin(&approver, &["resume", "left"]).await?.ends_with(0);
    assert_eq!(said.out, "useroffboarding.ack-offboarding.io/left: resumed\n");
    let object = env.offboardings().get("left").await?;
    assert!(!object.spec.suspend && object.metadata.annotations.unwrap_or_default().is_empty());
    env.wait_for_state("left", "AwaitingApproval").await?;
    plugin(&approver, &["resume", "left"])
        .await?
        .ends_with(0)
        .tells("is resumed already");
    Ok(())
}

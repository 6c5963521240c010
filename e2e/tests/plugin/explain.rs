//! `explain`, against what the operator really says.

use crate::support::{UID, give_access, person, plugin, running, shows, until_authors_are_known};
use serde_json::json;

/// While it waits for approval, while it is suspended, and at its end.
#[tokio::test(flavor = "multi_thread")]
async fn in_plain_words() -> anyhow::Result<()> {
    let env = running().await;
    let approver = person(&env, "approver").await?;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;
    until_authors_are_known(&env, "left").await?;
    let waits = plugin(&approver, &["explain", "left"]).await?.ends_with(1);
    shows!("explain-awaiting-approval", waits.out);
    let json = plugin(&approver, &["explain", "left", "-o", "json"])
        .await?
        .ends_with(1);
    shows!("explain-json", json.out);

    plugin(&approver, &["suspend", "left", "--reason", "on leave until Friday"])
        .await?
        .ends_with(0);
    env.wait_for_state("left", "Suspended").await?;
    let suspended = plugin(&approver, &["explain", "left"]).await?.ends_with(1);
    shows!("explain-suspended", suspended.out);

    plugin(&approver, &["resume", "left"]).await?.ends_with(0);
    env.wait_for_state("left", "AwaitingApproval").await?;
    plugin(&approver, &["approve", "left", "--yes"]).await?.ends_with(0);
    env.wait_for_state("left", "Offboarded").await?;
    until_authors_are_known(&env, "left").await?;
    let over = plugin(&approver, &["explain", "left"]).await?.ends_with(0);
    shows!("explain-offboarded", over.out);
    Ok(())
}

//! `version`.

use crate::support::{UID, give_access, person, plugin, running, shows};
use serde_json::json;

/// What the plugin is; with -v, what the cluster has, and whether they fit.
#[tokio::test(flavor = "multi_thread")]
async fn of_plugin_operator_and_crd() -> anyhow::Result<()> {
    let env = running().await;
    let viewer = person(&env, "viewer").await?;
    let said = plugin(std::path::Path::new("/nowhere"), &["version"])
        .await?
        .ends_with(0);
    shows!("version", said.out);
    let said = plugin(&viewer, &["version", "-v"]).await?.ends_with(1);
    assert!(said.out.contains("no operator has said yet"), "{said:#?}");

    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;
    let said = plugin(&viewer, &["version", "-v"]).await?.ends_with(0);
    shows!("version-verbose", said.out);
    let said = plugin(&viewer, &["version", "-v", "-o", "json"]).await?.ends_with(0);
    shows!("version-json", said.out);
    Ok(())
}

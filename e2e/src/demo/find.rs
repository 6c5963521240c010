//! Who still has access, before anybody has written a manifest.

use super::{fixtures::LEAVER, kubectl::plugin};
use crate::{cluster::eventually, env::OwnEnv, screen::Screen};
use ack_offboarding_operator::api::PermissionScan;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use std::time::Duration;

/// The operator scans, as it does in every cluster where the chart installed it, and the plugin shows what it found.
pub(super) async fn find(env: &OwnEnv, screen: &mut Screen) -> anyhow::Result<()> {
    screen.heading("Find: who still has access? Nobody has written a manifest yet");
    let scan: PermissionScan = serde_json::from_value(json!({"metadata": {"name": "default"}, "spec": {}}))?;
    let scans: Api<PermissionScan> = Api::all(env.admin());
    scans.create(&PostParams::default(), &scan).await?;
    eventually("the first scan", Duration::from_secs(60), async || {
        let status = scans.get("default").await?.status;
        Ok(status.and_then(|status| status.last_scan_time))
    })
    .await?;
    screen.command("kubectl ack-offboard scan");
    screen.block(&plugin(&env.cluster, &["scan"], 1).await?);
    let found: Value = serde_json::from_str(&plugin(&env.cluster, &["scan", "-o", "json"], 1).await?)?;
    let found = found["items"].as_array().cloned().unwrap_or_default();
    let uids: Vec<_> = found.iter().filter_map(|finding| finding["uid"].as_str()).collect();
    screen.check("found", &uids.join(" "), LEAVER.uid);
    screen.quote("Colleague and still-active are users of the account, and no finding.");
    Ok(())
}

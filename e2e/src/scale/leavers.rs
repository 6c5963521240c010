//! Leavers, offboarded one after the other.

use std::time::Duration;

use ack_offboarding_operator::api::ConditionType;
use anyhow::Context;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;

use super::seed;
use crate::env::OwnEnv;
use crate::{
    env::{condition, issue_kubeconfig, kubeconfig_state},
    follow::Updates,
    simulator::world::CertificateState,
};

/// For one leaver.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bindings that each of them has.
const BINDINGS: u32 = 3;

/// Gives each leaver a kubeconfig, so that the purge is part of what is measured.
pub(super) fn issue_kubeconfigs(env: &OwnEnv, count: u32) {
    (0..count).for_each(|n| issue_kubeconfig(&env.sim, &seed::leaver(n), CertificateState::Unexpired));
}

/// Offboards so many leavers. Returns the times from the API server's answer to the watch event with `Offboarded=True`.
pub(super) async fn offboard(env: &OwnEnv, count: u32) -> anyhow::Result<Vec<Duration>> {
    let mut updates = Updates::begin(env.offboardings()).await?;
    let mut times = Vec::new();
    for n in 0..count {
        let (name, uid) = (format!("leaver-{n}"), seed::leaver(n));
        env.apply(&name, json!({"uid": uid})).await?;
        let applied = Timestamp::now();
        let done = tokio::time::timeout(DEADLINE, until_offboarded(&mut updates, &name, BINDINGS)).await;
        let done =
            done.with_context(|| format!("{name} was not offboarded within {DEADLINE:?}:\n{}", env.operator_log()))??;
        anyhow::ensure!(
            kubeconfig_state(&env.sim, &uid) == Some(CertificateState::Removed),
            "{name} is offboarded, and its kubeconfig was not purged"
        );
        let time = done.duration_since(applied).unsigned_abs();
        eprintln!("  {name}: {} ms", time.as_millis());
        times.push(time);
    }
    Ok(times)
}

/// When the event arrived that says so, and that so many bindings were removed.
pub(super) async fn until_offboarded(updates: &mut Updates, name: &str, bindings: u32) -> anyhow::Result<Timestamp> {
    loop {
        let update = updates.next().await?;
        let status = update
            .object
            .status
            .as_ref()
            .filter(|_| update.object.name_any() == name);
        let Some(status) = status else { continue };
        if condition(status, ConditionType::Offboarded.as_str()).starts_with("True/") {
            let removed = status.removed.map_or(0, |removed| removed.total);
            anyhow::ensure!(
                removed == bindings,
                "{name} is offboarded, but {removed} bindings were removed"
            );
            return Ok(update.at);
        }
    }
}

//! Waits until the components of a control plane serve, and says why they do not.

use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::{Api, Client, api::PostParams};
use serde_json::json;

use super::{process::Process, wait::eventually};

/// Generous, as a test machine may be busy compiling; 5 s is usual.
const DEADLINE: Duration = Duration::from_secs(120);

/// Why a component ended before it served.
pub(super) enum Ended {
    /// Another process took the port between its choice and its use.
    PortTaken,
    /// Anything else, with the end of its log.
    Failed(anyhow::Error),
}

/// Waits for `/readyz`, and for the namespaces that the API server makes a moment later.
pub(super) async fn until_ready(etcd: &mut Process, apiserver: &mut Process, client: &Client) -> Result<(), Ended> {
    let mut port_taken = false;
    let ready = eventually("a ready kube-apiserver", DEADLINE, async || {
        still_runs("etcd", etcd)?;
        still_runs("kube-apiserver", apiserver).inspect_err(|_| {
            port_taken = apiserver.log_tail(20_000).contains("address already in use");
        })?;
        Ok(is_ready(client).await.then_some(()))
    })
    .await;
    ready.map_err(|error| match port_taken {
        true => Ended::PortTaken,
        false => Ended::Failed(error.context(format!(
            "the control plane did not come up; kube-apiserver's last words:\n{}\netcd's:\n{}",
            apiserver.log_tail(3000),
            etcd.log_tail(1000)
        ))),
    })
}

/// Whether the API server serves, its built-in roles are stored and its namespaces are made.
pub(super) async fn is_ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else {
        return false;
    };
    if client.request_text(request).await.is_err() {
        return false;
    }
    let namespaces = Api::<Namespace>::all(client.clone());
    for name in ["default", "kube-system"] {
        if !matches!(namespaces.get_opt(name).await, Ok(Some(_))) {
            return false;
        }
    }
    true
}

/// Waits until the controllers have done something.
pub(super) async fn until_controllers_run(manager: Option<&mut Process>, client: &Client) -> anyhow::Result<()> {
    let Some(manager) = manager else {
        return Ok(());
    };
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    let running = eventually("kube-controller-manager's first work", DEADLINE, async || {
        still_runs("kube-controller-manager", manager)?;
        Ok(accounts.get_opt("default").await?)
    })
    .await;
    let running = match running {
        Ok(_) => until_garbage_is_collected(client).await,
        Err(error) => Err(error),
    };
    running.with_context(|| {
        format!(
            "kube-controller-manager does not work; its last words:\n{}",
            manager.log_tail(3000)
        )
    })
}

/// The garbage collector begins after it has listed every kind of object. An object whose owner never was is the proof.
pub(super) async fn until_garbage_is_collected(client: &Client) -> anyhow::Result<()> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let orphan: ConfigMap = serde_json::from_value(
        json!({"metadata": {"generateName": "garbage-", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "never-was", "uid": "00000000-0000-4000-8000-000000000000"},
        ]}}),
    )?;
    let name = maps
        .create(&PostParams::default(), &orphan)
        .await?
        .metadata
        .name
        .context("the API server names it")?;
    eventually("the garbage collector's first work", DEADLINE, async || {
        Ok(maps.get_opt(&name).await?.is_none().then_some(()))
    })
    .await
}

fn still_runs(name: &str, process: &mut Process) -> anyhow::Result<()> {
    match process.try_wait()? {
        None => Ok(()),
        Some(status) => bail!("{name} ended: {status}"),
    }
}

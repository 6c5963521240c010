//! `kubectl ack-offboard scan --direct`, beside a bare client that lists the same and keeps nothing.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use alibaba_cloud::{Cloud, CloudSettings, CredentialsSource, EndpointOverrides, Environment, ims::UserStatus};
use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::{people, program};
use crate::{
    env::{ACCESS_KEY, ACCESS_SECRET, CLUSTER_ID, OwnEnv, REGION, SECURITY_TOKEN, release_plugin_binary},
    scale::list,
};

/// What was measured.
#[derive(Debug, Serialize)]
pub(in crate::scale) struct Direct {
    /// `scan --direct`, from its start to its end.
    pub(in crate::scale) took_ms: u64,
    /// A bare paged LIST of both kinds of bindings, and after it the same listings of the account, one after the other.
    pub(in crate::scale) bare_ms: u64,
    /// Of these, the listings of the account.
    bare_cloud_ms: u64,
    /// The most memory that the plugin had, also with `--all`.
    pub(in crate::scale) peak_mib: u64,
    /// How many identities it found.
    found: usize,
    /// `scan --direct --all`, likewise.
    all_took_ms: u64,
    all_found: usize,
}

impl Direct {
    /// How often longer it took.
    pub(in crate::scale) fn ratio(&self) -> f64 {
        self.took_ms as f64 / self.bare_ms.max(1) as f64
    }
}

/// Runs both.
///
/// # Errors
/// When one of them fails, or the plugin does not find whom it should.
pub(in crate::scale) async fn measure(env: &OwnEnv, bindings: u32, leavers: u32) -> anyhow::Result<Direct> {
    let binary = tokio::task::spawn_blocking(release_plugin_binary).await??;
    let (client, cloud) = (env.admin(), cloud(env)?);
    let begun = Instant::now();
    for kind in ["clusterrolebindings", "rolebindings"] {
        list::bare_kind(&client, kind).await?;
    }
    let listed = begun.elapsed();
    list_account(&cloud).await?;
    let bare = begun.elapsed();
    let (some, found) = scan(env, &binary, &[]).await?;
    let expected = people::gone(bindings) + leavers as usize;
    anyhow::ensure!(found == expected, "{found} of {expected} were found");
    let (all, all_found) = scan(env, &binary, &["--all"]).await?;
    let measured = Direct {
        took_ms: millis(some.took)?,
        bare_ms: millis(bare)?,
        bare_cloud_ms: millis(bare - listed)?,
        peak_mib: some.peak.max(all.peak).mib(),
        found,
        all_took_ms: millis(all.took)?,
        all_found,
    };
    eprintln!(
        "scan --direct: {} ms, a bare client {} ms; --all: {} ms; at most {} MiB.",
        measured.took_ms, measured.bare_ms, measured.all_took_ms, measured.peak_mib
    );
    Ok(measured)
}

/// Runs the plugin; how many identities it found.
async fn scan(env: &OwnEnv, binary: &Path, args: &[&str]) -> anyhow::Result<(program::Ran, usize)> {
    let url = env.sim.url();
    let mut command = Command::new(binary);
    command
        .args(["scan", "--direct", "-o", "json"])
        .arg(format!("--region={REGION}"))
        .args(["sts", "ims", "ram", "cs", "sls"].map(|service| format!("--{service}-endpoint={url}")))
        .args(args)
        .env_clear()
        .env("HOME", env.cluster.dir())
        .env("KUBECONFIG", env.cluster.admin_kubeconfig())
        .envs(keys());
    let ran = tokio::task::spawn_blocking(move || program::run(command)).await??;
    anyhow::ensure!(
        ran.code == Some(1),
        "scan --direct ended with {:?}: {}",
        ran.code,
        ran.err
    );
    let found: Value = serde_json::from_str(&ran.out)?;
    let found = found["items"].as_array().context("a list of findings")?.len();
    Ok((ran, found))
}

fn keys() -> [(&'static str, &'static str); 3] {
    [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_SECRET),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", SECURITY_TOKEN),
    ]
}

fn cloud(env: &OwnEnv) -> anyhow::Result<Cloud> {
    let url = || Some(env.sim.url());
    let settings = CloudSettings {
        endpoints: EndpointOverrides {
            sts: url(),
            ims: url(),
            ram: url(),
            ack: url(),
            sls: url(),
        },
        credentials: CredentialsSource::Env,
        environment: Environment::from_iter(keys()),
        ..CloudSettings::new(REGION)
    };
    Ok(Cloud::connect(&settings, Arc::new(()))?)
}

/// The listings that a scan needs.
async fn list_account(cloud: &Cloud) -> anyhow::Result<()> {
    cloud.ims.list_users(UserStatus::Active).await?;
    cloud.ims.list_users(UserStatus::Frozen).await?;
    cloud.ims.list_users_in_recycle_bin().await?;
    cloud.ram.list_roles().await?;
    cloud.ack.list_cluster_kubeconfig_states(CLUSTER_ID).await?;
    Ok(())
}

fn millis(time: Duration) -> anyhow::Result<u64> {
    Ok(time.as_millis().try_into()?)
}

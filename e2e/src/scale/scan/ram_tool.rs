//! ack-ram-tool on the same cluster, with the same account: `rbac scan-user-permissions`.

use std::{path::Path, process::Command};

use anyhow::Context;
use serde::Serialize;

use super::program;
use crate::{
    env::{CLUSTER_ID, OwnEnv},
    simulator::{
        Options, Simulator,
        world::{AccessKey, Principal, User},
    },
};

/// Who runs it.
const CALLER: &str = "203000000000000009";

/// What was measured.
#[derive(Debug, Serialize)]
pub(in crate::scale) struct RamTool {
    /// From its start to its end.
    took_ms: u64,
    /// The most memory that it had.
    peak_mib: u64,
    /// Rows of its table: one for each binding of an identity that it does not find.
    rows: usize,
}

/// Runs it.
///
/// # Errors
/// When it fails.
pub(in crate::scale) async fn measure(env: &OwnEnv, binary: &Path) -> anyhow::Result<RamTool> {
    let folder = env.cluster.dir();
    let authority = folder.join("ack-ram-tool-ca.pem");
    // A second cloud that knows the same: it speaks https only.
    let mut world = env.sim.read(Clone::clone);
    let caller = Principal::RamUser {
        user_id: CALLER.to_owned(),
    };
    world.access_keys.push(AccessKey::new("ak", "sk", caller));
    world.users.push(User::new(CALLER, "caller"));
    let cloud = Simulator::start(Options {
        world,
        ca_out: Some(authority.clone()),
        ..Options::default()
    })?;
    let kubeconfig = env
        .cluster
        .user_kubeconfig(&format!("{CALLER}-1700000000"), &["system:masters"])?;
    cloud.attach_user_kubeconfig(CLUSTER_ID, CALLER, &kubeconfig);
    let address = cloud.https_url().context("https")?;
    let address = address.trim_start_matches("https://");
    let mut command = Command::new(binary);
    command
        .args([
            "rbac",
            "scan-user-permissions",
            "--ignore-aliyun-cli-credentials",
            "-c",
            CLUSTER_ID,
        ])
        .env_clear()
        .env("HOME", folder)
        .env("SSL_CERT_FILE", authority)
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "ak")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "sk")
        .env("ALIBABA_CLOUD_STS_ENDPOINT", address)
        .env("RAM_ENDPOINT", address)
        .env("CS_ENDPOINT", address);
    let ran = tokio::task::spawn_blocking(move || program::run(command)).await??;
    anyhow::ensure!(
        ran.code == Some(0),
        "ack-ram-tool ended with {:?}: {}",
        ran.code,
        ran.err
    );
    let measured = RamTool {
        took_ms: ran.took.as_millis().try_into()?,
        peak_mib: ran.peak.mib(),
        rows: ran.out.lines().filter(|line| line.contains("Binding/")).count(),
    };
    eprintln!(
        "ack-ram-tool: {} ms, at most {} MiB, {} rows.",
        measured.took_ms, measured.peak_mib, measured.rows
    );
    Ok(measured)
}

//! kubectl, as the administrator runs it.

use std::{process::Stdio, time::Duration};

use anyhow::Context;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::cluster::Cluster;

const DEADLINE: Duration = Duration::from_secs(30);

/// Runs kubectl and returns what it printed.
///
/// # Errors
/// When it fails, with what it printed to standard error, or takes longer than half a minute.
pub(super) async fn kubectl(cluster: &Cluster, args: &[&str], input: &str) -> anyhow::Result<String> {
    let mut command = Command::from(cluster.kubectl());
    // Relative file names are in the cluster's own folder.
    command.args(args).current_dir(cluster.dir()).kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let shown = format!("kubectl {}", args.join(" "));
    let run = async {
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = timeout(DEADLINE, run)
        .await
        .with_context(|| format!("`{shown}` takes longer than {DEADLINE:?}"))?;
    let output = output.with_context(|| format!("cannot run `{shown}`"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "`{shown}` failed ({}): {stderr}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

//! kubectl and its plugin, as the administrator runs them.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::Context;
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::{cluster::Cluster, env::plugin_binary};

const DEADLINE: Duration = Duration::from_secs(30);

/// Runs kubectl and returns what it printed.
///
/// # Errors
/// When it fails, with what it printed to standard error, or takes longer than half a minute.
pub(super) async fn kubectl(cluster: &Cluster, args: &[&str], input: &str) -> anyhow::Result<String> {
    run(Command::from(cluster.kubectl()), cluster, args, input, 0).await
}

/// Runs `kubectl ack-offboard`, which is to end with `code`, and returns what it printed to standard output.
///
/// # Errors
/// When it ends otherwise, with what it printed to standard error, or takes longer than half a minute.
pub(super) async fn plugin(cluster: &Cluster, args: &[&str], code: i32) -> anyhow::Result<String> {
    let mut command = Command::new(plugin_binary()?);
    command.env("KUBECONFIG", cluster.admin_kubeconfig());
    run(command, cluster, args, "", code).await
}

async fn run(mut command: Command, cluster: &Cluster, args: &[&str], input: &str, code: i32) -> anyhow::Result<String> {
    let program = command.as_std().get_program().to_owned();
    let program = Path::new(&program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // Relative file names are in the cluster's own folder.
    command.args(args).current_dir(cluster.dir()).kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let shown = format!("{program} {}", args.join(" "));
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
        output.status.code() == Some(code),
        "`{shown}` failed ({}): {stderr}",
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

//! Helm, as the administrator runs it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Context;

use crate::cluster::OPERATOR_NAMESPACE;

/// The release's name.
pub(super) const RELEASE: &str = "offboarding";
const CHART: &str = "charts/ack-offboarding-operator";
/// Longer than any command's own time-out.
const DEADLINE: Duration = Duration::from_secs(360);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn helm() -> Command {
    Command::new(root().join("charts/helm"))
}

/// Makes sure that there is a Helm.
pub(super) fn prepare() -> anyhow::Result<()> {
    let status = helm()
        .arg("version")
        .stdout(Stdio::null())
        .status()
        .context("cannot run charts/helm")?;
    anyhow::ensure!(status.success(), "charts/helm version: {status}");
    Ok(())
}

/// Packs the chart as it is into `dir`, under a version of its own if one is given; returns the file.
pub(super) async fn package(dir: &Path, version: Option<&str>) -> anyhow::Result<PathBuf> {
    let mut command = helm();
    command
        .arg("package")
        .arg(root().join(CHART))
        .arg("--destination")
        .arg(dir);
    if let Some(version) = version {
        command.args(["--version", version]);
    }
    let said = output(command).await?;
    let path = said.trim().rsplit(": ").next().unwrap_or_default();
    anyhow::ensure!(Path::new(path).is_file(), "helm package said: {said}");
    Ok(path.into())
}

/// Runs a command of Helm on the release, such as `install`, with `arguments` after the release's name.
pub(super) async fn run(kubeconfig: &Path, verb: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = helm();
    command
        .arg(verb)
        .arg(RELEASE)
        .args(arguments)
        .args(["--namespace", OPERATOR_NAMESPACE])
        .env("KUBECONFIG", kubeconfig);
    output(command).await
}

/// What a command printed.
///
/// # Errors
/// When it fails, with what it printed to standard error; or takes too long.
pub(super) async fn output(mut command: Command) -> anyhow::Result<String> {
    command.stdin(Stdio::null());
    let shown = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let output = tokio::time::timeout(DEADLINE, command.kill_on_drop(true).output())
        .await
        .with_context(|| format!("takes longer than {DEADLINE:?}: {shown}"))?
        .with_context(|| format!("cannot run {shown}"))?;
    anyhow::ensure!(
        output.status.success(),
        "failed ({}): {shown}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

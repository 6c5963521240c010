//! The demo: a real control plane, a simulated cloud, the real operator, and three people of whom only one has really left.
//!
//! ```text
//! fixtures certificates, bindings, manifests
//! progress the conditions, live                kubectl  what the administrator runs
//! find     who still has access
//! steps    before, offboarding, after          restore  access that returns
//! probes   requests with the leaver's certificate
//! report   what was observed, as JSON
//! ```

mod find;
mod fixtures;
mod kubectl;
mod operator;
mod probes;
mod progress;
mod report;
mod restore;
mod steps;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Parser;

use self::report::Report;
use crate::{
    cluster::{self, Cluster},
    env::{Env, OwnEnv, operator_binary, plugin_binary},
    screen::{self, Screen},
};

/// A stage with a cluster of its own.
/// Shows on this machine what the operator does: a real API server with a simulated Alibaba Cloud, and nothing left behind.
#[derive(Debug, Parser)]
pub struct Options {
    /// Leave everything running until Ctrl-C, and say how to look around.
    #[arg(long)]
    pub keep: bool,
    /// Where to write what was observed, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Plays the demo. Returns whether all that was observed is what it should be.
///
/// # Errors
/// When something that the rest needs cannot be had. The report is written all the same.
pub async fn play(options: &Options) -> anyhow::Result<bool> {
    let mut screen = Screen::new();
    let mut report = Report::default();
    let begun = Instant::now();
    let mut env = None;
    let mut outcome = async {
        let env = env.insert(set(&screen).await?);
        steps::play(env, &mut screen, &mut report).await
    }
    .await;
    if let Some(path) = &options.report {
        // What broke the demo off is more to the point than what may be wrong with the report.
        let written = report.write(path);
        outcome = outcome.and(written);
    }
    outcome?;
    summary(&screen, &report, begun.elapsed());
    if let (true, Some(env)) = (options.keep, &env) {
        keep(env, &screen).await?;
    }
    Ok(screen.all_is_well())
}

/// Starts the cluster and the cloud, and builds the operator; each says what it does.
async fn set(screen: &Screen) -> anyhow::Result<OwnEnv> {
    screen.heading("The stage");
    let step = screen.step(
        "Building the operator and the kubectl plugin",
        "a second when nothing has changed, else a minute or two",
    );
    tokio::task::spawn_blocking(|| operator_binary(false).and_then(|_| plugin_binary())).await??;
    step.done(screen, "built");
    screen.line("The first run on a machine also builds Kubernetes from source: about 4 minutes, once.");
    let step = screen.step("Starting etcd and kube-apiserver", "5 s");
    let cluster = Cluster::start(cluster::Options {
        controller_manager: true,
        ..cluster::Options::default()
    })
    .await?;
    step.done(screen, "ready");
    let step = screen.step(
        "Installing the CRD and the operator's permissions, and starting the simulated cloud",
        "2 s",
    );
    let env = Env::set(Box::new(cluster)).await?;
    step.done(screen, "ready");
    Ok(env)
}

fn summary(screen: &Screen, report: &Report, took: Duration) {
    screen.heading("Summary");
    screen.tally();
    if let Some(ms) = report.apply_to_offboarded_ms {
        screen.line(&format!(
            "From `kubectl apply` (the API server's answer) to Offboarded=True: {ms} ms."
        ));
    }
    screen.line(&format!("The demo took {}.", screen::seconds(took)));
    screen.line("");
    screen.line("Next:");
    screen.line("  cargo demo -- --keep               look around in the cluster yourself");
    screen.line("  cargo scale -- --bindings 100000   the same with 100,000 bindings, measured");
}

/// Waits for Ctrl-C, after saying what can be done until then.
async fn keep(env: &OwnEnv, screen: &Screen) -> anyhow::Result<()> {
    let dir = env.cluster.dir();
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).context("a folder for kubectl")?;
    std::os::unix::fs::symlink(env.cluster.kubectl().get_program(), bin.join("kubectl"))
        .context("a link to kubectl")?;
    std::os::unix::fs::symlink(plugin_binary()?, bin.join("kubectl-ack_offboard")).context("a link to the plugin")?;
    let leaver = env.cluster.user_kubeconfig(fixtures::LEAVER.certificate, &[])?;
    screen.heading("Everything runs on, until Ctrl-C. In another terminal:");
    for command in [
        format!("export KUBECONFIG={}", env.cluster.admin_kubeconfig().display()),
        format!("export PATH={}:$PATH   # for kubectl and its plugin", bin.display()),
        "kubectl ack-offboard status".to_owned(),
        "kubectl ack-offboard explain still-active".to_owned(),
        "kubectl ack-offboard restore leaver --dry-run".to_owned(),
        "kubectl describe useroffboarding leaver".to_owned(),
        "kubectl get configmaps --namespace ack-offboarding-system --show-labels".to_owned(),
        "kubectl patch useroffboarding still-active --type merge -p '{\"spec\":{\"activityCheck\":{\"whenActive\":\"Proceed\"}}}'".to_owned(),
        "kubectl get events --sort-by=.lastTimestamp".to_owned(),
        format!("kubectl --kubeconfig {} get pods --namespace shop   # as the leaver", leaver.display()),
    ] {
        screen.line(&format!("  {command}"));
    }
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")?;
    screen.line("Stopping; nothing is left behind.");
    Ok(())
}

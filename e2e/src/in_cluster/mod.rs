//! The operator where its users run it: the real image, installed with the real chart, in real pods.
//!
//! By default the cluster is one of this machine's own, with a [`node`](crate::node); with `E2E_KUBECONFIG`, any cluster that exists.
//! Either way, the cloud is the simulator: a MutatingAdmissionPolicy gives the operator's pods what the VPC's DNS and a public
//! certificate authority give them on ACK, so that the chart is installed with the values that it requires, and no other.
//!
//! ```text
//! target        the cluster that is used                cloud   the simulator, and how pods reach it
//! image         what is installed                       helm    how
//! installation  pods, their Lease, their memory         people  client certificates that the cluster signs
//! steps         what happens, in order                  report  what was observed, as JSON
//! ```

mod cloud;
mod helm;
mod image;
mod installation;
mod people;
mod report;
mod steps;
mod target;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::Context;
use clap::Parser;

use self::{report::Report, target::Target};
use crate::{
    cluster::components,
    node::sandbox,
    screen::{Screen, seconds},
};

/// Installs the packed chart with the built image on a node that runs real pods, and tries what an administrator does: offboard,
/// upgrade, lose the leader, uninstall. Needs root, and containerd, runc, CNI plugins, iptables and buildah.
///
/// With E2E_KUBECONFIG, the cluster of that kubeconfig is used instead of one of this machine's own: Kubernetes 1.36 or later, with the
/// image of --image loaded on its nodes, and nothing of the operator installed. E2E_ADDRESS is then the address at which its pods reach
/// this machine, where port 443 has to be free, and to be had (root).
#[derive(Debug, Parser)]
pub struct Options {
    /// The image, as `.ci/image FILE` writes it. By default it is built, into target/image/image.tar; with E2E_KUBECONFIG it is
    /// required, and the one that the nodes have.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Where to write what was observed, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Runs it. Returns whether all that was observed is what it should be.
///
/// # Errors
/// When something that the rest needs cannot be had. The report is written all the same.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let foreign = std::env::var_os("E2E_KUBECONFIG").filter(|path| !path.is_empty());
    if !sandbox::is_inside() {
        if foreign.is_none() {
            sandbox::check()?;
        }
        // What needs the network, or this user's caches, comes first.
        components()?;
        helm::prepare()?;
    }
    if sandbox::is_inside() || foreign.is_some() {
        let image = options.image.as_deref().context("--image is missing")?;
        let runtime = tokio::runtime::Runtime::new().context("cannot start")?;
        return runtime.block_on(play(image, options.report.as_deref(), foreign.as_deref()));
    }
    let image = match &options.image {
        Some(image) => std::path::absolute(image)?,
        None => image::build()?,
    };
    let mut arguments = vec![OsStr::new("--image"), image.as_os_str()];
    let report = options.report.as_deref().map(std::path::absolute).transpose()?;
    if let Some(report) = &report {
        arguments.extend([OsStr::new("--report"), report.as_os_str()]);
    }
    Ok(sandbox::run(&arguments)?.success())
}

async fn play(image: &Path, report_file: Option<&Path>, kubeconfig: Option<&OsStr>) -> anyhow::Result<bool> {
    let mut screen = Screen::new();
    let mut report = Report::default();
    let begun = Instant::now();
    let mut target = None;
    let mut outcome = async {
        let target = target.insert(Target::find(&screen, kubeconfig).await?);
        steps::play(target, image, &mut screen, &mut report).await
    }
    .await;
    if let Some(path) = report_file {
        // What broke the run off is more to the point than what may be wrong with the report.
        outcome = outcome.and(report.write(path));
    }
    if let (Some(target), true) = (&target, kubeconfig.is_some()) {
        cloud::leave(target).await;
    }
    if let (Err(error), Some(target)) = (&outcome, &target) {
        screen.heading("What was there when it broke off");
        screen.line(&format!("{error:#}"));
        screen.block(&target.describe().await);
    }
    outcome?;
    screen.heading("Summary");
    screen.block(&serde_json::to_string_pretty(&report)?);
    screen.tally();
    screen.line(&format!("The run took {}.", seconds(begun.elapsed())));
    Ok(screen.all_is_well())
}

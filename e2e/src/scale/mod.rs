//! The benchmark: how long the operator takes to know 100,000 bindings, how much memory that costs, and how long it then takes
//! from an applied object to `Offboarded=True`.
//!
//! ```text
//! seed     bindings as ACK makes them, by 48 connections      list     what reading them all takes at least
//! process  the operator's memory, and when it was ready       leavers  one after the other, from applied to offboarded
//! many     one leaver with 3,000 bindings                     scan     who still has access, by the plugin and by the operator
//! report   the figures as JSON, and the bars they must stay under
//! ```

mod leavers;
mod list;
mod many;
pub mod process;
mod report;
mod scan;
mod seed;

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use self::{
    many::Many,
    report::{Measured, Report, Scans},
    scan::{Direct, RamTool},
};
use crate::{
    cluster::{self, Cluster},
    env::{CLUSTER_ID, Env, OperatorOptions, OwnEnv, operator_binary, release_plugin_binary},
};

/// A stage with a cluster of its own.
/// Measures the operator at scale: a real API server, a simulated Alibaba Cloud, the release build with its default settings.
#[derive(Debug, Parser)]
pub struct Options {
    /// How many RoleBindings there are, besides those of the leavers.
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub bindings: u32,
    /// How many leavers are offboarded, one after the other; each has three bindings and a kubeconfig.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub leavers: u32,
    /// How many bindings in 300 namespaces the one leaver has that is measured against a bare client; 0 leaves that out.
    #[arg(long, default_value_t = 3000, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub of_one_leaver: u32,
    /// ack-ram-tool's program, to be measured beside `scan --direct`.
    #[arg(long, value_name = "FILE")]
    pub ack_ram_tool: Option<PathBuf>,
    /// Where to write the figures, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Measures. Returns whether all figures stay under their bars.
///
/// # Errors
/// When something cannot be started or measured.
pub async fn measure(options: &Options) -> anyhow::Result<bool> {
    eprintln!("Building the operator and the plugin (release) ...");
    tokio::task::spawn_blocking(|| operator_binary(true)).await??;
    tokio::task::spawn_blocking(release_plugin_binary).await??;
    eprintln!(
        "Starting etcd and kube-apiserver (about 5 s; the first run on a machine builds them: about 4 minutes) ..."
    );
    let (empty, many) = in_an_empty_cluster(options).await?;
    let cluster = start_cluster().await?;
    // Before the simulator follows the audit log: it keeps a log service's records, not those of a seeding.
    seed::bindings(&cluster, options.bindings).await?;
    seed::leavers(&cluster, options.leavers).await?;
    let mut env = Env::set(cluster).await?;
    // A simulated purge lists all bindings, which would measure the simulator; how ACK does it, nobody knows.
    env.sim.detach_cluster(CLUSTER_ID);
    leavers::issue_kubeconfigs(&env, options.leavers);

    let bare_list = list::bare(&env.admin()).await?;
    eprintln!(
        "A bare list, {} a page, takes {} ms.",
        list::PAGE,
        bare_list.as_millis()
    );
    let (direct, ram_tool) = scan_without_an_operator(&env, options).await?;
    env.start_operator(&as_in_production()).await?;
    let sync = process::until_synced(&mut env).await?;
    let rss = process::settled_rss(&mut env).await?;
    eprintln!(
        "The operator's index is complete after {} ms; it takes {} MiB.",
        sync.as_millis(),
        rss.mib()
    );
    let times = leavers::offboard(&env, options.leavers).await?;
    let memory = process::memory(&mut env)?;
    eprintln!("After the last leaver, the operator takes {} MiB.", memory.rss.mib());
    scan::people::arrive(&env.sim);
    let warm = scan::warm(&env).await?;
    let after_scans = process::memory(&mut env)?;
    env.stop_operator().await?;

    let report = Report::new(Measured {
        bindings: options.bindings,
        bare_list,
        sync,
        rss,
        peak: memory.peak,
        times,
        empty,
        many,
        scans: Scans {
            direct,
            warm,
            operator_peak_mib: after_scans.peak.mib(),
            ram_tool,
        },
    });
    report.print();
    if let Some(path) = &options.report {
        report.write(path)?;
    }
    Ok(report.meets_its_bars())
}

/// By the plugin, and by ack-ram-tool where it is given.
async fn scan_without_an_operator(env: &OwnEnv, options: &Options) -> anyhow::Result<(Direct, Option<RamTool>)> {
    scan::people::arrive(&env.sim);
    let direct = scan::direct(env, options.bindings, options.leavers).await?;
    let ram_tool = match &options.ack_ram_tool {
        None => None,
        Some(binary) => Some(scan::ram_tool(env, binary).await?),
    };
    scan::people::leave(&env.sim);
    Ok((direct, ram_tool))
}

async fn start_cluster() -> anyhow::Result<Box<Cluster>> {
    let options = cluster::Options {
        controller_manager: true,
        ..cluster::Options::default()
    };
    Ok(Box::new(Cluster::start(options).await?))
}

/// What the same takes in a cluster without other bindings: the times of as many leavers, and the one with very many bindings.
async fn in_an_empty_cluster(options: &Options) -> anyhow::Result<(Vec<Duration>, Option<Many>)> {
    eprintln!("First without other bindings:");
    let cluster = start_cluster().await?;
    seed::namespaces(&cluster).await?;
    seed::leavers(&cluster, options.leavers).await?;
    if options.of_one_leaver > 0 {
        seed::many(&cluster, options.of_one_leaver).await?;
    }
    let mut env = Env::set(cluster).await?;
    env.sim.detach_cluster(CLUSTER_ID);
    leavers::issue_kubeconfigs(&env, options.leavers);
    env.start_operator(&as_in_production()).await?;
    process::until_synced(&mut env).await?;
    let times = leavers::offboard(&env, options.leavers).await?;
    let many = match options.of_one_leaver {
        0 => None,
        count => Some(many::measure(&env, count).await?),
    };
    env.stop_operator().await?;
    Ok((times, many))
}

/// Nothing but the addresses differs from the defaults, and that more leave in an hour than may by default.
fn as_in_production() -> OperatorOptions {
    let env = vec![("RUST_LOG".to_owned(), "info".to_owned())];
    OperatorOptions {
        flags: vec!["--listen=127.0.0.1:0".to_owned(), "--new-runs-per-hour=1001".to_owned()],
        env,
        release: true,
        ..OperatorOptions::default()
    }
}

//! One file a verb.

mod approve;
mod backups;
mod completion;
mod doctor;
mod explain;
mod fleet;
mod plan;
mod restore;
mod restore_report;
pub(crate) mod scan;
mod scan_direct;
mod start;
mod status;
mod suspend;
mod version;
mod wait;

use crate::{
    cli::{Cli, Verb},
    cluster::Cluster,
    exit::Outcome,
    interrupt::Interrupt,
};

/// Does what was asked.
///
/// # Errors
/// When it could not.
pub(crate) async fn run(cli: Cli, interrupt: Interrupt) -> Outcome {
    let connection = &cli.connection;
    match &cli.verb {
        // What needs no cluster.
        Verb::Completion(args) => return completion::completion(args),
        Verb::Man => return completion::man(),
        Verb::Version(args) => return interrupt.ends(version::run(connection, args)).await,
        // What has many.
        Verb::Fleet(args) => return fleet::run(connection, args, &interrupt).await,
        _ => {}
    }
    let cluster = &interrupt.ends(Cluster::connect(connection)).await?;
    match &cli.verb {
        Verb::Scan(args) if args.direct => interrupt.ends(scan_direct::run(cluster, args)).await,
        Verb::Scan(args) => interrupt.ends(scan::run(cluster, args)).await,
        Verb::Status(args) => interrupt.ends(status::run(cluster, args)).await,
        Verb::Wait(args) => interrupt.ends(wait::run(cluster, args)).await,
        Verb::Explain(args) => interrupt.ends(explain::run(cluster, args)).await,
        Verb::Suspend(args) => interrupt.ends(suspend::suspend(cluster, args)).await,
        Verb::Resume(args) => interrupt.ends(suspend::resume(cluster, args)).await,
        Verb::Backups(args) => interrupt.ends(backups::run(cluster, args)).await,
        Verb::Doctor(args) => interrupt.ends(doctor::run(cluster, args)).await,
        // These have something to finish first.
        Verb::Plan(args) => plan::run(cluster, args, &interrupt).await,
        Verb::Start(args) => start::run(cluster, args, &interrupt).await,
        Verb::Restore(args) => restore::run(cluster, args, &interrupt).await,
        Verb::Approve(args) => approve::run(cluster, args, &interrupt).await,
        Verb::Completion(_) | Verb::Fleet(_) | Verb::Man | Verb::Version(_) => unreachable!("dealt with above"),
    }
}

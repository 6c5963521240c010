//! `fleet`: verbs in many clusters. One file a verb; what they share is in `crate::fleet`.

mod approve;
mod plan;
mod question;
mod report;
mod scan;
mod scan_direct;
mod start;
mod status;

use crate::{
    cli::{Connection, FleetArgs, FleetVerb},
    exit::Outcome,
    interrupt::Interrupt,
};

/// Does what was asked, in every cluster.
///
/// # Errors
/// When it cannot begin: the clusters cannot be found, say. What fails in one cluster is in the result.
pub(crate) async fn run(connection: &Connection, args: &FleetArgs, interrupt: &Interrupt) -> Outcome {
    match &args.verb {
        FleetVerb::Scan(args) => scan::run(connection, args, interrupt).await,
        FleetVerb::Plan(args) => plan::run(connection, args, interrupt).await,
        FleetVerb::Start(args) => start::run(connection, args, interrupt).await,
        FleetVerb::Status(args) => status::run(connection, args, interrupt).await,
        FleetVerb::Approve(args) => approve::run(connection, args, interrupt).await,
        FleetVerb::Report(args) => report::run(connection, args, interrupt).await,
    }
}

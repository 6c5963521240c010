//! `plan`: what would happen, before anybody writes a manifest.

use crate::{
    cli::PlanArgs,
    cluster::Cluster,
    dry_run::{self, Who},
    exit::{Exit, Outcome},
    interrupt::Interrupt,
    output,
};

/// Shows it.
///
/// # Errors
/// When no operator answers, or neither a dry run may be created nor an existing object be read.
pub(crate) async fn run(cluster: &Cluster, args: &PlanArgs, interrupt: &Interrupt) -> Outcome {
    let who = Who {
        uid: &args.who.uid,
        name: args.who.name.as_deref(),
        is_role: args.who.role,
    };
    let mut shown = dry_run::plan(cluster, &who, interrupt).await?;
    shown.next = match (&shown.object, shown.has_changes()) {
        (Some(object), _) => Some(format!("kubectl ack-offboard explain {object}")),
        (None, true) => Some(format!("kubectl ack-offboard start {}", who.flags())),
        (None, false) => None,
    };
    output::show(args.output.output, &shown)?;
    // What is not known is not nothing.
    Ok(match shown.changes_nothing() {
        true => Exit::Done,
        false => Exit::Found,
    })
}

//! One file a verb.

mod backups;
mod restore;
mod status;
mod version;

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
        Verb::Status(args) => {
            let work = async { status::run(&Cluster::connect(connection).await?, args).await };
            interrupt.ends(work).await
        }
        Verb::Backups(args) => {
            let work = async { backups::run(&Cluster::connect(connection).await?, args).await };
            interrupt.ends(work).await
        }
        Verb::Restore(args) => {
            let cluster = interrupt.ends(Cluster::connect(connection)).await?;
            // It has something to finish first.
            restore::run(&cluster, args, &interrupt).await
        }
        Verb::Version(args) => interrupt.ends(version::run(connection, args)).await,
    }
}

//! `fleet report`: for the audit file, out of an earlier run or of a fresh look at every cluster.

use super::{
    scan::{Wanted, scan_one},
    status::status_one,
};
use crate::{
    cli::{Connection, FleetReportArgs},
    exit::{Failure, Outcome},
    fleet::{
        crew::Crew,
        file,
        member::Member,
        report::render,
        result::{ClusterResult, Ended},
    },
    interrupt::Interrupt,
    output,
};

/// Writes it.
///
/// # Errors
/// When it cannot begin, or the file is no report.
pub(super) async fn run(connection: &Connection, args: &FleetReportArgs, interrupt: &Interrupt) -> Outcome {
    if let Some(path) = &args.file {
        let report = file::read(path)?;
        return output::finish(&render(&report, args.output)?, report.exit());
    }
    let crew = Crew::gather("report", None, &args.many, connection, interrupt).await?;
    crew.each(&crew.members, async |member, result| look(&crew, member, result).await)
        .await;
    let closed = crew.close();
    output::print(&render(&closed.report, args.output)?)?;
    closed.remark();
    Ok(closed.exit)
}

/// Who has access, and what is done about it.
async fn look(crew: &Crew<'_>, member: &Member, result: &mut ClusterResult) -> Result<(), Failure> {
    let wanted = Wanted {
        all: true,
        uid: None,
        refresh: false,
        direct: None,
    };
    scan_one(crew, member, &wanted, result).await?;
    let scanned = (result.ended, result.message.take().unwrap_or_default());
    status_one(crew, member, None, result).await?;
    let message = format!("{}; {}", scanned.1, result.message.take().unwrap_or_default());
    let ended: Ended = scanned.0.max(result.ended);
    result.end(ended, message);
    Ok(())
}

//! `fleet scan`: who still has access, in every cluster.

use crate::{
    cli::{Connection, FleetScanArgs},
    exit::{Exit, Failure, Outcome},
    fleet::{
        crew::Crew,
        member::Member,
        result::{ClusterResult, Ended},
    },
    interrupt::Interrupt,
    output::clean,
    verbs::scan,
};
use ack_offboarding_operator::api::scan::{Include, PermissionScan};

/// Whose findings are asked for.
pub(super) struct Wanted<'a> {
    pub(super) all: bool,
    pub(super) uid: Option<&'a str>,
    /// A scan is made for it.
    pub(super) refresh: bool,
}

/// Shows them.
///
/// # Errors
/// When it cannot begin.
pub(super) async fn run(connection: &Connection, args: &FleetScanArgs, interrupt: &Interrupt) -> Outcome {
    let uid = args.uid.as_deref();
    let crew = Crew::gather("scan", uid, &args.many, connection, interrupt).await?;
    let wanted = &Wanted {
        all: args.all,
        uid,
        refresh: args.refresh,
    };
    crew.each(&crew.members, async |member, result| {
        scan_one(&crew, member, wanted, result).await
    })
    .await;
    let closed = crew.close();
    closed.show(args.output.output)?;
    let has_found = closed
        .report
        .clusters
        .iter()
        .any(|cluster| !cluster.findings.is_empty());
    Ok(match has_found {
        true => closed.exit.max(Exit::Found),
        false => closed.exit,
    })
}

/// Reads one cluster's scan into the result.
///
/// # Errors
/// When there is none, or it may not be read.
pub(super) async fn scan_one(
    crew: &Crew<'_>,
    member: &Member,
    wanted: &Wanted<'_>,
    result: &mut ClusterResult,
) -> Result<(), Failure> {
    let (cluster, mut scan) = crew.first(member, async |cluster| scan::read(cluster).await).await?;
    if wanted.refresh {
        let answered = async {
            let request = scan::request(&cluster).await?;
            scan::answered(&cluster, &request, scan::PATIENCE).await
        };
        scan = crew.interrupt.ends(answered).await?;
    }
    match scan::result(&scan) {
        Ok(found) => {
            result.scanned_at = Some(found.at.0);
            result.findings = found.asked_for(wanted.all, wanted.uid);
            result.end(Ended::Done, message(&scan, result.findings.len(), wanted));
            Ok(())
        }
        // There is an operator, and its first scan is to come.
        Err(failure) if failure.not_covered.is_none() => {
            result.end(Ended::Held, failure.message);
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}

fn message(scan: &PermissionScan, found: usize, wanted: &Wanted<'_>) -> String {
    let mut message = match found {
        0 => "nobody was found".to_owned(),
        found => format!("{found} found"),
    };
    let Some(status) = &scan.status else { return message };
    if status.truncated {
        message.push_str("; there are more than a scan shows, and its counts are exact");
    }
    if wanted.all && scan.spec.include != Include::All {
        message.push_str("; it looks for identities that are gone or dormant only (spec.include)");
    }
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    if let Some(ready) = ready.filter(|ready| ready.status != "True") {
        message.push_str(&format!(
            "; the last scan failed: {}: {}",
            ready.reason,
            clean(&ready.message)
        ));
    }
    message
}

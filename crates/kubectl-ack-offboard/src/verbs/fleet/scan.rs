//! `fleet scan`: who still has access, in every cluster.

use super::scan_direct::{self, Direct};
use crate::{
    cli::{Connection, FleetScanArgs},
    exit::{Exit, Failure, Outcome},
    fleet::{
        crew::Crew,
        member::Member,
        result::{ClusterResult, Ended, Gap},
    },
    interrupt::Interrupt,
    output::clean,
    verbs::scan,
};
use ack_offboarding_operator::api::scan::{Include, PermissionScan, PermissionScanStatus};

/// Whose findings are asked for.
pub(super) struct Wanted<'a> {
    pub(super) all: bool,
    pub(super) uid: Option<&'a str>,
    /// A scan is made for it.
    pub(super) refresh: bool,
    /// It is made without operators.
    pub(super) direct: Option<Direct<'a>>,
}

/// Shows them.
///
/// # Errors
/// When it cannot begin.
pub(super) async fn run(connection: &Connection, args: &FleetScanArgs, interrupt: &Interrupt) -> Outcome {
    let uid = args.uid.as_deref();
    if !args.direct && !args.many.all_clusters && args.many.cloud.is_any() {
        return Err(Failure::usage(
            "the flags about Alibaba Cloud are for --all-clusters and --direct: without either, no credentials of yours are used.",
        ));
    }
    let crew = Crew::gather("scan", uid, &args.many, connection, interrupt).await?;
    let direct = match args.direct {
        true => Some(interrupt.ends(Direct::list(crew.cloud.clone(), &args.many)).await?),
        false => None,
    };
    let wanted = &Wanted {
        all: args.all,
        uid,
        refresh: args.refresh,
        direct,
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
    if let Some(direct) = &wanted.direct {
        return scan_direct::scan_one(crew, member, wanted.all, wanted.uid, direct, result).await;
    }
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
            result.gaps = gaps(&scan, found.status, wanted);
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

/// What is asked for and not in it.
fn gaps(scan: &PermissionScan, status: &PermissionScanStatus, wanted: &Wanted<'_>) -> Vec<Gap> {
    let is_everybody = wanted.all || wanted.uid.is_some();
    let all = [
        (status.truncated, Gap::Truncated),
        (is_everybody && scan.spec.include != Include::All, Gap::GoneOnly),
        (scan::not_ready(scan).is_some(), Gap::Outdated),
    ];
    let some = all.into_iter().filter(|(is_there, _)| *is_there);
    some.map(|(_, gap)| gap).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn gaps_of(include: &str, truncated: bool, ready: &str, wanted: &Wanted<'_>) -> Vec<Gap> {
        let condition = json!({"type": "Ready", "status": ready, "reason": "x", "message": "x", "lastTransitionTime": "2026-01-06T00:00:00Z"});
        let scan: PermissionScan = serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1", "kind": "PermissionScan", "metadata": {"name": "default"},
            "spec": {"include": include}, "status": {"truncated": truncated, "conditions": [condition]},
        }))
        .unwrap();
        gaps(&scan, scan.status.as_ref().unwrap(), wanted)
    }

    #[test]
    fn what_a_scan_leaves_out_is_told_from_what_is_not_there() {
        let wanted = |all, uid| Wanted {
            all,
            uid,
            refresh: false,
            direct: None,
        };
        assert_eq!(gaps_of("All", false, "True", &wanted(true, None)), []);
        assert_eq!(gaps_of("Deleted", false, "True", &wanted(false, None)), []);
        assert_eq!(gaps_of("Deleted", false, "True", &wanted(true, None)), [Gap::GoneOnly]);
        assert_eq!(
            gaps_of("Dormant", false, "True", &wanted(false, Some("1"))),
            [Gap::GoneOnly]
        );
        assert_eq!(
            gaps_of("All", true, "False", &wanted(false, None)),
            [Gap::Truncated, Gap::Outdated]
        );
    }
}

//! `scan`: who still has access, as the operator's PermissionScan found it.

use crate::{
    change::FIELD_MANAGER,
    cli::ScanArgs,
    cluster::{Cluster, Role},
    exit::{Exit, Failure, NotCovered, Outcome},
    offboarding::{SILENCE, State},
    output::{self, Cell, Paint, Shown, age},
};
use ack_offboarding_operator::api::{
    Mode, Reason, UserOffboarding,
    scan::{Access, Dormancy, Finding, FindingState, Include, PermissionScan, PermissionScanStatus, SCAN_REQUESTED},
};
use futures::StreamExt;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde::Serialize;
use serde_json::json;
use std::{pin::pin, time::Duration};

/// The scan that the chart creates.
const SCAN: &str = "default";
/// How long a scan that was asked for may take, where nothing is said.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// Shows it.
///
/// # Errors
/// When there is no scan, it may not be read, or was never complete.
pub(crate) async fn run(cluster: &Cluster, args: &ScanArgs) -> Outcome {
    if args.cloud.is_any() {
        return Err(Failure::usage(
            "the flags about Alibaba Cloud are for --direct: without it, the operator's own scan is shown, and no credentials of yours are used.",
        ));
    }
    let mut scan = read(cluster).await?;
    if args.refresh {
        let request = request(cluster).await?;
        output::note("Asked the operator for a scan.");
        scan = answered(cluster, &request, args.timeout).await?;
    }
    let result = result(&scan)?;
    let mut items = result.asked_for(args.all, args.uid.as_deref());
    // The scan may be a day old. Whoever may not see offboardings sees what the scan knew.
    let ended = match cluster.all_offboardings().await {
        Ok(all) => deal_with(&mut items, &all),
        Err(_) => 0,
    };
    let shown = Findings {
        scanned_at: result.at.clone(),
        truncated: result.status.truncated,
        gaps: Vec::new(),
        items,
        now: Timestamp::now(),
    };
    output::show(args.output.output, &shown)?;
    remarks(&scan, result.status, args, &shown);
    if ended > 0 {
        output::note(format!(
            "{ended} of these may have ended since: their offboardings are complete. To scan again: kubectl ack-offboard scan --refresh"
        ));
    }
    Ok(match shown.items.is_empty() {
        // What is shown is of an earlier time than was asked for.
        _ if args.refresh && not_ready(&scan).is_some() => Exit::Failed,
        // Nobody was found then; who would be found now is not known.
        true if not_ready(&scan).is_some() => Exit::Failed,
        true => Exit::Done,
        false => Exit::Found,
    })
}

/// Why the operator's last attempt was not complete.
pub(super) fn not_ready(scan: &PermissionScan) -> Option<&Condition> {
    let conditions = scan.status.iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .find(|condition| condition.type_ == "Ready" && condition.status != "True")
}

/// Names the offboarding that deals with each finding now. Returns how many of these are complete since the scan.
fn deal_with(items: &mut [Finding], all: &[UserOffboarding]) -> usize {
    let mut ended = 0;
    for item in items {
        let of_it = || {
            all.iter()
                .filter(|object| object.spec.uid == item.uid && !object.is_plan())
        };
        let carried_out = of_it().find(|object| object.spec.mode == Mode::Execute);
        let Some(object) = carried_out.or_else(|| of_it().next()) else {
            continue;
        };
        item.offboarding = Some(object.name_any());
        ended += usize::from(State::of(object) == State::Known(Reason::Offboarded));
    }
    ended
}

/// The scan that the chart creates.
///
/// # Errors
/// When there is none, or it may not be read.
pub(crate) async fn read(cluster: &Cluster) -> Result<PermissionScan, Failure> {
    let api: Api<PermissionScan> = Api::all(cluster.client.clone());
    let scan = api.get(SCAN).await;
    scan.map_err(|error| failed(cluster, &error, "read PermissionScan default"))
}

/// What a scan found last.
pub(crate) struct ScanResult<'a> {
    /// When it did.
    pub(crate) at: &'a Time,
    pub(crate) status: &'a PermissionScanStatus,
}

/// What it found last.
///
/// # Errors
/// When it was never complete.
pub(crate) fn result(scan: &PermissionScan) -> Result<ScanResult<'_>, Failure> {
    match &scan.status {
        Some(status) => match &status.last_scan_time {
            Some(at) => Ok(ScanResult { at, status }),
            None => Err(never(scan, Some(status))),
        },
        None => Err(never(scan, None)),
    }
}

impl ScanResult<'_> {
    /// The findings of this UID; else those of everybody, or of whoever should have no access any more.
    pub(crate) fn asked_for(&self, all: bool, uid: Option<&str>) -> Vec<Finding> {
        let findings = self.status.findings.iter();
        findings
            .filter(|finding| is_asked_for(finding, all, uid))
            .cloned()
            .collect()
    }
}

/// Whether it is of this UID; if none was named, whether everybody is asked for, or it is of somebody who should have no access any more.
pub(super) fn is_asked_for(finding: &Finding, all: bool, uid: Option<&str>) -> bool {
    match uid {
        Some(uid) => finding.uid == uid,
        None => all || is_gone(finding),
    }
}

/// Whether the identity should have no access any more, or has not used it for long.
fn is_gone(finding: &Finding) -> bool {
    !matches!(finding.state, FindingState::Active | FindingState::Root) || finding.dormant == Dormancy::Dormant
}

/// What standard error says beside the table.
fn remarks(scan: &PermissionScan, status: &PermissionScanStatus, args: &ScanArgs, shown: &Findings) {
    output::note(format!("Scanned {} ago.", age(shown.scanned_at.0, shown.now)));
    if let Some(ready) = not_ready(scan) {
        output::warn(format!("{}: {}", ready.reason, output::clean(&ready.message)));
    }
    if status.truncated {
        output::warn(
            "There are more findings than a scan shows: the worst are shown, and the counts of the object are exact.",
        );
    }
    if args.all && scan.spec.include != Include::All {
        output::warn(
            "The scan looks for identities that are gone or dormant only. To have everybody in it (this takes the verb configure): kubectl patch \
             permissionscan default --type merge --patch '{\"spec\":{\"include\":\"All\"}}'",
        );
    }
    shown.close();
}

/// Asks for a scan now; what it returns, [`answered`] waits for.
///
/// # Errors
/// When it may not be asked for.
pub(crate) async fn request(cluster: &Cluster) -> Result<String, Failure> {
    let api: Api<PermissionScan> = Api::all(cluster.client.clone());
    let request = Timestamp::now().to_string();
    let annotations = json!({"metadata": {"annotations": {SCAN_REQUESTED: request}}});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let asked = api.patch(SCAN, &params, &Patch::Merge(annotations)).await;
    asked.map_err(|error| failed(cluster, &error, "ask for a scan"))?;
    Ok(request)
}

/// Waits for the result of a scan that was asked for.
///
/// # Errors
/// When it does not come in time.
pub(crate) async fn answered(cluster: &Cluster, request: &str, patience: Duration) -> Result<PermissionScan, Failure> {
    let watched: Api<PermissionScan> = Api::all(cluster.patient.clone());
    let answered = async {
        let mut changes = pin!(watcher::watch_object(watched, SCAN).default_backoff());
        while let Some(change) = changes.next().await {
            let Ok(Some(scan)) = change else { continue };
            if scan.spec.suspend {
                return Err(Failure::found(format!(
                    "PermissionScan {SCAN} is suspended, and scans nothing. To let it go on (this takes the verb configure): kubectl patch \
                     permissionscan {SCAN} --type merge --patch '{{\"spec\":{{\"suspend\":false}}}}'"
                )));
            }
            // Somebody else may have asked after this, in its place: the answer to that is as good.
            let asked = scan.annotations().get(SCAN_REQUESTED).map_or(request, String::as_str);
            let answered = scan.status.as_ref().and_then(|status| status.last_request.as_deref());
            if answered.is_some_and(|answered| answered == request || answered == asked) {
                return Ok(scan);
            }
        }
        Err(Failure::new("the API server ended the watch."))
    };
    tokio::time::timeout(patience, answered).await.unwrap_or_else(|_| {
        Err(Failure::deadline(format!(
            "no operator answered within {} s: PermissionScan {SCAN} still shows an earlier scan. Is ack-offboarding-operator running here? What it \
             wrote last: kubectl describe permissionscan {SCAN}",
            patience.as_secs()
        )))
    })
}

/// Why there is no result at all.
fn never(scan: &PermissionScan, status: Option<&PermissionScanStatus>) -> Failure {
    let mut conditions = status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.find(|condition| condition.type_ == "Ready");
    let created = scan.creation_timestamp().map(|time| time.0);
    let is_old = created.is_some_and(|created| Timestamp::now().duration_since(created).unsigned_abs() >= SILENCE);
    match ready {
        Some(ready) => Failure::new(format!(
            "no scan was complete yet: {}: {}",
            ready.reason,
            output::clean(&ready.message)
        )),
        None if is_old => Failure::new(
            "no operator answers: PermissionScan default has no status. Is ack-offboarding-operator running here?",
        )
        .because(NotCovered::NoOperator),
        None => Failure::new("no scan was complete yet; try again in a minute."),
    }
}

fn failed(cluster: &Cluster, error: &kube::Error, doing: &str) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 404 => Failure::new(
            "this cluster has no PermissionScan \"default\": the operator is not installed here, is older than this plugin, or the chart's \
             scan.create is false.",
        )
        .because(NotCovered::NoOperator),
        _ => cluster.refused(error, doing, Role::Auditor),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Findings {
    pub(super) scanned_at: Time,
    pub(super) truncated: bool,
    /// What could not be asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<String>,
    pub(super) items: Vec<Finding>,
    #[serde(skip)]
    pub(super) now: Timestamp,
}

impl Findings {
    /// What comes next.
    fn close(&self) {
        if self.items.is_empty() {
            output::note("Nobody was found.");
        }
        let is_left = |finding: &&Finding| finding.offboarding.is_none() && is_gone(finding);
        if let Some(first) = self.items.iter().find(is_left) {
            output::note(format!("Next: kubectl ack-offboard plan {}", first.uid));
        }
    }
}

/// The columns of a finding.
pub(crate) fn header(wide: bool) -> Vec<&'static str> {
    let mut header = vec![
        "UID",
        "TYPE",
        "NAME",
        "STATE",
        "ACCESS",
        "BINDINGS",
        "KUBECONFIG",
        "LAST SEEN",
        "OFFBOARDING",
    ];
    if wide {
        header.extend(["WHERE", "NOTE"]);
    }
    header
}

/// A finding as a row of a table.
pub(crate) fn row(finding: &Finding, now: Timestamp, wide: bool) -> Vec<Cell> {
    let state = match finding.state {
        FindingState::Deleted | FindingState::RecycleBin => Paint::Bad,
        FindingState::Frozen | FindingState::Unknown => Paint::Warning,
        FindingState::Active | FindingState::Root => Paint::Good,
    };
    let access = match finding.access {
        Access::ClusterAdmin => Cell::painted("cluster-admin", Paint::Bad),
        Access::ClusterWide => "cluster-wide".into(),
        Access::Namespaced => "namespaces".into(),
        Access::None => "kubeconfig only".into(),
    };
    let seen = finding.last_seen.as_ref().map(|time| age(time.0, now));
    let mut row = vec![
        finding.uid.as_str().into(),
        format!("{:?}", finding.type_).into(),
        finding.name.clone().into(),
        Cell::painted(finding.state.as_str(), state),
        access,
        finding.bindings_total.to_string().into(),
        finding.kubeconfig.map(|state| format!("{state:?}")).into(),
        seen.into(),
        finding.offboarding.clone().into(),
    ];
    if wide {
        let places = finding.bindings.iter().map(|binding| match &binding.namespace {
            Some(namespace) => format!("{namespace}/{} ({})", binding.name, binding.role_ref),
            None => format!("{} ({})", binding.name, binding.role_ref),
        });
        row.push(places.collect::<Vec<_>>().join(", ").into());
        row.push(finding.note.clone().into());
    }
    row
}

impl Shown for Findings {
    const KIND: &'static str = "ScanResult";

    fn text(&self, wide: bool) -> String {
        if self.items.is_empty() {
            return String::new();
        }
        output::table(
            header(wide),
            self.items.iter().map(|finding| row(finding, self.now, wide)),
        )
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|finding| finding.uid.clone()).collect()
    }
}

//! What is looked up at the moment of a scrape: the index, the leadership, and the objects in their states.

use crate::rbac::permit::Leadership;
use crate::{
    api::{ConditionType, Ends, Reason, scan::FindingState},
    offboarding::watched::Watched,
    rbac::watch::BindingIndex,
    scan::watched::{WatchedCounts, WatchedScan},
};
use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, runtime::reflector::Store};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// What a scrape looks at. Clones share it.
#[derive(Clone)]
pub(super) struct StateMetrics {
    index: Arc<BindingIndex>,
    leadership: Leadership,
    objects: Arc<Mutex<Option<Store<Watched>>>>,
    scans: Arc<Mutex<Option<Store<WatchedScan>>>>,
}

impl fmt::Debug for StateMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateMetrics").finish_non_exhaustive()
    }
}

/// What the objects tell.
#[derive(Debug, Default, PartialEq)]
struct Summary {
    /// How many are in each state, which is Ready's reason; a word of another version counts as none.
    states: BTreeMap<&'static str, u32>,
    stalled: u32,
    access_returned: u32,
    deleted_identity_active: u32,
    /// In seconds.
    oldest_wait: f64,
    /// For how long, in seconds, one has been neither at its end nor waiting because its spec says so.
    oldest_unfinished: f64,
}

impl StateMetrics {
    /// Looks at these; the objects come later.
    pub(super) fn new(index: Arc<BindingIndex>, leadership: Leadership) -> Self {
        StateMetrics {
            index,
            leadership,
            objects: Arc::default(),
            scans: Arc::default(),
        }
    }

    /// The objects, for as long as this process works on them; a standby tells nothing of them.
    pub(super) fn watch(&self, objects: Option<Store<Watched>>) {
        *self.objects.lock().unwrap_or_else(PoisonError::into_inner) = objects;
    }

    /// The scans, for as long as this process scans.
    pub(super) fn watch_scans(&self, scans: Option<Store<WatchedScan>>) {
        *self.scans.lock().unwrap_or_else(PoisonError::into_inner) = scans;
    }
}

/// What is in a store. Before its first list is complete, it would look as if there were none.
fn listed<K>(store: &Mutex<Option<Store<K>>>) -> Option<Vec<Arc<K>>>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let listed = store
        .as_ref()
        .filter(|store| store.wait_until_ready().now_or_never().is_some());
    listed.map(Store::state)
}

/// What the scans tell.
#[derive(Debug, Default, PartialEq)]
struct ScanSummary {
    /// Of the scan that counts the most deleted identities: all scans look at the same ones.
    counts: WatchedCounts,
    /// For how long, in seconds, one that is not suspended has had no whole scan, or has been there without one. None if there is no
    /// such scan.
    oldest: Option<f64>,
    /// For how long, in seconds, the next whole scan of one that is not suspended has been overdue, at the most.
    overdue: f64,
}

fn summarize_scans<'a>(scans: impl Iterator<Item = &'a WatchedScan>, now: Timestamp) -> ScanSummary {
    let mut summary = ScanSummary::default();
    let mut oldest: Option<f64> = None;
    for scan in scans {
        let counts = scan.counts().unwrap_or_default();
        let order = |counts: &WatchedCounts| (counts.without_offboarding, counts.deleted);
        if order(&counts) >= order(&summary.counts) {
            summary.counts = counts;
        }
        if !scan.is_suspended() {
            let created = scan.meta().creation_timestamp.as_ref().map(|time| time.0);
            let since = scan.last_scan().or(created).unwrap_or(now);
            let age = now.duration_since(since).as_secs_f64();
            oldest = Some(oldest.map_or(age, |other| other.max(age)));
            summary.overdue = summary.overdue.max(age - scan.interval().as_secs_f64());
        }
    }
    summary.oldest = oldest;
    summary
}

fn encode_scans(encoder: &mut DescriptorEncoder<'_>, summary: &ScanSummary) -> fmt::Result {
    let counts = summary.counts;
    let mut states = encoder.encode_descriptor(
        "scan_identities",
        "Identities with access to the cluster by state, as the last complete scan counted them",
        None,
        MetricType::Gauge,
    )?;
    for (state, count) in [
        (FindingState::Active, counts.active),
        (FindingState::Frozen, counts.frozen),
        (FindingState::RecycleBin, counts.recycle_bin),
        (FindingState::Deleted, counts.deleted),
        (FindingState::Root, counts.root),
        (FindingState::Unknown, counts.unknown),
    ] {
        let labels = [("state", state.as_str())];
        ConstGauge::new(f64::from(count)).encode(states.encode_family(&labels)?)?;
    }
    let mut gauge = |name: &str, help: &str, value: f64| {
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    };
    gauge(
        "scan_residual",
        "Identities that are deleted, in the recycle bin or frozen, still have access, and that no UserOffboarding deals with",
        f64::from(counts.without_offboarding),
    )?;
    gauge(
        "scan_age_seconds",
        "How long ago the last complete scan was, or the PermissionScan was created if there was none yet; NaN without one",
        summary.oldest.unwrap_or(f64::NAN),
    )?;
    gauge(
        "scan_overdue_seconds",
        "For how long a complete scan has been overdue by the interval of its PermissionScan; of several, the longest",
        summary.overdue,
    )
}

fn summarize<'a>(objects: impl Iterator<Item = &'a Watched>, now: Timestamp) -> Summary {
    let mut summary = Summary {
        // All of them, so that a state that nobody is in any more is a zero.
        states: Reason::ALL.iter().map(|reason| (reason.as_str(), 0)).collect(),
        ..Summary::default()
    };
    for object in objects {
        let ready = object.condition(ConditionType::Ready);
        let state = ready
            .and_then(|ready| Reason::parse(&ready.reason))
            .unwrap_or(Reason::Pending);
        *summary.states.entry(state.as_str()).or_default() += 1;
        summary.stalled += u32::from(object.is(ConditionType::Stalled, "True"));
        summary.access_returned += u32::from(object.is(ConditionType::AccessReturned, "True"));
        // Somebody whom RAM does not know any more cannot log in: what is active is a kubeconfig that still works.
        let state_is = |words: &[&str]| {
            let identity = object.status.identity.as_ref();
            identity.is_some_and(|identity| words.contains(&identity.state.as_str()))
        };
        let deleted = state_is(&["NotFound", "InRecycleBin"]) && !object.is(ConditionType::Offboarded, "True");
        summary.deleted_identity_active += u32::from(deleted && object.is(ConditionType::Inactive, "False"));
        let age = |since: Option<&String>| {
            let since = since.and_then(|time| time.parse::<Timestamp>().ok());
            since.map_or(0.0, |since| now.duration_since(since).as_secs_f64())
        };
        if state == Reason::WaitingForInactivity {
            summary.oldest_wait = summary.oldest_wait.max(age(object.status.waiting_since.as_ref()));
        }
        let unfinished = match state.ends() {
            Some(Ends::Operator | Ends::Person) if ready.is_some() => age(object.status.unfinished_since.as_ref()),
            // Nobody has looked at it yet.
            Some(Ends::Operator) => object
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(0.0, |created| now.duration_since(created.0).as_secs_f64()),
            _ => 0.0,
        };
        summary.oldest_unfinished = summary.oldest_unfinished.max(unfinished);
    }
    summary
}

impl Collector for StateMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        gauge(
            "leader",
            "1 in the leader, 0 in a standby",
            flag(self.leadership.until().is_some()),
        )?;
        gauge(
            "index_synced",
            "1 when the index of all bindings is complete",
            flag(self.index.is_synced()),
        )?;
        gauge(
            "index_bindings",
            "Bindings in the index: those that name a UID",
            self.index.len() as f64,
        )?;
        let Some(objects) = listed(&self.objects) else {
            return Ok(());
        };
        let summary = summarize(
            objects.iter().map(AsRef::as_ref).filter(|object| !object.is_plan()),
            Timestamp::now(),
        );
        gauge(
            "stalled",
            "UserOffboardings that wait for a person",
            f64::from(summary.stalled),
        )?;
        gauge(
            "access_returned",
            "UserOffboardings whose UID has access again",
            f64::from(summary.access_returned),
        )?;
        gauge(
            "deleted_identity_active",
            "UserOffboardings that are not complete, whose identity was deleted from RAM but is still active in the cluster",
            f64::from(summary.deleted_identity_active),
        )?;
        gauge(
            "oldest_wait_seconds",
            "The longest wait of a UserOffboarding for the inactivity window; 0 if none waits",
            summary.oldest_wait,
        )?;
        gauge(
            "oldest_unfinished_seconds",
            "For how long a UserOffboarding has been neither done nor waiting because its spec says so; 0 if none is",
            summary.oldest_unfinished,
        )?;
        let mut states = encoder.encode_descriptor(
            "objects",
            "UserOffboardings by state, which is the reason of the condition Ready",
            None,
            MetricType::Gauge,
        )?;
        for (state, count) in summary.states {
            let labels = [("state", state)];
            ConstGauge::new(f64::from(count)).encode(states.encode_family(&labels)?)?;
        }
        match listed(&self.scans) {
            Some(scans) => {
                let summary = summarize_scans(scans.iter().map(AsRef::as_ref), Timestamp::now());
                encode_scans(&mut encoder, &summary)
            }
            None => Ok(()),
        }
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// With the identity's state, the status of `Inactive`, and since when it waits.
    fn object(state: &str, identity: &str, inactive: &str, waiting_since: Option<&str>) -> Watched {
        serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"uid": "100"},
            "status": {
                "identity": {"type": "User", "state": identity},
                "waitingSince": waiting_since,
                "conditions": [
                    {"type": "Ready", "status": "False", "reason": state, "message": ""},
                    {"type": "Offboarded", "status": if state == "Offboarded" { "True" } else { "False" }, "reason": "x"},
                    {"type": "Inactive", "status": inactive, "reason": "x", "message": ""},
                    {"type": "Stalled", "status": if state == "NameMismatch" { "True" } else { "False" }, "reason": "x"},
                ],
            },
        }))
        .unwrap()
    }

    #[test]
    fn states_are_counted_and_those_of_nobody_are_zero() {
        let now: Timestamp = "2026-01-08T00:00:00Z".parse().unwrap();
        let objects = [
            object("WaitingForInactivity", "Exists", "False", Some("2026-01-07T00:00:00Z")),
            object(
                "WaitingForInactivity",
                "NotFound",
                "False",
                Some("2026-01-06T00:00:00Z"),
            ),
            object("NameMismatch", "Exists", "Unknown", Some("2026-01-01T00:00:00Z")),
            object("Offboarded", "NotFound", "False", None),
            object("FromAnotherVersion", "Exists", "True", None),
        ];
        let summary = summarize(objects.iter(), now);
        assert_eq!(summary.states["WaitingForInactivity"], 2);
        assert_eq!(summary.states["NameMismatch"], 1);
        assert_eq!(summary.states["Pending"], 1);
        assert_eq!(summary.states["Offboarded"], 1);
        assert_eq!(summary.states["NothingToRemove"], 0);
        assert_eq!(
            summary.states.len(),
            Reason::ALL.len(),
            "no word from an object is a label"
        );
        assert_eq!((summary.stalled, summary.deleted_identity_active), (1, 1));
        assert_eq!(summary.oldest_wait, 2.0 * 86_400.0);
    }

    #[test]
    fn an_object_without_a_status_is_pending() {
        let new: Watched = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {"uid": "100"}})).unwrap();
        assert_eq!(summarize(std::iter::once(&new), Timestamp::now()).states["Pending"], 1);
    }

    #[test]
    fn the_scan_with_the_most_to_do_counts() {
        let now: Timestamp = "2026-01-08T00:00:00Z".parse().unwrap();
        let scan = |deleted: u32, left: u32, last: Option<&str>, suspend: bool| -> WatchedScan {
            serde_json::from_value(json!({
                "metadata": {"name": "a", "creationTimestamp": "2026-01-05T00:00:00Z"}, "spec": {"suspend": suspend},
                "status": {"lastScanTime": last, "counts": {"deleted": deleted, "withoutOffboarding": left}},
            }))
            .unwrap()
        };
        let (yesterday, before) = (Some("2026-01-07T00:00:00Z"), Some("2026-01-06T00:00:00Z"));
        let scans = [
            scan(5, 1, yesterday, false),
            scan(3, 2, before, false),
            scan(9, 0, None, true),
        ];
        let summary = summarize_scans(scans.iter(), now);
        assert_eq!((summary.counts.deleted, summary.counts.without_offboarding), (3, 2));
        assert_eq!(summary.oldest, Some(2.0 * 86_400.0));
        assert_eq!(summary.overdue, 86_400.0, "a day, if nothing is said");
        let never = [scan(0, 0, None, false), scan(0, 0, yesterday, false)];
        assert_eq!(summarize_scans(never.iter(), now).oldest, Some(3.0 * 86_400.0));
        let suspended = [scan(0, 0, None, true)];
        assert_eq!(summarize_scans(suspended.iter(), now).oldest, None);
    }
}

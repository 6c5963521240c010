//! Reconciles PermissionScans: when each scans, and what asks for one. What is done then is [`crate::scan`].

use super::{controller::Reconciler, state_metrics::StateMetrics};
use crate::{
    api::{
        OperatorStatus, PermissionScan, PermissionScanStatus,
        scan::{OnFinding, ScanCondition},
    },
    events,
    offboarding::{pace::Paces, retries::Retries, run::Run},
    rbac::permit::Leadership,
    scan::{
        self, ScanResult, Sources, Trouble,
        proposals::{self, Memory, Proposals},
        propose,
        report::{self, Attempt},
        watched::{self, WatchedScan},
    },
    status_writer::{Adopt, NotWritten, StatusWriter},
};
use alibaba_cloud::Uid;
use futures::{StreamExt, stream, stream::BoxStream};
use k8s_openapi::{
    api::events::v1::Event,
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        controller::Action,
        reflector::{ObjectRef, Store},
    },
};
use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};
use tracing::Instrument;

/// The least time between two scans, whatever asks for one.
const LEAST: Duration = Duration::from_secs(5);

/// How much later than its interval a scan may come: clusters that were installed together do not ask together.
const JITTER: f64 = 0.1;

/// The reconciler of PermissionScans.
pub(super) struct Scans {
    run: Arc<Run>,
    observed: StateMetrics,
    // Of its own: those of the run forget what is no UserOffboarding.
    retries: Retries,
    paces: Paces,
}

/// A scan that could not report in the status.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error("cannot read PermissionScan {name}: {source}")]
    Read { name: String, source: kube::Error },
    #[error("cannot write the status of PermissionScan {name}: {source}")]
    Write { name: String, source: kube::Error },
}

/// Nothing is written beside it.
impl Adopt for PermissionScanStatus {
    fn adopt(&mut self, _: &Self) {}
}

/// Whether to scan now.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Now,
    In(Duration),
}

impl Scans {
    pub(super) fn new(run: Arc<Run>, observed: StateMetrics) -> Self {
        Scans {
            retries: Retries::new(&run.settings),
            paces: Paces::new(run.settings.cloud_calls_per_minute),
            run,
            observed,
        }
    }

    async fn visit(&self, name: &str) -> Result<Action, ScanError> {
        let run = &*self.run;
        let api: Api<PermissionScan> = Api::all(run.client.clone());
        let read = |source| ScanError::Read {
            name: name.to_owned(),
            source,
        };
        // Live: what was proposed is in the status, which the watch may not have seen yet.
        let Some(object) = api.get_opt(name).await.map_err(read)? else {
            return Ok(Action::await_change());
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let now = run.clock.now();
        let mut writer = StatusWriter::new(object);
        if writer.object().spec.suspend {
            let mut status = writer.written().clone();
            report::suspended(&mut status, &self.attempt(writer.object(), now, Duration::ZERO));
            self.write(&mut writer, &status).await?;
            return Ok(Action::await_change());
        }
        if let Due::In(wait) = due(writer.object(), now) {
            return Ok(Action::requeue(wait));
        }
        let object_uid = writer.object().uid().unwrap_or_default();
        if let Some(wait) = self.paces.wait(&object_uid) {
            return Ok(Action::requeue(wait));
        }
        let scanned = tokio::select! {
            scanned = self.scan(writer.object(), now) => scanned,
            () = run.leadership.ended() => return Ok(Action::await_change()),
        };
        let interval = writer.object().spec.interval();
        let mut status = writer.written().clone();
        let again = match scanned {
            Ok((result, proposals)) => {
                self.retries.recovered(&object_uid);
                let again = interval.mul_f64(fastrand::f64().mul_add(JITTER, 1.0));
                let attempt = self.attempt(writer.object(), now, again);
                let before = status.proposed.clone();
                report::complete(&mut status, &attempt, &result, proposals.as_ref());
                if !self.write(&mut writer, &status).await? {
                    return Ok(Action::requeue(LEAST));
                }
                if let Some(proposals) = proposals.filter(|proposals| !proposals.uids.is_empty()) {
                    let sooner = interval.min(run.settings.recheck_interval.max(LEAST));
                    let retry = self.attempt(writer.object(), now, sooner);
                    let is_done = self.propose(name, &mut status, &retry, &proposals, &before).await;
                    self.write(&mut writer, &status).await?;
                    return Ok(Action::requeue(if is_done { again } else { sooner }));
                }
                again
            }
            Err(trouble) => {
                tracing::warn!(reason = %trouble.reason, message = trouble.message, "the scan was not complete");
                let wait = match trouble.reason.is_stalled() {
                    true => run.settings.recheck_interval.max(LEAST),
                    false => self
                        .retries
                        .backoff(&object_uid)
                        .max(LEAST)
                        .max(trouble.retry_after.unwrap_or_default()),
                };
                let again = wait.min(interval);
                report::failed(&mut status, &self.attempt(writer.object(), now, again), &trouble);
                self.write(&mut writer, &status).await?;
                again
            }
        };
        Ok(Action::requeue(again))
    }

    fn attempt(&self, object: &PermissionScan, now: Timestamp, again: Duration) -> Attempt {
        Attempt {
            generation: object.metadata.generation,
            operator: OperatorStatus {
                namespace: self.run.settings.namespace.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            request: watched::requested(&object.metadata).map(str::to_owned),
            now,
            again,
        }
    }

    async fn scan(&self, object: &PermissionScan, now: Timestamp) -> Result<(ScanResult, Option<Proposals>), Trouble> {
        let run = &*self.run;
        let sources = Sources {
            client: &run.client,
            account: &run.account,
            cluster: &run.cluster,
            bindings: &run.bindings,
        };
        let result = scan::scan(sources, &object.spec, now).await?;
        if object.spec.on_finding == OnFinding::Report {
            return Ok((result, None));
        }
        let name = object.name_any();
        let all = Api::<PermissionScan>::all(run.client.clone())
            .list(&kube::api::ListParams::default())
            .await?;
        let proposed = |scan: &PermissionScan| scan.status.as_ref().map(|status| status.proposed.clone());
        let others: Vec<Memory> = all
            .items
            .iter()
            .filter(|scan| scan.name_any() != name)
            .filter_map(proposed)
            .collect();
        let own = proposed(object).unwrap_or_default();
        let protected: HashSet<Uid> = run
            .settings
            .protected_uids
            .iter()
            .filter_map(|uid| uid.parse().ok())
            .collect();
        let chosen = proposals::choose(&result, &object.spec, &name, &own, &others, &protected);
        Ok((result, Some(chosen)))
    }

    /// Creates what was written down, until one is refused; whether none was.
    async fn propose(
        &self,
        scan: &str,
        status: &mut PermissionScanStatus,
        attempt: &Attempt,
        proposals: &Proposals,
        before: &Memory,
    ) -> bool {
        let run = &*self.run;
        if let Err(why) = run.prover.demand_proposals().await {
            let trouble = propose::not_guarded(&why);
            report::proposed(status, attempt, &[], Some((&proposals.uids, &trouble)), before);
            return false;
        }
        let (mut created, mut failed, mut first) = (Vec::new(), Vec::new(), None);
        // One that cannot be created keeps no other from it.
        for uid in &proposals.uids {
            match propose::create(&run.client, scan, *uid, || run.leadership.permit()).await {
                Ok(()) => created.push(*uid),
                Err(trouble) => {
                    failed.push(*uid);
                    first.get_or_insert(trouble);
                }
            }
        }
        let trouble = first.as_ref().map(|trouble| (failed.as_slice(), trouble));
        report::proposed(status, attempt, &created, trouble, before);
        trouble.is_none()
    }

    /// Writes the status, and publishes what changed in it. False if the object is another one by now, or this process leads no longer.
    async fn write(
        &self,
        writer: &mut StatusWriter<PermissionScan>,
        status: &PermissionScanStatus,
    ) -> Result<bool, ScanError> {
        let run = &*self.run;
        let permit = || Leadership::permit_report(&run.leadership);
        match writer.write(&run.client, status, permit).await {
            Ok(None) => Ok(true),
            Ok(Some(before)) => {
                let object = writer.object().object_ref(&());
                events::publish(&run.client, run.clock.now(), object, transitions(&before, status));
                Ok(true)
            }
            Err(NotWritten::Superseded | NotWritten::NotPermitted) => Ok(false),
            Err(NotWritten::Api(source)) => Err(ScanError::Write {
                name: writer.object().name_any(),
                source,
            }),
        }
    }
}

/// Whether it has to scan: an edit, a request, and the time ask for it.
fn due(object: &PermissionScan, now: Timestamp) -> Due {
    let status = object.status.clone().unwrap_or_default();
    let since_last = status.last_attempt_time.as_ref().map(|time| now.duration_since(time.0));
    let is_edited = status.observed_generation != object.metadata.generation;
    let is_requested =
        watched::requested(&object.metadata).is_some_and(|value| Some(value) != status.last_request.as_deref());
    let lost_its_conditions = status.conditions.is_empty();
    let least = SignedDuration::try_from(LEAST).unwrap_or_default();
    let wait = match (since_last, &status.next_scan_time) {
        (None, _) | (_, None) => SignedDuration::ZERO,
        (Some(since), _) if is_edited || is_requested || lost_its_conditions => least - since,
        (Some(_), Some(next)) => next.0.duration_since(now),
    };
    // A time that is further off than any interval with its jitter was set by another clock.
    let longest = object.spec.interval().mul_f64(1.0 + 2.0 * JITTER);
    match Duration::try_from(wait) {
        Ok(wait) if wait.is_zero() || wait > longest => Due::Now,
        Ok(wait) => Due::In(wait),
        // It is over.
        Err(_) => Due::Now,
    }
}

/// An event each for what was found, and for why a scan was not complete.
fn transitions(before: &PermissionScanStatus, after: &PermissionScanStatus) -> Vec<Event> {
    let find = |status: &PermissionScanStatus, type_: ScanCondition| {
        let found = status.conditions.iter().find(|c| c.type_ == type_.as_str());
        found.cloned()
    };
    let mut told: Vec<Event> = Vec::new();
    for type_ in [ScanCondition::FindingsPresent, ScanCondition::Ready] {
        let Some(new) = find(after, type_) else { continue };
        let same = find(before, type_).is_some_and(|old| old.status == new.status && old.reason == new.reason);
        let is_told = told.iter().any(|event| event.reason.as_ref() == Some(&new.reason));
        if same || is_told {
            continue;
        }
        let is_warning = match type_ {
            ScanCondition::FindingsPresent => new.status != "False",
            _ => new.status == "False" && new.reason != "Suspended",
        };
        told.push(events::about(type_.as_str(), &new.reason, &new.message, is_warning));
    }
    told
}

impl Reconciler for Scans {
    type Object = WatchedScan;
    type Error = ScanError;

    /// Changes with the spec, with the annotation, and when somebody takes the conditions away.
    fn version(object: &WatchedScan) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        let generation = object.meta().generation;
        (generation, object.requested(), object.has_lost_its_conditions()).hash(&mut hasher);
        Some(hasher.finish())
    }

    fn began(&self, known: &Store<WatchedScan>) {
        self.observed.watch_scans(Some(known.clone()));
    }

    fn woken(&self, _: &Store<WatchedScan>) -> BoxStream<'static, ObjectRef<WatchedScan>> {
        stream::pending().boxed()
    }

    async fn reconcile(&self, watched: Arc<WatchedScan>) -> Result<Action, ScanError> {
        let name = watched.name_any();
        let span = tracing::error_span!("scan", object = name);
        self.visit(&name).instrument(span).await
    }

    fn retry(&self, watched: &WatchedScan) -> Action {
        Action::requeue(self.retries.backoff(&watched.uid().unwrap_or_default()).max(LEAST))
    }

    /// Forgets those that were deleted.
    async fn tick(&self, known: &Store<WatchedScan>) {
        let alive = known.state().iter().filter_map(|object| object.uid()).collect();
        self.retries.forget_all_but(&alive);
        self.paces.forget_all_but(&alive);
    }

    fn ended(&self) {
        self.observed.watch_scans(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn scan(status: Value, annotation: Option<&str>) -> PermissionScan {
        let mut object: PermissionScan = serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "PermissionScan",
            "metadata": {"name": "default", "generation": 2}, "spec": {"interval": "1h"}, "status": status,
        }))
        .unwrap();
        if let Some(value) = annotation {
            object
                .annotations_mut()
                .insert(crate::api::scan::SCAN_REQUESTED.to_owned(), value.to_owned());
        }
        object
    }

    fn status(generation: i64, attempt: &str, next: &str) -> Value {
        json!({
            "observedGeneration": generation, "lastAttemptTime": attempt, "nextScanTime": next, "lastRequest": "one",
            "conditions": [{"type": "Ready", "status": "True", "reason": "Scanned", "message": "", "lastTransitionTime": attempt}],
        })
    }

    #[test]
    fn it_scans_when_it_is_time_and_when_it_is_asked_to() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let (long_ago, soon) = ("2026-01-01T11:30:00Z", "2026-01-01T12:30:00Z");
        let half_an_hour = Due::In(Duration::from_secs(1800));
        assert_eq!(due(&scan(json!({"observedGeneration": -1}), None), now), Due::Now);
        let quiet = status(2, long_ago, soon);
        assert_eq!(due(&scan(quiet.clone(), None), now), half_an_hour);
        assert_eq!(
            due(&scan(quiet.clone(), Some("one")), now),
            half_an_hour,
            "each value asks once"
        );
        assert_eq!(due(&scan(quiet.clone(), Some("")), now), half_an_hour);
        assert_eq!(due(&scan(quiet, Some("two")), now), Due::Now);
        assert_eq!(due(&scan(status(1, long_ago, soon), None), now), Due::Now, "an edit");
        assert_eq!(
            due(&scan(status(2, long_ago, "2026-01-01T11:59:00Z"), None), now),
            Due::Now
        );
        assert_eq!(
            due(&scan(status(2, long_ago, "2027-01-01T00:00:00Z"), None), now),
            Due::Now,
            "a time that no interval explains"
        );
        let just = "2026-01-01T11:59:58Z";
        assert_eq!(
            due(&scan(status(2, just, soon), Some("two")), now),
            Due::In(Duration::from_secs(3)),
            "not all the time, whoever asks"
        );
    }
}

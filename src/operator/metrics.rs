//! What the process counts and measures, in the form of OpenMetrics.
//!
//! One set a process. It is told by [`Observer`] and [`CallObserver`], so that nobody depends on it. Labels are words of this
//! program's own, never a UID, a name, a namespace or a message: there are as many series on a cluster with one object as on one with
//! ten thousand.

use crate::{
    api::BindingAction,
    observer::{Observer, Outcome},
};
use alibaba_cloud::{
    CallObserver, Try,
    ack::CLEAN_CLUSTER_USER_PERMISSIONS,
    error::{ErrorKind, Service},
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::{fmt, sync::atomic::AtomicU64, time::Duration};

/// The prefix of every metric's name.
const PREFIX: &str = "ack_offboarding";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    service: &'static str,
    operation: &'static str,
}

/// A try of a call, and how it ended: `Ok`, or the kind of the error.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TryLabels {
    service: &'static str,
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
}

/// Counters and histograms. Every label has few values: none of them comes from a user or a binding.
#[derive(Debug)]
pub(super) struct Metrics {
    reconciles: Family<OutcomeLabels, Counter>,
    reconcile_duration: Histogram,
    bindings_removed: Family<ActionLabels, Counter>,
    backups: Counter,
    cloud_tries: Family<TryLabels, Counter>,
    cloud_retries: Family<CallLabels, Counter>,
    cloud_duration: Family<CallLabels, Histogram, fn() -> Histogram>,
    credential_failures: Counter,
    purge_refusals: Counter,
    barrier_duration: Histogram,
    barrier_failures: Counter,
    index_lag: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    /// Nothing was counted yet. What has few labels is there from the beginning: an alert on something that has never been is none.
    fn default() -> Self {
        let metrics = Metrics {
            reconciles: Family::default(),
            // From the milliseconds of an object that is complete to the minutes of a thousand bindings.
            reconcile_duration: Histogram::new([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0]),
            bindings_removed: Family::default(),
            backups: Counter::default(),
            cloud_tries: Family::default(),
            cloud_retries: Family::default(),
            cloud_duration: Family::new_with_constructor(|| Histogram::new([0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0])),
            credential_failures: Counter::default(),
            purge_refusals: Counter::default(),
            // It takes milliseconds, and a second at most.
            barrier_duration: Histogram::new([0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]),
            barrier_failures: Counter::default(),
            index_lag: Gauge::default(),
        };
        metrics.index_lag(None);
        for outcome in [Outcome::Reported, Outcome::Failed] {
            drop(metrics.reconciles.get_or_create(&outcome_labels(outcome)));
        }
        for action in [BindingAction::Delete, BindingAction::RemoveSubject] {
            drop(metrics.bindings_removed.get_or_create(&action_labels(action)));
        }
        metrics
    }
}

fn outcome_labels(outcome: Outcome) -> OutcomeLabels {
    let outcome = match outcome {
        Outcome::Reported => "Reported",
        Outcome::Failed => "Failed",
    };
    OutcomeLabels { outcome }
}

fn action_labels(action: BindingAction) -> ActionLabels {
    let action = match action {
        BindingAction::Delete => "Delete",
        BindingAction::RemoveSubject => "RemoveSubject",
    };
    ActionLabels { action }
}

impl Observer for Metrics {
    fn reconciled(&self, outcome: Outcome, took: Duration) {
        self.reconciles.get_or_create(&outcome_labels(outcome)).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    fn binding_removed(&self, action: BindingAction) {
        self.bindings_removed.get_or_create(&action_labels(action)).inc();
    }

    fn backed_up(&self) {
        self.backups.inc();
    }

    fn barrier_passed(&self, took: Duration) {
        self.barrier_duration.observe(took.as_secs_f64());
    }

    fn barrier_failed(&self) {
        self.barrier_failures.inc();
    }

    fn index_lag(&self, lag: Option<Duration>) {
        self.index_lag.set(lag.map_or(f64::NAN, |lag| lag.as_secs_f64()));
    }
}

impl CallObserver for Metrics {
    fn tried(&self, one: &Try<'_>) {
        let (service, operation) = (one.service.as_str(), one.operation);
        let outcome = one.error.map_or("Ok", |error| error.kind.as_str());
        let labels = TryLabels {
            service,
            operation,
            outcome,
        };
        self.cloud_tries.get_or_create(&labels).inc();
        // By themselves as well: they are zero before they happen, and an alert sees the first.
        match one.error.map(|error| error.kind) {
            Some(ErrorKind::Credentials) => self.has_no_credentials(),
            Some(ErrorKind::Forbidden | ErrorKind::Rejected) if operation == CLEAN_CLUSTER_USER_PERMISSIONS => {
                self.purge_refusals.inc();
            }
            _ => {}
        }
        let labels = CallLabels { service, operation };
        self.cloud_duration
            .get_or_create(&labels)
            .observe(one.took.as_secs_f64());
    }

    fn retried(&self, service: Service, operation: &'static str) {
        let service = service.as_str();
        self.cloud_retries
            .get_or_create(&CallLabels { service, operation })
            .inc();
    }

    fn has_no_credentials(&self) {
        self.credential_failures.inc();
    }
}

impl Metrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "reconciles",
            "Completed reconciles of UserOffboardings",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "How long reconciles of UserOffboardings took",
            Unit::Seconds,
            self.reconcile_duration.clone(),
        );
        registry.register(
            "bindings_removed",
            "Bindings that were deleted, or from which a leaver was removed",
            self.bindings_removed.clone(),
        );
        registry.register(
            "backups",
            "Backup ConfigMaps that were stored and read back",
            self.backups.clone(),
        );
        registry.register(
            "cloud_requests",
            "Requests to Alibaba Cloud, counting each attempt, by outcome: Ok, or the kind of error",
            self.cloud_tries.clone(),
        );
        registry.register(
            "cloud_retries",
            "Retries of calls to Alibaba Cloud",
            self.cloud_retries.clone(),
        );
        registry.register_with_unit(
            "cloud_request_duration",
            "How long requests to Alibaba Cloud took",
            Unit::Seconds,
            self.cloud_duration.clone(),
        );
        registry.register(
            "credential_failures",
            "Requests that failed because the operator's own credentials are missing or were rejected",
            self.credential_failures.clone(),
        );
        registry.register(
            "purge_refusals",
            "Times that ACK refused to purge a kubeconfig",
            self.purge_refusals.clone(),
        );
        registry.register_with_unit(
            "barrier_duration",
            "How long it took until the index was known to be up to date",
            Unit::Seconds,
            self.barrier_duration.clone(),
        );
        registry.register(
            "barrier_failures",
            "Times that the barrier failed and all bindings were listed instead",
            self.barrier_failures.clone(),
        );
        registry.register_with_unit(
            "index_lag",
            "How far the index was behind the API server at the last measurement; 1 means a second or more, NaN that it is \
             unknown",
            Unit::Seconds,
            self.index_lag.clone(),
        );
    }

    /// A registry with all of them, for a process to add what it knows at the moment of a scrape.
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        self.register(&mut registry);
        registry
    }
}

/// The text of a scrape, as `application/openmetrics-text; version=1.0.0`.
///
/// # Errors
/// When something cannot be written as text, which is a mistake of this program.
pub(super) fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::new();
    text::encode(&mut text, registry)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alibaba_cloud::ApiError;
    #[test]
    fn what_has_not_happened_yet_is_zero_and_not_missing() {
        let text = encode(&Metrics::default().registry()).unwrap();
        for line in [
            "ack_offboarding_reconciles_total{outcome=\"Failed\"} 0",
            "ack_offboarding_bindings_removed_total{action=\"RemoveSubject\"} 0",
            "ack_offboarding_backups_total 0",
            "ack_offboarding_credential_failures_total 0",
            "ack_offboarding_purge_refusals_total 0",
            "ack_offboarding_barrier_failures_total 0",
            "ack_offboarding_reconcile_duration_seconds_count 0",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_try_is_counted_by_its_outcome() {
        let metrics = Metrics::default();
        let refused = ApiError {
            service: Service::Ram,
            operation: "ListRoles",
            target: "".into(),
            kind: ErrorKind::Throttled,
            status: Some(429),
            code: None,
            message: "".into(),
            request_id: None,
            retry_after: None,
        };
        for error in [None, Some(&refused)] {
            metrics.tried(&Try {
                service: Service::Ram,
                operation: "ListRoles",
                error,
                took: Duration::from_millis(20),
            });
        }
        let text = encode(&metrics.registry()).unwrap();
        for line in [
            "ack_offboarding_cloud_requests_total{service=\"ram\",operation=\"ListRoles\",outcome=\"Ok\"} 1",
            "ack_offboarding_cloud_requests_total{service=\"ram\",operation=\"ListRoles\",outcome=\"Throttled\"} 1",
            "ack_offboarding_cloud_request_duration_seconds_count{service=\"ram\",operation=\"ListRoles\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
        }
    }
}

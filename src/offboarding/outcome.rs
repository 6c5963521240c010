//! How a reconcile ends: done, or held by something, with when to look again.

use crate::api::{ConditionStatus, ConditionType, Ends, Reason};
use alibaba_cloud::{
    codes,
    credentials::{ASSUME_ROLE, LOCAL},
    error::{ApiError, ErrorKind},
};
use std::time::Duration;

/// When to look again, unless something wakes the object before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// With exponential backoff: something is expected to change soon.
    Backoff,
    /// The same, but not before this time has passed: a service that throttles asked for it.
    NotBefore(Duration),
    /// At the recheck interval (an hour unless set otherwise), with jitter.
    Recheck,
    /// At the poll interval (a day unless set otherwise).
    Poll,
    /// After this time.
    After(Duration),
    /// When the object is edited.
    OnEdit,
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// `Offboarded`, `NothingToRemove` or `DryRunComplete`.
    pub reason: Reason,
    /// What was seen.
    pub message: String,
}

/// What keeps a run from its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Blocked {
    /// Ready's reason.
    pub reason: Reason,
    /// What was seen, what it means, and what a person can do.
    pub message: String,
    /// The condition that it is about, and its reason there.
    pub about: Option<(ConditionType, ConditionStatus, Reason)>,
    /// When to look again.
    pub again: Requeue,
}

impl Blocked {
    /// Held for this reason. Whether a person must act, the reason says.
    pub fn new(reason: Reason, again: Requeue, message: impl Into<String>) -> Self {
        Blocked {
            reason,
            message: message.into(),
            about: None,
            again,
        }
    }

    /// The same, looked at again at the recheck interval.
    pub fn recheck(reason: Reason, message: impl Into<String>) -> Self {
        Blocked::new(reason, Requeue::Recheck, message)
    }

    /// Whether a person must change something.
    pub fn is_stalled(&self) -> bool {
        self.reason.ends() == Some(Ends::Person)
    }

    /// Says which condition this is about; it gets the same reason and message.
    pub fn about(self, condition: ConditionType, status: ConditionStatus) -> Self {
        let reason = self.reason;
        self.about_as(condition, status, reason)
    }

    /// Says which condition this is about, under a reason of its own.
    pub fn about_as(mut self, condition: ConditionType, status: ConditionStatus, reason: Reason) -> Self {
        self.about = Some((condition, status, reason));
        self
    }
}

/// Why a run stopped.
#[derive(Debug)]
pub enum Interrupted {
    /// Something holds it: reported in the status.
    Blocked(Blocked),
    /// The object was edited, deleted, or replaced by another of its name: what was observed is void. Or this process may not
    /// change anything any more: another one leads. Nothing is reported; what is found next is a new reconcile.
    Superseded,
}

impl From<Blocked> for Interrupted {
    fn from(blocked: Blocked) -> Self {
        Interrupted::Blocked(blocked)
    }
}

/// A failure of the API server outside of an effect. The effects tell their failures apart themselves.
impl From<kube::Error> for Interrupted {
    fn from(error: kube::Error) -> Self {
        Interrupted::Blocked(api_server(&error, "A request to the API server failed"))
    }
}

/// The hold for a failed call to the API server; `attempt` says what was tried.
pub fn api_server(error: &kube::Error, attempt: &str) -> Blocked {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => Blocked::recheck(
            Reason::Forbidden,
            format!(
                "{attempt}: {}. Grant the operator's ServiceAccount this permission (the installation includes its ClusterRole \
                 and Roles).",
                status.message
            ),
        ),
        _ => Blocked::new(
            Reason::LookupFailed,
            Requeue::Backoff,
            format!("{attempt}: {error}. The operator retries automatically."),
        ),
    }
}

/// A question that a cloud service did not answer.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryError {
    /// A permission is missing.
    pub forbidden: bool,
    /// ACK does not know the cluster.
    pub cluster_not_found: bool,
    /// The operator's credentials are missing, or not accepted.
    pub credentials: bool,
    /// What was asked, and what came back.
    pub message: String,
    /// What a person can do about it, as a sentence; empty if there is nothing to do but wait.
    pub advice: &'static str,
    /// The service's hint when to come back.
    pub retry_after: Option<Duration>,
}

impl From<ApiError> for QueryError {
    fn from(error: ApiError) -> Self {
        QueryError {
            forbidden: error.kind == ErrorKind::Forbidden,
            cluster_not_found: error.kind == ErrorKind::ClusterNotFound,
            credentials: error.kind == ErrorKind::Credentials,
            message: error.to_string(),
            advice: advice(&error),
            retry_after: error.retry_after,
        }
    }
}

/// What a person can do about a failed call, as a sentence; empty if there is nothing to do but wait. By its code, if that is known, else by
/// its kind; whoever may not assume the operator's role is told by the operation.
pub fn advice(error: &ApiError) -> &'static str {
    if error.kind == ErrorKind::Forbidden && error.operation == ASSUME_ROLE {
        return codes::TRUST;
    }
    if let Some(known) = error.known().filter(|known| known.kind == error.kind) {
        return known.advice;
    }
    if error.kind == ErrorKind::Credentials && error.operation == LOCAL {
        return "Correct this, or choose another source of credentials (--credentials).";
    }
    match error.kind {
        // A proxy between the operator and the service may have answered so, or the service for a reason of its own.
        ErrorKind::Forbidden => {
            "The operator does not know this code. HTTP 403 usually means that a permission is missing: compare the RAM policy of \
             the operator's role with docs/ram-policy.json."
        }
        ErrorKind::ClusterNotFound => codes::CLUSTER,
        ErrorKind::Credentials => codes::CREDENTIALS,
        ErrorKind::Connection | ErrorKind::TimedOut => {
            "If this persists, check that the operator's pod can reach the service: egress rules, NAT, --network, its endpoint."
        }
        ErrorKind::Malformed => {
            "If this persists, check whether a proxy or a wrong endpoint answers instead of the service."
        }
        ErrorKind::Budget => {
            "If this persists, look for an object or a binding that changes all the time, or raise --cloud-calls-per-minute."
        }
        ErrorKind::NotFound | ErrorKind::Throttled | ErrorKind::Conflict | ErrorKind::Server | ErrorKind::Rejected => {
            ""
        }
    }
}

/// When to ask a service again.
pub fn again(retry_after: Option<Duration>) -> Requeue {
    retry_after.map_or(Requeue::Backoff, Requeue::NotBefore)
}

impl QueryError {
    /// The hold for it, without the condition that it is about; `so_far` says what was done or not.
    pub fn blocked(&self, so_far: &str) -> Blocked {
        let QueryError { message, advice, .. } = self;
        if self.forbidden || self.cluster_not_found {
            let reason = match self.forbidden {
                true => Reason::Forbidden,
                false => Reason::ClusterNotFound,
            };
            return Blocked::recheck(
                reason,
                format!("{message}. {so_far} {advice} The operator checks again automatically."),
            );
        }
        let space = if advice.is_empty() { "" } else { " " };
        let message = format!("{message}. {so_far} The operator retries automatically.{space}{advice}");
        let reason = match self.credentials {
            true => Reason::CredentialsRejected,
            false => Reason::LookupFailed,
        };
        Blocked::new(reason, again(self.retry_after), message)
    }
}

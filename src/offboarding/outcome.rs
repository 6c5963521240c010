//! How a reconcile ends: done, or held by something, with when to look again.

use crate::{
    api::{ConditionStatus, ConditionType, Ends, Reason},
    sources::query_error::QueryError,
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
    After(Duration),
    /// When the object is edited.
    OnEdit,
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Done {
    /// `Offboarded`, `NothingToRemove` or `DryRunComplete`.
    pub reason: Reason,
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
pub(crate) fn api_server(error: &kube::Error, attempt: &str) -> Blocked {
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

/// When to ask a service again.
pub(crate) fn again(retry_after: Option<Duration>) -> Requeue {
    retry_after.map_or(Requeue::Backoff, Requeue::NotBefore)
}

impl Blocked {
    /// The hold for a question that a service did not answer, without the condition that it is about; `so_far` says what was done or not.
    pub fn by(unanswered: &QueryError, so_far: &str) -> Blocked {
        let QueryError { message, advice, .. } = unanswered;
        if unanswered.forbidden || unanswered.cluster_not_found {
            let reason = match unanswered.forbidden {
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
        let reason = match unanswered.credentials {
            true => Reason::CredentialsRejected,
            false => Reason::LookupFailed,
        };
        Blocked::new(reason, again(unanswered.retry_after), message)
    }
}

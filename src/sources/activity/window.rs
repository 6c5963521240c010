//! The window and the logstore that are asked about, and why a log may prove nothing.

use crate::{api::Reason, sources::query_error::QueryError};
use alibaba_cloud::error::{ApiError, ErrorKind};
use k8s_openapi::jiff::Timestamp;

pub(super) const DAY: i64 = 86_400;

/// Where the audit log is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogstoreRef {
    pub project: String,
    pub logstore: String,
}

/// The window, in unix seconds: from (included) to (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub from: i64,
    pub to: i64,
}

impl Window {
    /// Its length in whole days.
    pub(crate) fn days(self) -> u16 {
        u16::try_from((self.to - self.from) / DAY).unwrap_or(u16::MAX)
    }
}

/// Why the log proves nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Inconclusive {
    /// The reason of `Inactive=Unknown`.
    pub reason: Reason,
    /// What was seen, and what to do about it.
    pub message: String,
    /// The question that was not answered, if that is it.
    pub unanswered: Option<QueryError>,
}

impl Inconclusive {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Inconclusive {
            reason,
            message: message.into(),
            unanswered: None,
        }
    }
}

impl From<ApiError> for Inconclusive {
    fn from(error: ApiError) -> Self {
        let unindexed = error.is_unindexed_field();
        let over_budget = error.kind == ErrorKind::Budget;
        let unanswered = QueryError::from(error);
        let (reason, advice) = match (unindexed, over_budget) {
            (true, _) => (
                Reason::FieldNotIndexed,
                "Add the field named in this error to the logstore's index in the SLS console. SLS indexes only records written after that, so the check \
                 can pass only a whole inactivity window later.",
            ),
            (_, true) => (Reason::CloudBudgetSpent, unanswered.advice),
            _ => (Reason::QueryFailed, unanswered.advice),
        };
        let space = if advice.is_empty() { "" } else { " " };
        let message = format!(
            "the operator cannot read the audit log. {}.{space}{advice}",
            unanswered.message
        );
        Inconclusive {
            reason,
            message,
            unanswered: Some(unanswered),
        }
    }
}

/// What is meant by an error of a logstore that was asked.
pub(super) fn missing_or(place: &LogstoreRef, error: ApiError) -> Inconclusive {
    let LogstoreRef { project, logstore } = place;
    // Any other 404 says nothing about the logstore.
    let missing = match error.code.as_deref() {
        Some("ProjectNotExist") => Some(format!(
            "SLS has no project {project}, which ACK names for the cluster's audit log"
        )),
        Some("LogStoreNotExist") => Some(format!("SLS has no logstore {logstore} in project {project}")),
        _ => None,
    };
    if let Some(missing) = missing {
        let advice = "Turn cluster auditing off and on again in the ACK console. The check then needs a whole window of the new log";
        return Inconclusive::new(Reason::LogstoreMissing, format!("{missing}. {advice}."));
    }
    error.into()
}

/// A second as it is shown.
pub(super) fn timestamp(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |t| t.to_string())
}

/// `day`, `7 days`: what comes after "the last".
pub(crate) fn last(count: u16) -> String {
    match count {
        1 => "day".to_owned(),
        _ => days(count),
    }
}

/// `1 day`, `7 days`.
pub(crate) fn days(count: u16) -> String {
    format!("{count} day{}", if count == 1 { "" } else { "s" })
}

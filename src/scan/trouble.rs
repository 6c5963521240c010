//! Why a scan was not complete.

use crate::{
    api::scan::ScanReason,
    sources::{QueryError, account::ListError},
};
use std::time::Duration;

/// Why a scan was not complete.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    /// The reason of the conditions.
    pub(crate) reason: ScanReason,
    /// What was seen, what it means, and what a person can do.
    pub(crate) message: String,
    /// What was seen alone: what to do about it depends on who asks.
    pub(super) seen: String,
    /// A service's hint when to come back.
    pub(crate) retry_after: Option<Duration>,
}

impl Trouble {
    pub(crate) fn new(reason: ScanReason, message: impl Into<String>) -> Self {
        let message = message.into();
        Trouble {
            reason,
            seen: message.clone(),
            message,
            retry_after: None,
        }
    }

    pub(super) fn incomplete(why: impl std::fmt::Display) -> Self {
        Trouble::new(
            ScanReason::ListingIncomplete,
            format!(
                "A listing is not whole: {why}. Nobody is called deleted by it; the next scan lists everybody anew."
            ),
        )
    }
}

impl From<ListError> for Trouble {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Incomplete(why) => Trouble::incomplete(why),
            ListError::Query(error) => error.into(),
        }
    }
}

impl From<QueryError> for Trouble {
    fn from(error: QueryError) -> Self {
        let reason = match () {
            () if error.credentials => ScanReason::CredentialsRejected,
            () if error.cluster_not_found => ScanReason::ClusterNotFound,
            () if error.forbidden => ScanReason::Forbidden,
            () => ScanReason::LookupFailed,
        };
        let message = match error.advice {
            "" => format!("{}.", error.message),
            advice => format!("{}. {advice}", error.message),
        };
        Trouble {
            reason,
            message,
            seen: format!("{}.", error.message),
            retry_after: error.retry_after,
        }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        let reason = match &error {
            kube::Error::Api(status) if status.is_forbidden() => ScanReason::Forbidden,
            _ => ScanReason::LookupFailed,
        };
        Trouble::new(reason, format!("A request to the API server failed: {error}."))
    }
}

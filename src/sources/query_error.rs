//! A question that a cloud service did not answer, and what a person can do about it.

use alibaba_cloud::{
    codes,
    credentials::{ASSUME_ROLE, LOCAL},
    error::{ApiError, ErrorKind},
};
use std::time::Duration;

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
pub(crate) fn advice(error: &ApiError) -> &'static str {
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

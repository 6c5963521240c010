//! A question that a cloud service did not answer, and what a person can do about it.

use super::advice;
use alibaba_cloud::error::{ApiError, ErrorKind};
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
            advice: advice::of(&error),
            retry_after: error.retry_after,
        }
    }
}

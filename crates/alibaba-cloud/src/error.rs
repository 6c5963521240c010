//! The one error of every cloud call: what was attempted, on what, what the service said, and what kind of failure it
//! is.

use std::{fmt, time::Duration};

pub use super::service::{ErrorKind, Service};
use super::{
    codes::{self, Code},
    remedy::Remedy,
};

/// A failed call.
///
/// Guarantees: `message` is at most 300 characters and a `Display` a few hundred; neither holds a
/// control character, a secret, a token, a signature, or the string to sign that a service echoes when it disagrees
/// with a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Whom we asked.
    pub service: Service,
    /// The operation's name in the API.
    pub operation: &'static str,
    /// On what, as in `user 259083957089437690`; empty if there is nothing to name.
    pub target: Box<str>,
    /// What a program decides by; for people there is [`remedy`](Self::remedy).
    pub kind: ErrorKind,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The service's error code, verbatim.
    pub code: Option<Box<str>>,
    /// The service's message, cleaned; or, without an answer, what went wrong.
    pub message: Box<str>,
    /// What to quote to Alibaba Cloud's support.
    pub request_id: Option<Box<str>>,
    /// The service's hint when to come back; at most a minute.
    pub retry_after: Option<Duration>,
}

/// The operation that exchanges an OIDC token for a role's credentials.
pub(crate) const ASSUME_ROLE: &str = "AssumeRoleWithOIDC";

/// The "operation" of an error about credentials that no service was asked for.
pub(crate) const LOCAL: &str = "credentials";

/// The most characters of a service's message that are kept.
pub(crate) const MESSAGE_LIMIT: usize = 300;

impl ApiError {
    /// Whether the same call may succeed if it is simply made again: throttled, another change, 5xx, no
    /// connection, no answer.
    ///
    /// Says nothing about whether it is *safe* to repeat: the purge is not.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Throttled
                | ErrorKind::Conflict
                | ErrorKind::Server
                | ErrorKind::Connection
                | ErrorKind::TimedOut
        )
    }

    /// What is known of the service's code. None if it gave none, or one that is not known.
    pub fn known(&self) -> Option<&'static Code> {
        codes::find(self.service, self.code.as_deref()?)
    }

    /// Whether the service's code is this one.
    pub fn has_code(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the service that was asked says that there is no such user or role. The kind tells it from a
    /// missing role of the caller's own, which STS reports with the same code while credentials are fetched.
    pub fn says_no_entity(&self) -> bool {
        self.kind == ErrorKind::NotFound
            && self
                .code
                .as_deref()
                .is_some_and(|code| code.starts_with("EntityNotExist"))
    }

    /// Whether the service did not accept the time of the request: it allows 15 minutes of difference.
    pub fn is_about_the_clock(&self) -> bool {
        let is_late = |code: &str| code.starts_with("InvalidTimeStamp") || code == "RequestTimeExpired";
        self.code.as_deref().is_some_and(is_late)
    }

    /// Whether SLS says that the query names a field without an index.
    /// Source: "key (...) is not config as key value config", in the query syntax page's FAQ.
    pub fn is_unindexed_field(&self) -> bool {
        self.service == Service::Sls && self.message.contains("is not config as key value config")
    }

    /// What a person has to look at: by the service's code, if that is known, else by the kind.
    pub fn remedy(&self) -> Remedy {
        if self.kind == ErrorKind::Forbidden && self.operation == ASSUME_ROLE {
            return Remedy::TrustPolicy;
        }
        // A code of another kind is one that came with a request to wait, or a message that says more than it.
        if let Some(known) = self.known().filter(|known| known.kind == self.kind) {
            return known.remedy;
        }
        match self.kind {
            ErrorKind::Forbidden => Remedy::PerhapsPermission,
            ErrorKind::ClusterNotFound => Remedy::Cluster,
            ErrorKind::Credentials if self.operation == LOCAL => Remedy::CredentialsSource,
            ErrorKind::Credentials => Remedy::Credentials,
            ErrorKind::Connection | ErrorKind::TimedOut => Remedy::Network,
            ErrorKind::Malformed => Remedy::WrongAnswerer,
            ErrorKind::Budget => Remedy::CallLimit,
            ErrorKind::NotFound
            | ErrorKind::Throttled
            | ErrorKind::Conflict
            | ErrorKind::Server
            | ErrorKind::Rejected => Remedy::Nothing,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.service, self.operation)?;
        if !self.target.is_empty() {
            write!(f, " ({})", self.target)?;
        }
        f.write_str(match self.kind {
            ErrorKind::NotFound => ": not found",
            ErrorKind::ClusterNotFound => ": no such cluster",
            ErrorKind::Forbidden => ": forbidden",
            ErrorKind::Throttled => ": throttled",
            ErrorKind::Conflict => ": another change is in progress",
            ErrorKind::Budget => ": not sent",
            ErrorKind::Credentials if self.is_about_the_clock() => ": the clocks of the caller and the service differ",
            ErrorKind::Credentials => ": the caller's credentials do not work",
            ErrorKind::Server => ": the service failed",
            ErrorKind::Connection => ": no connection",
            ErrorKind::TimedOut => ": no answer in time",
            ErrorKind::Malformed => ": cannot understand the answer",
            ErrorKind::Rejected => ": rejected",
        })?;
        match (&self.code, self.message.is_empty()) {
            (Some(code), false) => write!(f, ": {code}: {}", self.message)?,
            (Some(code), true) => write!(f, ": {code}")?,
            (None, false) => write!(f, ": {}", self.message)?,
            (None, true) => {}
        }
        match (self.status, &self.request_id) {
            (Some(status), Some(id)) => write!(f, " (HTTP {status}, request {id})"),
            (Some(status), None) => write!(f, " (HTTP {status})"),
            (None, Some(id)) => write!(f, " (request {id})"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_sentence() {
        let error = ApiError {
            service: Service::Ack,
            operation: "GetClusterAuditProject",
            target: "cluster c1".into(),
            kind: ErrorKind::Forbidden,
            status: Some(403),
            code: Some("StatusForbidden".into()),
            message: "RAM policy Forbidden".into(),
            request_id: Some("R-1".into()),
            retry_after: None,
        };
        assert_eq!(
            error.to_string(),
            "CS GetClusterAuditProject (cluster c1): forbidden: StatusForbidden: RAM policy Forbidden (HTTP 403, request R-1)"
        );
    }

    fn remedy(operation: &'static str, kind: ErrorKind, code: Option<&str>) -> Remedy {
        let error = ApiError {
            service: Service::Sts,
            operation,
            target: "".into(),
            kind,
            status: Some(400),
            code: code.map(Into::into),
            message: "".into(),
            request_id: None,
            retry_after: None,
        };
        error.remedy()
    }

    #[test]
    fn a_remedy_is_that_of_the_operation_the_code_or_the_kind_in_this_order() {
        use ErrorKind::*;
        for (operation, kind, code, expected) in [
            (ASSUME_ROLE, Forbidden, Some("NoPermission"), Remedy::TrustPolicy),
            ("GetCallerIdentity", Forbidden, Some("NoPermission"), Remedy::Permission),
            (
                "GetCallerIdentity",
                Forbidden,
                Some("SomethingElse"),
                Remedy::PerhapsPermission,
            ),
            (
                "GetCallerIdentity",
                Credentials,
                Some("InvalidTimeStamp.Expired"),
                Remedy::Clock,
            ),
            ("GetCallerIdentity", Throttled, Some("NoPermission"), Remedy::Nothing),
            ("GetCallerIdentity", Credentials, None, Remedy::Credentials),
            (LOCAL, Credentials, None, Remedy::CredentialsSource),
        ] {
            assert_eq!(remedy(operation, kind, code), expected, "{operation} {kind:?} {code:?}");
        }
    }
}

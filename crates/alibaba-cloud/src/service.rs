//! The services, and what kinds of failure there are.

use std::fmt;

/// The services that are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Security Token Service, 2015-04-01.
    Sts,
    /// Identity Management Service, 2019-08-15.
    Ims,
    /// Resource Access Management, 2015-05-01.
    Ram,
    /// Container Service, 2015-12-15.
    Ack,
    /// Simple Log Service, 0.6.0.
    Sls,
}

impl Service {
    /// The short name, in lower case: a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::Sts => "sts",
            Service::Ims => "ims",
            Service::Ram => "ram",
            Service::Ack => "cs",
            Service::Sls => "sls",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Service::Sts => "STS",
            Service::Ims => "IMS",
            Service::Ram => "RAM",
            Service::Ack => "CS",
            Service::Sls => "SLS",
        })
    }
}

/// What kind of failure it is: what a program decides on. What a person has to look at is a [`Remedy`](crate::Remedy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What was asked for is not there: user, role, project, logstore, index.
    NotFound,
    /// CS says that there is no such cluster (`ErrorClusterNotFound`).
    ClusterNotFound,
    /// The caller may not do this, by RAM policy or by the cluster's RBAC. A person must grant it.
    Forbidden,
    /// Too many calls; see `retry_after`.
    Throttled,
    /// The service is changing the same thing for another call; nothing was done. The same call may succeed in some seconds.
    Conflict,
    /// The client's own limit of calls is reached; nothing was sent. See `retry_after`.
    Budget,
    /// The caller's own credentials are missing, wrong, expired or not accepted.
    Credentials,
    /// The service failed (5xx).
    Server,
    /// No connection, or it broke before the answer was complete. Whether the call took effect is not known.
    Connection,
    /// No answer in time. Whether the call took effect is not known.
    TimedOut,
    /// The answer is not what the API promises: HTML, empty, truncated, too large, of another shape.
    Malformed,
    /// The service refused the call for a reason of its own (any other 4xx, and every code that is not known), or it could not be built.
    Rejected,
}

impl ErrorKind {
    /// The name: a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::NotFound => "NotFound",
            ErrorKind::ClusterNotFound => "ClusterNotFound",
            ErrorKind::Forbidden => "Forbidden",
            ErrorKind::Throttled => "Throttled",
            ErrorKind::Conflict => "Conflict",
            ErrorKind::Budget => "Budget",
            ErrorKind::Credentials => "Credentials",
            ErrorKind::Server => "Server",
            ErrorKind::Connection => "Connection",
            ErrorKind::TimedOut => "TimedOut",
            ErrorKind::Malformed => "Malformed",
            ErrorKind::Rejected => "Rejected",
        }
    }
}

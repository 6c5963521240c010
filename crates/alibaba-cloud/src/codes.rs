//! The error codes of the services that the operator knows, one row each: what a code means, whether the call is repeated, what a
//! person can do, and where the fact is from.
//!
//! A code without a row is unknown, and is treated as such: only its HTTP status counts. To add a code, add a row; `docs/cloud-errors.md` is
//! compared with this table, and a test prints what it must hold.

use std::time::Duration;

use super::service::{
    ErrorKind::{self, *},
    Service::{self, *},
};

/// What is known of one error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The services that answer it.
    pub services: &'static [Service],
    /// The code, verbatim; with `*` at its start or end, all codes that end or begin so. A whole code comes before a pattern, and a longer
    /// pattern before a shorter one.
    pub code: &'static str,
    /// The HTTP status that it comes with, as far as that is known. Nothing depends on it.
    pub status: Option<u16>,
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// How long to wait before the next try, where the service gives no hint.
    pub pause: Option<Duration>,
    /// What it means, as a clause.
    pub meaning: &'static str,
    /// What a person can do, as a sentence; empty if there is nothing to do but wait, or if it depends on the call.
    pub advice: &'static str,
    /// Where this is from.
    pub source: &'static str,
}

/// Alibaba Cloud's help pages: error codes, API pages, troubleshooting.
const PAGE: &str = "help page";
/// The official SDKs or the official CLI.
const SDK: &str = "SDK";
/// The official Terraform provider.
const PROVIDER: &str = "Terraform provider";
/// Public code that talked to the service; Alibaba Cloud says nothing of it.
const SEEN: &str = "seen in public code";
/// Lists by third parties; unverified.
const LISTS: &str = "third-party lists, unverified";

/// A permission of the operator's role is missing.
pub const RIGHT: &str = "Add this action to the RAM policy of the operator's role (docs/ram-policy.json has them all).";
/// The operator may not assume its role.
pub const TRUST: &str = "Check the trust policy of the operator's role: it must name the cluster's OIDC provider and the operator's ServiceAccount.";
/// The operator takes its cluster for another.
pub const CLUSTER: &str = "Check the operator's cluster ID and region.";
/// The operator's credentials are not accepted.
pub const CREDENTIALS: &str = "Check the operator's RRSA set-up, access key or CLI profile (the operator reads a key in its environment only when it starts).";
/// The clocks differ.
pub const CLOCK: &str =
    "Correct the clock of the operator's node: the services refuse requests that are more than 15 minutes off.";
const NO_OPERATION: &str = "Check the operator's endpoints: this one does not know the operation.";

const EVERY: &[Service] = &[Sts, Ims, Ram, Ack, Sls];
/// Those whose requests have a signature of the form ACS3.
const ACS: &[Service] = &[Sts, Ims, Ram, Ack];
/// The table.
pub const CODES: &[Code] = &[
    // The purge, and whatever else changes permissions in ACK.
    Code {
        pause: Some(Duration::from_secs(5)),
        ..row(
            &[Ack],
            "ErrAuthorizationConflict",
            None,
            Conflict,
            "ACK is changing permissions for another call at the same time",
            "",
            PROVIDER,
        )
    },
    row(
        &[Ack],
        "ErrorCheckAcl",
        None,
        Forbidden,
        "the caller may not do this",
        RIGHT,
        SEEN,
    ),
    row(
        &[Ack],
        "StatusForbidden",
        Some(403),
        Forbidden,
        "the caller's RAM policy or RBAC role does not allow it",
        RIGHT,
        PAGE,
    ),
    row(
        &[Ack],
        "Forbidden*",
        None,
        Forbidden,
        "the caller's RAM policy or RBAC role does not allow it",
        RIGHT,
        PAGE,
    ),
    row(
        &[Ack],
        "APISERVER_403",
        None,
        Forbidden,
        "the cluster's API server did not allow it",
        "Make the operator's RAM role an RBAC administrator of the cluster, in the ACK console.",
        PAGE,
    ),
    row(
        &[Ack],
        "ErrorRamPolicyConfig",
        None,
        Rejected,
        "the user whose permissions are changed has no RAM policy for the cluster",
        "Give the user read access to the cluster in RAM, or purge the kubeconfig in the ACK console.",
        PAGE,
    ),
    row(
        &[Ack],
        "ErrorClusterNotFound",
        Some(404),
        ClusterNotFound,
        "ACK does not know the cluster",
        CLUSTER,
        PAGE,
    ),
    row(
        &[Ack],
        "ErrorQueryCluster",
        None,
        Server,
        "ACK failed to look the cluster up",
        "",
        SEEN,
    ),
    row(
        &[Ack],
        "ErrorQueryClusterNamespace",
        None,
        Server,
        "ACK did not reach the cluster's API server",
        "",
        PAGE,
    ),
    row(
        &[Ack],
        "APIServer.500",
        None,
        Server,
        "the cluster's API server failed ACK's request",
        "",
        PAGE,
    ),
    row(
        &[Ack],
        "ErrorClusterState",
        Some(400),
        Rejected,
        "the cluster's state does not allow it",
        "Look at the cluster's state in the ACK console.",
        LISTS,
    ),
    // Users and roles.
    row(
        &[Ims, Ram],
        "EntityNotExist*",
        Some(404),
        NotFound,
        "RAM has no such user or role",
        "",
        PAGE,
    ),
    row(
        &[Sts],
        "EntityNotExist*",
        Some(404),
        NotFound,
        "RAM does not have the operator's role or its OIDC provider",
        CREDENTIALS,
        PAGE,
    ),
    row(
        ACS,
        "NoPermission*",
        Some(403),
        Forbidden,
        "the caller's RAM policy does not allow it",
        RIGHT,
        PAGE,
    ),
    row(
        &[Sts, Ims, Ram],
        "Forbidden*",
        Some(403),
        Forbidden,
        "the caller's RAM policy does not allow it",
        RIGHT,
        PAGE,
    ),
    // Logs.
    row(
        &[Sls],
        "ProjectNotExist",
        Some(404),
        NotFound,
        "SLS has no such project",
        "",
        PAGE,
    ),
    row(
        &[Sls],
        "LogStoreNotExist",
        Some(404),
        NotFound,
        "the project has no such logstore",
        "",
        PAGE,
    ),
    row(
        &[Sls],
        "IndexConfigNotExist",
        Some(404),
        NotFound,
        "the logstore has no index",
        "",
        PAGE,
    ),
    // Also what SLS calls a key that it does not accept: the message tells (see `classify`).
    row(
        &[Sls],
        "Unauthorized",
        Some(401),
        Forbidden,
        "the caller's RAM policy does not allow it",
        RIGHT,
        PAGE,
    ),
    row(
        &[Sls],
        "*QuotaExceed",
        Some(403),
        Throttled,
        "more is read than the project or shard allows",
        "",
        PAGE,
    ),
    row(
        &[Sls],
        "ParameterInvalid",
        Some(400),
        Rejected,
        "SLS rejected the query, or has no index for a field in it",
        "",
        PAGE,
    ),
    row(&[Sls], "ServerBusy", Some(503), Server, "SLS is busy", "", PAGE),
    row(&[Sls], "InternalServerError", Some(500), Server, "SLS failed", "", PAGE),
    row(
        &[Sls],
        "RequestTimeout",
        Some(500),
        Server,
        "SLS did not finish in time",
        "",
        PAGE,
    ),
    // Credentials.
    row(
        EVERY,
        "InvalidAccessKeyId*",
        None,
        Credentials,
        "the access key does not exist or is disabled",
        CREDENTIALS,
        PAGE,
    ),
    row(
        EVERY,
        "InvalidAccessKeySecret*",
        None,
        Credentials,
        "the access key's secret is wrong",
        CREDENTIALS,
        PAGE,
    ),
    row(
        EVERY,
        "InvalidSecurityToken*",
        None,
        Credentials,
        "the security token was rejected",
        CREDENTIALS,
        PAGE,
    ),
    row(
        EVERY,
        "MissingSecurityToken*",
        None,
        Credentials,
        "the access key is temporary and its token is missing",
        CREDENTIALS,
        PAGE,
    ),
    row(
        EVERY,
        "SecurityTokenExpired*",
        None,
        Credentials,
        "the security token has expired",
        CREDENTIALS,
        PAGE,
    ),
    row(
        ACS,
        "SignatureDoesNotMatch*",
        None,
        Credentials,
        "the access key's secret is wrong",
        CREDENTIALS,
        PAGE,
    ),
    row(
        &[Sls],
        "SignatureNotMatch*",
        Some(401),
        Credentials,
        "the access key's secret is wrong",
        CREDENTIALS,
        PAGE,
    ),
    row(
        ACS,
        "IncompleteSignature*",
        None,
        Credentials,
        "the access key's secret is wrong",
        CREDENTIALS,
        PAGE,
    ),
    row(
        ACS,
        "SignatureNonceUsed*",
        None,
        Credentials,
        "the request was sent twice",
        "",
        PAGE,
    ),
    row(
        ACS,
        "InvalidTimeStamp*",
        Some(400),
        Credentials,
        "the clocks differ",
        CLOCK,
        PAGE,
    ),
    row(
        &[Sls],
        "RequestTimeExpired",
        Some(400),
        Credentials,
        "the clocks differ",
        CLOCK,
        PAGE,
    ),
    row(
        &[Sts],
        "AuthenticationFail.NoPermission",
        None,
        Forbidden,
        "the role's trust policy does not allow the operator's ServiceAccount",
        TRUST,
        PAGE,
    ),
    row(
        &[Sts],
        "AuthenticationFail*",
        None,
        Credentials,
        "STS rejected the OIDC token",
        CREDENTIALS,
        PAGE,
    ),
    // Any service.
    row(
        EVERY,
        "Throttling*",
        None,
        Throttled,
        "too many calls; Terraform waits a minute after Throttling.User",
        "",
        SDK,
    ),
    row(
        EVERY,
        "ServiceUnavailable*",
        Some(503),
        Server,
        "the service is not available",
        "",
        PAGE,
    ),
    row(
        EVERY,
        "InternalError*",
        Some(500),
        Server,
        "the service failed",
        "",
        PAGE,
    ),
    row(
        ACS,
        "InvalidAction*",
        Some(404),
        Rejected,
        "the endpoint does not know the operation",
        NO_OPERATION,
        PAGE,
    ),
    row(
        ACS,
        "InvalidApi*",
        Some(404),
        Rejected,
        "the endpoint does not know the operation",
        NO_OPERATION,
        PAGE,
    ),
    row(
        ACS,
        "InvalidVersion*",
        None,
        Rejected,
        "the endpoint does not know the API's version",
        NO_OPERATION,
        PAGE,
    ),
    row(
        ACS,
        "InvalidProduct*",
        None,
        Rejected,
        "the endpoint does not know the service",
        NO_OPERATION,
        PAGE,
    ),
];

const fn row(
    services: &'static [Service],
    code: &'static str,
    status: Option<u16>,
    kind: ErrorKind,
    meaning: &'static str,
    advice: &'static str,
    source: &'static str,
) -> Code {
    Code {
        services,
        code,
        status,
        kind,
        pause: None,
        meaning,
        advice,
        source,
    }
}

/// What is known of a service's code; none of an unknown one.
pub fn find(service: Service, code: &str) -> Option<&'static Code> {
    let of_service = CODES.iter().filter(|known| known.services.contains(&service));
    let matching = of_service.filter(|known| known.matches(code));
    // A whole code has no star, and is as long as what it matches.
    matching.max_by_key(|known| known.code.trim_matches('*').len() * 2 + usize::from(!known.code.contains('*')))
}

impl Code {
    fn matches(&self, code: &str) -> bool {
        match (self.code.strip_suffix('*'), self.code.strip_prefix('*')) {
            (Some(start), _) => code.starts_with(start),
            (_, Some(end)) => code.ends_with(end),
            (None, None) => code == self.code,
        }
    }

    /// What the operator does about it, for people.
    pub fn retry(&self) -> &'static str {
        match self.kind {
            Throttled | Server if self.services == [Sls] => "the call is repeated",
            Throttled | Server => "the call is repeated; the purge in the next reconcile",
            Conflict => "the purge is repeated after 5 s, then with backoff",
            Forbidden | ClusterNotFound => "every hour, until the cause is fixed",
            Credentials if self.advice != CREDENTIALS => "with backoff",
            NotFound if self.services == [Sts] => "with backoff",
            Credentials => "once with other credentials, then with backoff",
            NotFound => "none: it is an answer",
            _ => "with backoff; the purge every hour",
        }
    }
}

#[cfg(test)]
mod tests;

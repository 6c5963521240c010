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
mod tests {
    use super::{super::classify::classify, *};

    /// A code that the row stands for.
    fn example(row: &Code) -> String {
        row.code
            .replace('*', if row.code.starts_with('*') { "Read" } else { "" })
    }

    #[test]
    fn every_row_is_found_and_decides_whatever_the_status() {
        for row in CODES {
            let code = example(row);
            for service in row.services {
                assert_eq!(
                    find(*service, &code),
                    Some(row),
                    "{service} {code}: two rows for one code"
                );
                for status in [row.status.unwrap_or(400), 400, 403, 404, 500] {
                    assert_eq!(
                        classify(*service, status, Some(&code), "", false),
                        row.kind,
                        "{service} {status} {code}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_row_says_what_it_means_and_where_that_is_from() {
        for row in CODES {
            let Code {
                meaning,
                advice,
                source,
                ..
            } = row;
            assert!(
                !row.services.is_empty() && !meaning.is_empty() && !meaning.ends_with('.'),
                "{row:?}"
            );
            assert!(advice.is_empty() || advice.ends_with('.'), "{row:?}");
            assert!([PAGE, SDK, PROVIDER, SEEN, LISTS].contains(source), "{row:?}");
            // Of these, nothing changes until a person does something.
            assert!(
                !matches!(row.kind, Forbidden | ClusterNotFound) || !advice.is_empty(),
                "{row:?}"
            );
            assert!(row.pause.is_none() || row.kind == Conflict, "{row:?}");
        }
    }

    #[test]
    fn a_whole_code_comes_before_a_pattern_and_a_code_belongs_to_its_service() {
        let code = |service, code| find(service, code).map(|row| row.code);
        assert_eq!(
            code(Sts, "AuthenticationFail.NoPermission"),
            Some("AuthenticationFail.NoPermission")
        );
        assert_eq!(
            code(Sts, "AuthenticationFail.OIDCToken.Expired"),
            Some("AuthenticationFail*")
        );
        assert_eq!(code(Ack, "Throttling.User"), Some("Throttling*"));
        assert_eq!(code(Ack, "ForbiddenGrantPermissions"), Some("Forbidden*"));
        assert_eq!(
            code(Ack, "ErrorQueryClusterNamespace"),
            Some("ErrorQueryClusterNamespace")
        );
        assert_eq!(code(Sls, "ShardReadQuotaExceed"), Some("*QuotaExceed"));
        for (service, unknown) in [
            (Ack, "ErrorClusterState2"),
            (Ack, "Unauthorized"),
            (Ack, "UserActiveRecently"),
            (Ram, "ErrAuthorizationConflict"),
            (Sls, "ErrorCheckAcl"),
            (Ack, ""),
        ] {
            assert_eq!(code(service, unknown), None, "{service} {unknown}");
        }
    }

    #[test]
    fn the_page_has_every_row_and_no_other() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cloud-errors.md");
        let page = std::fs::read_to_string(path).unwrap();
        let rows = |text: &str| -> Vec<String> {
            text.lines()
                .filter(|line| line.starts_with("| ") && !line.starts_with("| Service"))
                .map(str::to_owned)
                .collect()
        };
        let right: Vec<String> = CODES.iter().map(documented).collect();
        let found = rows(&page);
        assert!(
            found == right,
            "the table of docs/cloud-errors.md must be:\n{}",
            right.join("\n")
        );
    }

    fn documented(row: &Code) -> String {
        let services: Vec<String> = row.services.iter().map(Service::to_string).collect();
        let services = if row.services.len() == EVERY.len() {
            "all".to_owned()
        } else {
            services.join(", ")
        };
        let status = row.status.map(|status| status.to_string()).unwrap_or_default();
        let Code {
            code,
            meaning,
            advice,
            source,
            ..
        } = row;
        let advice = if advice.is_empty() { "–" } else { *advice };
        let (kind, retry) = (row.kind.as_str(), row.retry());
        format!("| {services} | `{code}` | {status} | {kind} | {retry} | {meaning} | {advice} | {source} |")
    }
}

//! The table of codes, a row each.

use super::{Code, Remedy};
use crate::service::{
    ErrorKind,
    Service::{self, *},
};
use std::time::Duration;

/// Alibaba Cloud's help pages: error codes, API pages, troubleshooting.
pub(super) const PAGE: &str = "help page";
/// The official SDKs or the official CLI.
pub(super) const SDK: &str = "SDK";
/// The official Terraform provider.
pub(super) const PROVIDER: &str = "Terraform provider";
/// Public code that talked to the service; Alibaba Cloud says nothing of it.
pub(super) const SEEN: &str = "seen in public code";
/// Lists by third parties; unverified.
pub(super) const LISTS: &str = "third-party lists, unverified";

const EVERY: &[Service] = &[Sts, Ims, Ram, Ack, Sls];
/// Those whose requests have a signature of the form ACS3.
const ACS: &[Service] = &[Sts, Ims, Ram, Ack];

/// A row: services, code, HTTP status, [`ErrorKind`], [`Remedy`], source, perhaps a pause in seconds, and the meaning.
macro_rules! rows {
    ($($services:expr, $code:literal, $status:expr, $kind:ident, $remedy:ident, $source:ident $(, pause $pause:literal)?
        => $meaning:literal;)*) => {
        &[$(Code {
            services: $services,
            code: $code,
            status: $status,
            kind: ErrorKind::$kind,
            pause: seconds(&[$($pause)?]),
            meaning: $meaning,
            remedy: Remedy::$remedy,
            source: $source,
        }),*]
    };
}

const fn seconds(given: &[u64]) -> Option<Duration> {
    match given {
        [seconds, ..] => Some(Duration::from_secs(*seconds)),
        [] => None,
    }
}

/// Every code that is known.
pub const CODES: &[Code] = rows! {
    // The purge, and whatever else changes permissions in ACK.
    &[Ack], "ErrAuthorizationConflict", None, Conflict, Nothing, PROVIDER, pause 5 => "ACK is changing permissions for another call at the same time";
    &[Ack], "ErrorCheckAcl", None, Forbidden, Permission, SEEN => "the caller may not do this";
    &[Ack], "StatusForbidden", Some(403), Forbidden, Permission, PAGE => "the caller's RAM policy or RBAC role does not allow it";
    &[Ack], "Forbidden*", None, Forbidden, Permission, PAGE => "the caller's RAM policy or RBAC role does not allow it";
    &[Ack], "APISERVER_403", None, Forbidden, ClusterRole, PAGE => "the cluster's API server did not allow it";
    &[Ack], "ErrorRamPolicyConfig", None, Rejected, UserPolicy, PAGE => "the user whose permissions are changed has no RAM policy for the cluster";
    &[Ack], "ErrorClusterNotFound", Some(404), ClusterNotFound, Cluster, PAGE => "ACK does not know the cluster";
    &[Ack], "ErrorQueryCluster", None, Server, Nothing, SEEN => "ACK failed to look the cluster up";
    &[Ack], "ErrorQueryClusterNamespace", None, Server, Nothing, PAGE => "ACK did not reach the cluster's API server";
    &[Ack], "APIServer.500", None, Server, Nothing, PAGE => "the cluster's API server failed ACK's request";
    &[Ack], "ErrorClusterState", Some(400), Rejected, ClusterState, LISTS => "the cluster's state does not allow it";
    // Users and roles.
    &[Ims, Ram], "EntityNotExist*", Some(404), NotFound, Nothing, PAGE => "RAM has no such user or role";
    &[Sts], "EntityNotExist*", Some(404), NotFound, Credentials, PAGE => "RAM does not have the role or its OIDC provider";
    ACS, "NoPermission*", Some(403), Forbidden, Permission, PAGE => "the caller's RAM policy does not allow it";
    &[Sts, Ims, Ram], "Forbidden*", Some(403), Forbidden, Permission, PAGE => "the caller's RAM policy does not allow it";
    // Logs.
    &[Sls], "ProjectNotExist", Some(404), NotFound, Nothing, PAGE => "SLS has no such project";
    &[Sls], "LogStoreNotExist", Some(404), NotFound, Nothing, PAGE => "the project has no such logstore";
    &[Sls], "IndexConfigNotExist", Some(404), NotFound, Nothing, PAGE => "the logstore has no index";
    // Also what SLS calls a key that it does not accept: the message tells (see `classify`).
    &[Sls], "Unauthorized", Some(401), Forbidden, Permission, PAGE => "the caller's RAM policy does not allow it";
    &[Sls], "*QuotaExceed", Some(403), Throttled, Nothing, PAGE => "more is read than the project or shard allows";
    &[Sls], "ParameterInvalid", Some(400), Rejected, Nothing, PAGE => "SLS rejected the query, or has no index for a field in it";
    &[Sls], "ServerBusy", Some(503), Server, Nothing, PAGE => "SLS is busy";
    &[Sls], "InternalServerError", Some(500), Server, Nothing, PAGE => "SLS failed";
    &[Sls], "RequestTimeout", Some(500), Server, Nothing, PAGE => "SLS did not finish in time";
    // Credentials.
    EVERY, "InvalidAccessKeyId*", None, Credentials, Credentials, PAGE => "the access key does not exist or is disabled";
    EVERY, "InvalidAccessKeySecret*", None, Credentials, Credentials, PAGE => "the access key's secret is wrong";
    EVERY, "InvalidSecurityToken*", None, Credentials, Credentials, PAGE => "the security token was rejected";
    EVERY, "MissingSecurityToken*", None, Credentials, Credentials, PAGE => "the access key is temporary and its token is missing";
    EVERY, "SecurityTokenExpired*", None, Credentials, Credentials, PAGE => "the security token has expired";
    ACS, "SignatureDoesNotMatch*", None, Credentials, Credentials, PAGE => "the access key's secret is wrong";
    &[Sls], "SignatureNotMatch*", Some(401), Credentials, Credentials, PAGE => "the access key's secret is wrong";
    ACS, "IncompleteSignature*", None, Credentials, Credentials, PAGE => "the access key's secret is wrong";
    ACS, "SignatureNonceUsed*", None, Credentials, Nothing, PAGE => "the request was sent twice";
    ACS, "InvalidTimeStamp*", Some(400), Credentials, Clock, PAGE => "the clocks differ";
    &[Sls], "RequestTimeExpired", Some(400), Credentials, Clock, PAGE => "the clocks differ";
    &[Sts], "AuthenticationFail.NoPermission", None, Forbidden, TrustPolicy, PAGE => "the role's trust policy does not allow the subject of the OIDC token";
    &[Sts], "AuthenticationFail*", None, Credentials, Credentials, PAGE => "STS rejected the OIDC token";
    // Any service.
    EVERY, "Throttling*", None, Throttled, Nothing, SDK => "too many calls; Terraform waits a minute after Throttling.User";
    EVERY, "ServiceUnavailable*", Some(503), Server, Nothing, PAGE => "the service is not available";
    EVERY, "InternalError*", Some(500), Server, Nothing, PAGE => "the service failed";
    ACS, "InvalidAction*", Some(404), Rejected, Endpoint, PAGE => "the endpoint does not know the operation";
    ACS, "InvalidApi*", Some(404), Rejected, Endpoint, PAGE => "the endpoint does not know the operation";
    ACS, "InvalidVersion*", None, Rejected, Endpoint, PAGE => "the endpoint does not know the API's version";
    ACS, "InvalidProduct*", None, Rejected, Endpoint, PAGE => "the endpoint does not know the service";
};

//! What a person has to look at when a call fails.

/// What a person has to look at when a call fails. Each program that calls has its own words for it: [`ApiError::remedy`](crate::ApiError::remedy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Nothing but the error itself: it passes, or it is an answer, or what it is about depends on the call.
    Nothing,
    /// The caller's RAM policy, which lacks the call's action.
    Permission,
    /// The caller's RAM policy, perhaps: HTTP 403 with a code that is not known. A proxy may have answered so, or the service for a reason
    /// of its own.
    PerhapsPermission,
    /// The caller's role in the cluster's RBAC.
    ClusterRole,
    /// The RAM policy of the user whose permissions are changed.
    UserPolicy,
    /// The trust policy of the role that is assumed.
    TrustPolicy,
    /// The cluster's ID and region, as the caller has them.
    Cluster,
    /// The state of the cluster.
    ClusterState,
    /// The credentials, which their service does not accept.
    Credentials,
    /// The source of the credentials, which gave none: no service was asked.
    CredentialsSource,
    /// The clock of the machine that calls: the services refuse requests that are more than 15 minutes off.
    Clock,
    /// The service's endpoint, which does not know the operation.
    Endpoint,
    /// The way to the service: nothing answered.
    Network,
    /// Who answers in the service's place: a proxy, or a wrong endpoint.
    WrongAnswerer,
    /// What uses up the client's own limit of calls.
    CallLimit,
}

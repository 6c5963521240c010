//! What ACK's audit policy keeps of a request. [source: ACK's pages about auditing in dedicated and registered clusters; for
//! managed clusters, the page has the same table without the policy's text]
//!
//! The rules by which the policy drops the chatter of nodes and controllers are left out: heartbeats are made of it.

/// How much of a request is in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// No record.
    None,
    /// Neither body.
    Metadata,
    /// The request's body.
    Request,
    /// Both bodies.
    RequestResponse,
}

impl Level {
    /// As in the field `level`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// The API groups of which bodies are kept, besides the core group.
const GROUPS: [&str; 13] = [
    "admissionregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "extensions",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "settings.k8s.io",
    "storage.k8s.io",
];

/// What is kept of a request for a resource of a group (`""` for the core group, and where there is no resource).
/// Sub-resources are as their resource: the tokens of `serviceaccounts/token` are in the log.
pub(crate) fn level(uri: &str, verb: &str, group: &str, resource: &str) -> Level {
    let unaudited = ["/healthz", "/version", "/swagger"];
    if unaudited.iter().any(|path| uri.starts_with(path)) || (group.is_empty() && resource == "events") {
        return Level::None;
    }
    let metadata = match (group, resource) {
        ("", "secrets" | "configmaps") | ("authentication.k8s.io", "tokenreviews") | (_, "") => true,
        ("", _) => false,
        _ => !GROUPS.contains(&group),
    };
    match verb {
        _ if metadata => Level::Metadata,
        "get" | "list" | "watch" => Level::Request,
        _ => Level::RequestResponse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_kept_as_the_policy_says() {
        const RBAC: &str = "rbac.authorization.k8s.io";
        for (verb, group, resource, expected) in [
            ("create", RBAC, "rolebindings", Level::RequestResponse),
            ("delete", RBAC, "clusterrolebindings", Level::RequestResponse),
            ("list", RBAC, "rolebindings", Level::Request),
            ("create", "", "serviceaccounts", Level::RequestResponse),
            ("create", "", "pods", Level::RequestResponse),
            ("get", "", "pods", Level::Request),
            ("create", "", "secrets", Level::Metadata),
            ("get", "", "configmaps", Level::Metadata),
            ("create", "authentication.k8s.io", "tokenreviews", Level::Metadata),
            (
                "create",
                "certificates.k8s.io",
                "certificatesigningrequests",
                Level::RequestResponse,
            ),
            (
                "create",
                "ramauthenticator.k8s.alibabacloud",
                "ramidentitymappings",
                Level::Metadata,
            ),
            ("update", "coordination.k8s.io", "leases", Level::Metadata),
            ("create", "", "events", Level::None),
            // Only those of the core group.
            ("create", "events.k8s.io", "events", Level::Metadata),
            ("get", "", "", Level::Metadata),
        ] {
            assert_eq!(
                level("/api/x", verb, group, resource),
                expected,
                "{verb} {group} {resource}"
            );
        }
        for uri in ["/healthz/ping", "/version", "/swagger.json"] {
            assert_eq!(level(uri, "get", "", ""), Level::None, "{uri}");
        }
    }
}

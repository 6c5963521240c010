//! What a request is for.

use std::collections::BTreeMap;

use super::calls::{Operation, Service};
use super::message::{Incoming, percent_decode};

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) operation: Operation,
    /// The service whose form errors take, also where the operation is unknown.
    pub(crate) service: Service,
    pub(crate) parameters: BTreeMap<String, String>,
}

/// The AccessKeyId in an Authorization header, or in the query, where the older signature has it.
pub(crate) fn access_key(request: &Incoming) -> Option<String> {
    if let ("", Some(key)) = (request.header("authorization"), request.query("AccessKeyId")) {
        return Some(key.to_owned());
    }
    if let Some((key, _)) = request
        .header("authorization")
        .strip_prefix("acs ")
        .and_then(|rest| rest.split_once(':'))
    {
        return Some(key.to_owned());
    }
    let (_, rest) = request.header("authorization").split_once("Credential=")?;
    rest.split([',', '/']).next().map(str::to_owned)
}

/// Finds out what a request is for.
pub(crate) fn target(request: &Incoming) -> Target {
    let segments: Vec<String> = request.path.split('/').skip(1).map(percent_decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if let [""] = segments[..] {
        return rpc_target(request);
    }
    if let ["logstores", ..] = segments[..] {
        return sls_target(request, &segments);
    }
    use Operation as O;
    let (operation, parameters) = match (request.method.as_str(), &segments[..]) {
        ("GET", ["clusters", cluster, "audit"]) => {
            (O::CsGetClusterAuditProject, vec![("cluster", (*cluster).to_owned())])
        }
        ("GET", ["users", uid, "kubeconfig", "states"]) => {
            (O::CsListUserKubeConfigStates, vec![("uid", (*uid).to_owned())])
        }
        ("GET", ["clusters", cluster, "kubeconfig", "states"]) => {
            let page = request.query("pageNumber").unwrap_or("1").to_owned();
            let parameters = vec![("cluster", (*cluster).to_owned()), ("pageNumber", page)];
            (O::CsListClusterKubeconfigStates, parameters)
        }
        ("GET", ["k8s", cluster, "user_config"]) => {
            let asked = |name: &'static str| Some((name, request.query(name)?.to_owned()));
            let asked = ["PrivateIpAddress", "TemporaryDurationMinutes"]
                .into_iter()
                .filter_map(asked);
            let parameters = std::iter::once(("cluster", (*cluster).to_owned())).chain(asked);
            (O::CsDescribeClusterUserKubeconfig, parameters.collect())
        }
        ("GET", ["api", "v1", "clusters"]) => {
            let page = request.query("page_number").unwrap_or("1").to_owned();
            (O::CsDescribeClustersV1, vec![("page_number", page)])
        }
        ("GET", ["permissions", "users", uid]) => (O::CsDescribeUserPermission, vec![("uid", (*uid).to_owned())]),
        ("DELETE", ["cluster", cluster, "user", uid, "permissions"]) => {
            // The Python SDK sends True, the Go SDK true.
            let force = request.query("Force").unwrap_or("false").to_lowercase();
            let parameters = vec![
                ("cluster", (*cluster).to_owned()),
                ("uid", (*uid).to_owned()),
                ("force", force),
            ];
            (O::CsCleanClusterUserPermissions, parameters)
        }
        _ => (O::Unknown, Vec::new()),
    };
    // As with the real service, the action and version headers must be those of the path.
    let name = match operation {
        O::CsGetClusterAuditProject => "GetClusterAuditProject",
        O::CsListUserKubeConfigStates => "ListUserKubeConfigStates",
        O::CsDescribeUserPermission => "DescribeUserPermission",
        O::CsListClusterKubeconfigStates => "ListClusterKubeconfigStates",
        O::CsDescribeClusterUserKubeconfig => "DescribeClusterUserKubeconfig",
        O::CsDescribeClustersV1 => "DescribeClustersV1",
        _ => "CleanClusterUserPermissions",
    };
    let fits = request.header("x-acs-action") == name && request.header("x-acs-version") == "2015-12-15";
    let operation = if fits { operation } else { O::Unknown };
    Target {
        operation,
        service: Service::Cs,
        parameters: owned(parameters),
    }
}

/// The RPC services share the path `/`; the version tells them apart.
fn rpc_target(request: &Incoming) -> Target {
    let all = request.parameters();
    // The legacy form has them among the parameters.
    let header_or = |header: &str, parameter: &str| match request.header(header) {
        "" => all.get(parameter).map_or("", String::as_str).to_owned(),
        value => value.to_owned(),
    };
    let (action, version) = (
        header_or("x-acs-action", "Action"),
        header_or("x-acs-version", "Version"),
    );
    let service = match version.as_str() {
        "2015-04-01" => Service::Sts,
        "2019-08-15" => Service::Ims,
        "2015-05-01" => Service::Ram,
        _ => Service::None,
    };
    use Operation as O;
    let operation = match (service, action.as_str()) {
        (Service::Sts, "GetCallerIdentity") => O::StsGetCallerIdentity,
        (Service::Sts, "AssumeRoleWithOIDC") => O::StsAssumeRoleWithOidc,
        (Service::Ims, "GetUser") => O::ImsGetUser,
        (Service::Ims, "GetUserInRecycleBin") => O::ImsGetUserInRecycleBin,
        (Service::Ims, "ListUsers") => O::ImsListUsers,
        (Service::Ims, "ListUsersInRecycleBin") => O::ImsListUsersInRecycleBin,
        (Service::Ram, "ListRoles") => O::RamListRoles,
        (Service::Ram, "ListUsers") => O::RamListUsers,
        (Service::Ram, "GetUser") => O::RamGetUser,
        (Service::Ram, "GetRole") => O::RamGetRole,
        _ => O::Unknown,
    };
    let shown = [
        "UserId",
        "UserPrincipalName",
        "UserName",
        "RoleName",
        "Status",
        "Marker",
        "MaxItems",
        "RoleArn",
        "OIDCProviderArn",
        "RoleSessionName",
        "DurationSeconds",
    ];
    let parameters = all
        .into_iter()
        .filter(|(name, _)| shown.contains(&name.as_str()))
        .collect();
    Target {
        operation,
        service,
        parameters,
    }
}

/// SLS: the project is the first label of the host.
fn sls_target(request: &Incoming, segments: &[&str]) -> Target {
    use Operation as O;
    let operation = match (request.method.as_str(), segments) {
        ("POST", ["logstores", _, "logs"]) => O::SlsGetLogsV2,
        // The API 2020-12-30 documents the first, the log SDKs send the second.
        ("GET", ["logstores", _, "index"] | ["logstores", _]) if request.query("type") == Some("histogram") => {
            O::SlsGetHistograms
        }
        ("GET", ["logstores", _, "index"]) => O::SlsGetIndex,
        ("GET", ["logstores", _]) if request.query("type").is_none() => O::SlsGetLogStore,
        _ => O::Unknown,
    };
    let project = request.header("host").split('.').next().unwrap_or("").to_owned();
    let logstore = segments.get(1).copied().unwrap_or("").to_owned();
    let mut parameters = vec![("project", project), ("logstore", logstore)];
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
    for name in ["query", "from", "to", "offset", "line", "reverse"] {
        let sent = match &body[name] {
            serde_json::Value::Null => request.query(name).map(str::to_owned),
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        parameters.extend(sent.map(|value| (name, value)));
    }
    Target {
        operation,
        service: Service::Sls,
        parameters: owned(parameters),
    }
}

fn owned(parameters: Vec<(&str, String)>) -> BTreeMap<String, String> {
    parameters
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

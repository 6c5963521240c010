//! Stands in for Alibaba Cloud: a server on the loopback interface that gives each operation its recorded answer.

use super::api_server::{ApiServer, parameters};
use alibaba_cloud::{CloudSettings, CredentialsSource, EndpointOverrides, Environment, Timeouts};
use axum::{
    Router,
    body::to_bytes,
    extract::Request,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::net::TcpListener;

/// A status code and a body.
pub(super) type Answer = (u16, &'static str);

/// The answers of every case, unless it says otherwise: the leaver exists, made no request, and has a kubeconfig.
const USUAL: [(&str, Answer); 12] = [
    ("GetCallerIdentity", (200, include_str!("answers/sts-caller.json"))),
    ("GetUser", (200, include_str!("answers/ims-user.json"))),
    ("ListRoles", (200, include_str!("answers/ram-roles.json"))),
    (
        "GetClusterAuditProject",
        (200, include_str!("answers/cs-audit-project.json")),
    ),
    (
        "ListUserKubeConfigStates",
        (200, include_str!("answers/cs-kubeconfig-unexpired.json")),
    ),
    (
        "DescribeUserPermission",
        (200, include_str!("answers/cs-permissions.json")),
    ),
    (PURGE, (200, "")),
    ("GetLogStore", (200, include_str!("answers/sls-logstore.json"))),
    ("GetIndex", (200, include_str!("answers/sls-index.json"))),
    ("GetHistograms of the control plane", (200, "1")),
    ("GetHistograms", (200, "0")),
    ("GetLogsV2", (200, include_str!("answers/sls-logs-none.json"))),
];

/// The one operation with an effect.
const PURGE: &str = "CleanClusterUserPermissions";
/// What ACK says of the kubeconfig once it has accepted the purge.
const PURGED: Answer = (200, include_str!("answers/cs-kubeconfig-removed.json"));

/// The stand-in. Clones share the answers.
#[derive(Clone)]
pub(super) struct Cloud {
    answers: Arc<Mutex<BTreeMap<&'static str, Answer>>>,
    effects: ApiServer,
}

impl Cloud {
    /// With the usual answers; `effects` is told of a purge.
    pub(super) fn new(effects: ApiServer) -> Self {
        Cloud {
            answers: Arc::new(Mutex::new(BTreeMap::from(USUAL))),
            effects,
        }
    }

    /// Another answer for an operation.
    pub(super) fn answers(&self, operation: &'static str, answer: Answer) {
        self.answers.lock().unwrap().insert(operation, answer);
    }

    /// Serves, for as long as the runtime lives; gives clients of it.
    pub(super) async fn connect(&self) -> alibaba_cloud::Cloud {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Some(format!("http://{}", listener.local_addr().unwrap()));
        let cloud = self.clone();
        let answer = move |request: Request| async move { cloud.answer(request).await };
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        // Fails if another test was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = CloudSettings {
            endpoints: EndpointOverrides {
                sts: url.clone(),
                ims: url.clone(),
                ram: url.clone(),
                ack: url.clone(),
                sls: url,
            },
            credentials: CredentialsSource::Env,
            environment: Environment::from_iter([
                ("ALIBABA_CLOUD_ACCESS_KEY_ID", "testak"),
                ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "testsecret"),
            ]),
            timeouts: Timeouts {
                first_delay: Duration::from_millis(1),
                ..Timeouts::default()
            },
            ..CloudSettings::new("cn-hangzhou")
        };
        alibaba_cloud::Cloud::connect(&settings, Arc::new(())).unwrap()
    }

    async fn answer(&self, request: Request) -> (StatusCode, String) {
        let (head, body) = request.into_parts();
        // Part of a request that is not read would break its connection.
        to_bytes(body, usize::MAX).await.unwrap();
        let parameters: BTreeMap<_, _> = parameters(head.uri.query().unwrap_or_default()).into_iter().collect();
        let operation = match head.headers.get("x-acs-action") {
            Some(action) => action.to_str().unwrap(),
            None => operation_of_sls(&head.method, head.uri.path(), &parameters),
        };
        let mut answers = self.answers.lock().unwrap();
        let Some(&(status, text)) = answers.get(operation) else {
            let body = json!({"code": "NoRecordedAnswer", "message": format!("add an answer for {operation}")});
            return (StatusCode::BAD_REQUEST, body.to_string());
        };
        if operation == PURGE && status == 200 {
            answers.insert("ListUserKubeConfigStates", PURGED);
            self.effects.note("purge");
        }
        let body = match operation.starts_with("GetHistograms") {
            true => histogram(&parameters, text.parse().unwrap()).to_string(),
            false => text.to_owned(),
        };
        (StatusCode::from_u16(status).unwrap(), body)
    }
}

/// SLS says in the path what is asked; only histograms are counts of one search or another.
fn operation_of_sls(method: &Method, path: &str, parameters: &BTreeMap<String, String>) -> &'static str {
    if method == Method::POST {
        return "GetLogsV2";
    }
    match parameters.get("query") {
        Some(query) if query.starts_with("user.username: system") => "GetHistograms of the control plane",
        Some(_) => "GetHistograms",
        None if path.ends_with("/index") => "GetIndex",
        None => "GetLogStore",
    }
}

/// So many records in each half hour of what is asked for.
fn histogram(parameters: &BTreeMap<String, String>, count: u64) -> Value {
    let second = |name: &str| parameters[name].parse::<i64>().unwrap();
    let (from, to) = (second("from"), second("to"));
    let bucket =
        |start: i64| json!({"from": start, "to": to.min(start + 1800), "count": count, "progress": "Complete"});
    (from..to).step_by(1800).map(bucket).collect()
}

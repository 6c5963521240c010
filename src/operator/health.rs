//! What the kubelet asks: `/healthz` (the process answers) and `/readyz` (it could do its work: it knows who is bound where, and Alibaba
//! Cloud accepts its credentials, and the admission policies are in force). A standby is as ready as the leader. And what Prometheus
//! asks: `/metrics`.
//!
//! Anybody in the cluster can reach the port, so what strangers can make it cost is bounded: connections are few and short, their
//! buffers small, and when there are too many, the oldest that has not asked anything makes room for the newest.

use super::{metrics, state_metrics::StateMetrics};
use crate::{
    offboarding::policies::{Failure, Proof},
    rbac::watch::BindingIndex,
};
use alibaba_cloud::CredentialsState;
use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tower::ServiceExt;

/// How many connections there may be: a kubelet and some Prometheus servers need a handful.
const MOST_CONNECTIONS: usize = 256;
/// How long the head of a request may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a connection may live, its one answer included.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(30);
/// For each connection; the least that hyper can do with.
const BUFFER: usize = 8 << 10;
/// The wait when a connection cannot be accepted: file descriptors may be used up.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Answers for as long as the process runs.
///
/// # Errors
/// None at present: a connection that cannot be accepted is waited for.
pub(super) async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    mut registry: Registry,
    observed: StateMetrics,
) -> std::io::Result<()> {
    registry.register_collector(Box::new(observed));
    let registry = Arc::new(registry);
    let app = Router::new()
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .with_state(readiness)
        .route("/metrics", get(move || async move { scrape(&registry) }));
    let mut open = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection to the health port");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        make_room(&mut open);
        open.push_back(Connection::begin(stream, app.clone()));
    }
}

struct Connection {
    /// Whether it asked something.
    asked: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Connection {
    /// One request, one answer: a connection that is kept for later is one that has to be paid for.
    fn begin(stream: TcpStream, app: Router) -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        let heard = asked.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            let app = app.clone();
            async move { app.oneshot(request.map(Body::new)).await as Result<Response, Infallible> }
        });
        let task = tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .max_buf_size(BUFFER)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // How it ends is the business of who asked.
            let _ = tokio::time::timeout(CONNECTION_PATIENCE, connection).await;
        });
        Connection { asked, task }
    }
}

/// Ends the oldest connection that has not asked anything, or else the oldest, when there are as many as there may be.
fn make_room(open: &mut VecDeque<Connection>) {
    if open.len() < MOST_CONNECTIONS {
        return;
    }
    open.retain(|connection| !connection.task.is_finished());
    if open.len() < MOST_CONNECTIONS {
        return;
    }
    let silent = open.iter().position(|one| !one.asked.load(Ordering::Relaxed));
    if let Some(oldest) = open.remove(silent.unwrap_or(0)) {
        oldest.task.abort();
    }
}

/// What `/readyz` is about.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    pub index: Arc<BindingIndex>,
    pub credentials: watch::Receiver<CredentialsState>,
    pub policies: watch::Receiver<Proof>,
}

/// A line each, in the form of the API server's own `/readyz?verbose`.
async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    let Readiness {
        index,
        credentials,
        policies,
    } = readiness;
    let index = match index.is_synced() {
        true => Ok(()),
        false => Err("the list of all bindings is not complete yet".to_owned()),
    };
    let credentials = match &*credentials.borrow() {
        CredentialsState::Usable => Ok(()),
        CredentialsState::Untried => Err("Alibaba Cloud has not accepted them yet".to_owned()),
        // Anybody in the cluster may ask: no account, no ARN.
        CredentialsState::Unusable(error) => {
            let what = error.code.as_deref().unwrap_or(error.kind.as_str());
            Err(format!("{} {}: {what} (see the log)", error.service, error.operation))
        }
    };
    let policies = match &*policies.borrow() {
        Proof::Proved => Ok(()),
        Proof::Untried => Err("not verified yet".to_owned()),
        // Anybody in the cluster may ask: which policy, and no more.
        Proof::Failed(Failure { policy, unclear, .. }) => {
            let is = if *unclear { "cannot be verified to be" } else { "is not" };
            Err(format!("{} {is} in force (see the log)", policy.name()))
        }
    };
    let status = match index.is_ok() && credentials.is_ok() && policies.is_ok() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let line = |name, outcome: Result<(), String>| match outcome {
        Ok(()) => format!("[+]{name} ok\n"),
        Err(why) => format!("[-]{name} failed: {why}\n"),
    };
    (
        status,
        line("index", index) + &line("credentials", credentials) + &line("policies", policies),
    )
}

fn scrape(registry: &Registry) -> Response {
    let kind = [(
        header::CONTENT_TYPE,
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    )];
    match metrics::encode(registry) {
        Ok(text) => (kind, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

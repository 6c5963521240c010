//! What the kubelet asks: `/healthz` (the process answers) and `/readyz` (it could do its work: it knows who is bound where, and Alibaba
//! Cloud accepts its credentials). A standby is as ready as the leader. And what Prometheus asks: `/metrics`.

use super::observed::Observed;
use crate::{
    alibaba::CredentialsState,
    metrics::{self, METRICS},
    rbac::watch::BindingIndex,
};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::{net::TcpListener, sync::watch};

/// Answers for as long as the process runs.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, readiness: Readiness, observed: Observed) -> std::io::Result<()> {
    let mut registry = METRICS.registry();
    registry.register_collector(Box::new(observed));
    let registry = Arc::new(registry);
    let app = Router::new()
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .with_state(readiness)
        .route("/metrics", get(move || async move { scrape(&registry) }));
    axum::serve(listener, app).await
}

/// What `/readyz` is about.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Who is bound where.
    pub index: Arc<BindingIndex>,
    /// Whether the credentials for Alibaba Cloud serve.
    pub credentials: watch::Receiver<CredentialsState>,
}

/// A line each, in the form of the API server's own `/readyz?verbose`.
async fn ready(State(Readiness { index, credentials }): State<Readiness>) -> (StatusCode, String) {
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
            Err(format!(
                "{} {}: {what} (the log says more)",
                error.service, error.operation
            ))
        }
    };
    let status = match index.is_ok() && credentials.is_ok() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let line = |name, outcome: Result<(), String>| match outcome {
        Ok(()) => format!("[+]{name} ok\n"),
        Err(why) => format!("[-]{name} failed: {why}\n"),
    };
    (status, line("index", index) + &line("credentials", credentials))
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

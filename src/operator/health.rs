//! What the kubelet asks: `/healthz` (the process answers) and `/readyz` (it knows who is bound where). A standby is as ready as
//! the leader. And what Prometheus asks: `/metrics`.

use super::observed::Observed;
use crate::{
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
use tokio::net::TcpListener;

/// Answers for as long as the process runs.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, index: Arc<BindingIndex>, observed: Observed) -> std::io::Result<()> {
    let mut registry = METRICS.registry();
    registry.register_collector(Box::new(observed));
    let registry = Arc::new(registry);
    let app = Router::new()
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .with_state(index)
        .route("/metrics", get(move || async move { scrape(&registry) }));
    axum::serve(listener, app).await
}

async fn ready(State(index): State<Arc<BindingIndex>>) -> (StatusCode, &'static str) {
    match index.is_synced() {
        true => (StatusCode::OK, "ok\n"),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the index of bindings is not complete yet\n",
        ),
    }
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

//! What the kubelet asks: `/healthz` (the process answers) and `/readyz` (it knows who is bound where). A standby is as ready as
//! the leader.

use crate::rbac::watch::BindingIndex;
use axum::{Router, extract::State, http::StatusCode, routing::get};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Answers for as long as the process runs.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: TcpListener, index: Arc<BindingIndex>) -> std::io::Result<()> {
    let app = Router::new()
        .route("/healthz", get("ok\n"))
        .route("/readyz", get(ready))
        .with_state(index);
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

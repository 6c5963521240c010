//! Three clients of the API server, with different patience.

use crate::request_id;
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{path::Path, time::Duration};
use tower::util::MapResponseLayer;

/// How long a request may wait for bytes: many times what a healthy API server takes.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The Lease must be renewed within seconds: what takes longer is tried anew.
const LEASE_TIMEOUT: Duration = Duration::from_secs(4);
const LEASE_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// One client for each kind of patience: a watch waits for minutes, a request must not.
#[derive(Clone)]
pub(crate) struct Clients {
    /// For watches: without a read timeout, as a quiet watch is silent; the watcher has its own.
    pub watch: Client,
    /// For everything else: bounded in time. It repeats nothing by itself: kube's default repeats every verb, DELETE
    /// and POST too, up to 15 times.
    pub request: Client,
    /// For the Lease: impatient, and with connections of its own, which the work of the others cannot hold up.
    pub lease: Client,
}

/// The API server cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    #[error("kubeconfig {path}: {source}")]
    Kubeconfig {
        path: String,
        source: kube::config::KubeconfigError,
    },
    #[error("--kubeconfig (ACK_OFFBOARDING_KUBECONFIG) is not set, and this is not a pod with a ServiceAccount: {0}")]
    InCluster(#[from] kube::config::InClusterError),
    #[error("cannot create the client for the API server: {0}")]
    Client(#[from] kube::Error),
}

/// Connects by the kubeconfig that was named, else by the pod's ServiceAccount. Nothing is inferred: neither
/// `KUBECONFIG` nor `~/.kube/config` nor kube's debug variables are looked at.
///
/// # Errors
/// When neither serves.
pub(crate) async fn connect(kubeconfig: Option<&Path>) -> Result<Clients, ClientsError> {
    let mut config = match kubeconfig {
        None => Config::incluster()?,
        Some(path) => {
            let failed = |source| ClientsError::Kubeconfig {
                path: path.display().to_string(),
                source,
            };
            let file = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(failed)?
        }
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.default_retry = false;
    config.read_timeout = None;
    let watch = Client::try_from(config.clone())?;
    config.read_timeout = Some(REQUEST_TIMEOUT);
    config.write_timeout = Some(REQUEST_TIMEOUT);
    // A connection that was idle in the pool must not count as a slow answer.
    config.reset_reader_on_write = true;
    let request = noting_requests(config.clone())?;
    config.connect_timeout = Some(LEASE_CONNECT_TIMEOUT);
    config.read_timeout = Some(LEASE_TIMEOUT);
    config.write_timeout = Some(LEASE_TIMEOUT);
    let lease = Client::try_from(config)?;
    Ok(Clients { watch, request, lease })
}

/// A client that tells [`request_id`] of each answer.
fn noting_requests(config: Config) -> Result<Client, kube::Error> {
    let note = MapResponseLayer::new(|answer: http::Response<_>| {
        let id = answer.headers().get("audit-id");
        request_id::answered(id.and_then(|id| id.to_str().ok()));
        answer
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&note).build())
}

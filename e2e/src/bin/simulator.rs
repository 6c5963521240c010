//! The cloud simulator as a process: `cargo simulator -- --seed e2e/seeds/example.yaml`.

use std::net::SocketAddr;
use std::path::PathBuf;

use ack_offboarding_e2e::simulator::{Options, Simulator, World};
use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Simulates the Alibaba Cloud operations that the operator calls. Prints one line of JSON with its addresses, then
/// serves until SIGINT or SIGTERM. Requests are logged to stderr with RUST_LOG=debug.
#[derive(Parser)]
struct Arguments {
    /// Where to serve http; a loopback address.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to serve https; a loopback address.
    #[arg(long)]
    tls: Option<SocketAddr>,
    /// Where to write the CA certificate of https (PEM), for SSL_CERT_FILE.
    #[arg(long, requires = "tls")]
    ca_out: Option<PathBuf>,
    /// A further host name or IP address of the https certificate; may be repeated.
    #[arg(long)]
    tls_name: Vec<String>,
    /// What the cloud knows at first: YAML or JSON.
    #[arg(long)]
    seed: PathBuf,
    /// The key set of the seed's OIDC providers, as the API server serves it under /openid/v1/jwks.
    #[arg(long)]
    jwks: Option<PathBuf>,
    /// An administrator's kubeconfig of the cluster: purges then delete bindings in it.
    #[arg(long, requires = "cluster_id")]
    kubeconfig: Option<PathBuf>,
    /// The cluster that --kubeconfig and --audit-log belong to.
    #[arg(long)]
    cluster_id: Option<String>,
    /// The API server's audit file, which fills the cluster's logstore.
    #[arg(long, requires = "cluster_id")]
    audit_log: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut world = World::from_file(&arguments.seed)?;
    if let Some(path) = &arguments.jwks {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let jwks: serde_json::Value = serde_json::from_str(&text).context("the key set is not JSON")?;
        world
            .oidc_providers
            .iter_mut()
            .for_each(|provider| provider.jwks = jwks.clone());
    }
    let simulator = Simulator::start(Options {
        beyond_loopback: false,
        world,
        http: arguments.listen,
        https: arguments.tls,
        ca_out: arguments.ca_out,
        tls_names: arguments.tls_name,
    })?;
    if let Some(cluster) = &arguments.cluster_id {
        if let Some(path) = &arguments.kubeconfig {
            simulator.attach_cluster(cluster, path);
        }
        if let Some(path) = &arguments.audit_log {
            simulator.follow_audit_log(cluster, path);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        println!(
            "{}",
            serde_json::json!({"http": simulator.url(), "https": simulator.https_url()})
        );
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        anyhow::Ok(())
    })
}

//! Starts everything, and works whenever this process leads, until it is told to stop.

use super::{
    clients::{self, Clients, ClientsError},
    controller::control,
    health::{self, Readiness},
    lease::Elector,
    metrics::Metrics,
    offboardings::Offboardings,
    settings::{RunArgs, SettingsError},
    state_metrics::StateMetrics,
};
use crate::{
    clock::Clock,
    offboarding::{
        policies::{Proof, Prover, QUICK_FOR},
        run::Run,
    },
    rbac::{permit::Leadership, watch::BindingIndex},
};
use alibaba_cloud::{Cloud, CredentialsState};
use kube::{Api, Client};
use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// How long a candidate waits for the first word on its credentials.
const FIRST_PROOF: Duration = Duration::from_secs(5);

/// The operator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Clients(#[from] ClientsError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The cloud's settings or credentials.
    #[error(transparent)]
    Cloud(#[from] alibaba_cloud::SettingsError),
    /// The index of bindings is no longer kept current.
    #[error("the watch of bindings ended; the process exits to be restarted")]
    Index,
    /// The address for /healthz, /readyz and /metrics.
    #[error("cannot listen on {address} (--listen, ACK_OFFBOARDING_LISTEN): {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    /// Nobody answers the kubelet any more.
    #[error("the server of /healthz ended; the process exits to be restarted")]
    Health,
    /// Nobody proves the credentials any more.
    #[error("the verification of the credentials ended; the process exits to be restarted")]
    Credentials,
    /// Nobody proves the admission policies any more.
    #[error("the verification of the admission policies ended; the process exits to be restarted")]
    Policies,
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// Runs the operator until it is told to stop by SIGTERM or SIGINT: the effects in hand are finished then, and no other is
/// started.
///
/// # Errors
/// When it cannot start.
pub async fn run(args: &RunArgs) -> Result<(), StartError> {
    let leadership = Leadership::default();
    stop_on_signal(leadership.clone())?;
    let index = Arc::new(BindingIndex::new(&args.barrier()));
    let Clients { watch, request, lease } = clients::connect(args.kubeconfig.as_deref()).await?;
    let metrics = Arc::new(Metrics::default());
    let cloud = Cloud::connect(&args.cloud()?, metrics.clone())?;
    let listening = TcpListener::bind(args.listen).await;
    let listener = listening.map_err(|source| StartError::Listen {
        address: args.listen,
        source,
    })?;
    tracing::info!(address = %listener.local_addr()?, "serving /healthz, /readyz and /metrics");
    let observed = StateMetrics::new(index.clone(), leadership.clone());
    let prover = Prover::new(
        args.policies(request.clone()),
        leadership.clone(),
        args.recheck_interval,
    );
    let readiness = Readiness {
        index: index.clone(),
        credentials: cloud.credentials_state(),
        policies: prover.proof(),
    };
    let mut health = tokio::spawn(health::serve(listener, readiness, metrics.registry(), observed.clone()));
    let mut proved = cloud.credentials_state();
    let mut proving = tokio::spawn({
        let cloud = cloud.clone();
        async move { cloud.prove_credentials().await }
    });
    let mut policies = prover.proof();
    let mut proving_policies = tokio::spawn(prover.clone().keep_proving());
    let began = tokio::time::Instant::now();
    let mut watching = tokio::spawn(index.clone().run(watch.clone()));
    let settings = args.complete(&request).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        cluster = settings.cluster_id,
        account = settings.account_id,
        "the operator starts"
    );
    let elector = args.leader_elect.then(|| {
        let api = Api::namespaced(lease, &settings.namespace);
        let credentials = cloud.credentials_state();
        let is_fit = move || *credentials.borrow() == CredentialsState::Usable;
        Elector::new(api, &args.lease_name, args.lease_duration, leadership.clone(), is_fit)
    });
    let run = Run::new(
        request,
        cloud,
        index.clone(),
        settings,
        Clock::system(),
        leadership.clone(),
        prover,
        metrics,
    );
    tokio::select! {
        () = index.synced() => {}
        () = leadership.stopping() => return Ok(()),
    }
    tracing::info!(bindings = index.len(), "the index is complete");
    // Whoever is not fit lets others lead: it is known by now, unless STS takes its time.
    let known = tokio::time::timeout(
        FIRST_PROOF,
        proved.wait_for(|state| *state != CredentialsState::Untried),
    );
    tokio::select! {
        _ = known => {}
        () = leadership.stopping() => return Ok(()),
    }
    // A policy takes a second to come into force. After half a minute the status of what waits says what is wrong.
    let known = tokio::time::timeout_at(began + QUICK_FOR, policies.wait_for(|proof| *proof == Proof::Proved));
    tokio::select! {
        _ = known => {}
        () = leadership.stopping() => return Ok(()),
    }
    tokio::select! {
        () = work(watch, run, args.concurrency, elector, observed) => {}
        // They end by a panic, or when the socket fails. Without the one, returned access would go unnoticed.
        _ = &mut watching => return Err(StartError::Index),
        _ = &mut health => return Err(StartError::Health),
        _ = &mut proving => return Err(StartError::Credentials),
        _ = &mut proving_policies => return Err(StartError::Policies),
    }
    tracing::info!("stopped");
    Ok(())
}

fn stop_on_signal(leadership: Leadership) -> Result<(), StartError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        tracing::info!("received a signal to stop");
        leadership.stop();
    });
    Ok(())
}

/// Works whenever this process leads, until it is told to stop.
async fn work(watch: Client, run: Run, concurrency: u16, elector: Option<Elector>, observed: StateMetrics) {
    let leadership = run.leadership.clone();
    let offboardings = Arc::new(Offboardings::new(Arc::new(run), observed));
    let Some(mut elector) = elector else {
        leadership.alone();
        return control(watch, offboardings, &leadership, concurrency).await;
    };
    while !leadership.is_stopping() {
        tokio::select! {
            () = elector.acquire() => {}
            () = leadership.stopping() => break,
        }
        let mut working = pin!(control(watch.clone(), offboardings.clone(), &leadership, concurrency));
        // Renewed until nothing is in hand any more.
        tokio::select! {
            () = &mut working => {}
            () = elector.keep() => working.await,
        }
        if !leadership.is_stopping() {
            tracing::warn!(
                "the Lease was not renewed in time, or another process took it; this process is now on standby"
            );
        }
    }
    elector.release().await;
}

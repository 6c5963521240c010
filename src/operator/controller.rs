//! Starts everything, and calls the flow whenever an object, or a binding of its UID, changes.

use super::{
    clients::{self, Clients, ClientsError},
    health::{self, Readiness},
    lease::Elector,
    metrics::Metrics,
    settings::{RunArgs, SettingsError},
    state_metrics::StateMetrics,
};
use crate::{
    api::UserOffboarding,
    clock::Clock,
    observer::Outcome,
    offboarding::{
        self,
        outcome::Blocked,
        policies::{Proof, Prover, QUICK_FOR},
        run::Run,
        watched::Watched,
    },
    rbac::{
        permit::Leadership,
        subject,
        watch::{BindingIndex, Change},
    },
};
use alibaba_cloud::{Cloud, CredentialsState, InvalidUid, Uid};
use futures::{StreamExt, stream};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        Controller, PredicateConfig, WatchStreamExt, controller,
        controller::Action,
        reflector,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::MissedTickBehavior,
};
use tracing::Instrument;

/// How long a candidate waits for the first word on its credentials.
const FIRST_PROOF: Duration = Duration::from_secs(5);

/// How often the index's lag is measured while this process leads; a metric that is a minute old is none the worse.
const MEASURE_LAG_EVERY: Duration = Duration::from_secs(60);

/// How long the generation of an object that does not change is remembered.
const REMEMBER_GENERATIONS: Duration = Duration::from_secs(365 * 86_400);

/// The operator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The API server.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// The operator's settings.
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
        /// The address.
        address: SocketAddr,
        /// Why not.
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
    /// Signals cannot be handled.
    #[error("cannot listen for signals: {0}")]
    Signals(#[from] std::io::Error),
}

/// A reconcile that could not report in the status.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error("cannot read UserOffboarding {name}: {source}")]
    Read { name: String, source: kube::Error },
    #[error("UserOffboarding {name}: {source}")]
    Uid { name: String, source: InvalidUid },
    #[error("UserOffboarding {name}: {}", blocked.message)]
    Report { name: String, blocked: Box<Blocked> },
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
    let context = Run::new(
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
        () = work(watch, Arc::new(context), args.concurrency, elector, observed) => {}
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
async fn work(watch: Client, context: Arc<Run>, concurrency: u16, elector: Option<Elector>, observed: StateMetrics) {
    let leadership = context.leadership.clone();
    let Some(mut elector) = elector else {
        leadership.alone();
        return control(watch, context, concurrency, observed).await;
    };
    while !leadership.is_stopping() {
        tokio::select! {
            () = elector.acquire() => {}
            () = leadership.stopping() => break,
        }
        let mut working = pin!(control(watch.clone(), context.clone(), concurrency, observed.clone()));
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

/// Changes with the spec, and when somebody takes the conditions away.
fn spec_and_conditions(object: &Watched) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    (object.meta().generation, object.has_lost_its_conditions()).hash(&mut hasher);
    Some(hasher.finish())
}

/// Reconciles until this process leads no longer, or is told to stop.
async fn control(watch: Client, context: Arc<Run>, concurrency: u16, observed: StateMetrics) {
    let (reader, writer) = reflector::store();
    observed.watch(Some(reader.clone()));
    let known = reader.clone();
    let objects = watcher(Api::<Watched>::all(watch), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        // The operator's own writes to the status are no reason to look again, however long ago the last edit was; conditions that somebody
        // took away are one.
        .predicate_filter(
            spec_and_conditions,
            PredicateConfig::default().ttl(REMEMBER_GENERATIONS),
        );
    let by_bindings = woken_by_bindings(context.bindings.index(), reader.clone());
    let by_turns = context.claims.turns().map(|name| ObjectRef::new(&name));
    let leadership = context.leadership.clone();
    let measured = context.clone();
    let working = Controller::for_stream(objects, reader)
        .with_config(controller::Config::default().concurrency(concurrency))
        .reconcile_on(stream::select(by_bindings, by_turns))
        .run(reconcile, error_policy, context)
        .for_each(|outcome| async move {
            match outcome {
                Ok((object, action)) => tracing::debug!(object = object.name, ?action, "reconciled"),
                // A requeue of an object that was deleted meanwhile.
                Err(controller::Error::ObjectNotFound(object)) => tracing::debug!(object = object.name, "is gone"),
                Err(error) => tracing::warn!(%error, "a reconcile failed; the operator retries automatically"),
            }
        });
    tokio::select! {
        () = working => {}
        () = each_minute(&measured, &known) => {}
        // No effect is in hand any more, and what still runs may do nothing: it is dropped. The controller's own graceful shutdown
        // never ends if it begins before the first list of objects is answered.
        () = leadership.ended() => {}
    }
    measured.observer.index_lag(None);
    observed.watch(None);
}

/// Measures the index's lag, and forgets objects that were deleted.
async fn each_minute(run: &Run, objects: &Store<Watched>) {
    let mut minutes = tokio::time::interval(MEASURE_LAG_EVERY);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        // Not after a while in which the process stood still: another one may lead by now.
        if run.leadership.until().is_some() {
            run.bindings.barrier().probe().await;
        }
        let alive = objects.state().iter().filter_map(|object| object.uid()).collect();
        run.forget_all_but(&alive);
    }
}

/// The objects whose UID's bindings changed.
fn woken_by_bindings(
    index: &BindingIndex,
    objects: Store<Watched>,
) -> impl futures::Stream<Item = ObjectRef<Watched>> + Send + use<> {
    index.changes().flat_map(move |change| {
        let concerned = |object: &Watched| match &change {
            Change::Everything => true,
            some => subject::uid_in_name(&object.spec.uid).is_some_and(|uid| some.concerns(uid)),
        };
        let woken = objects
            .state()
            .into_iter()
            .filter(|o| concerned(o))
            .map(|o| ObjectRef::from_obj(&*o));
        stream::iter(woken.collect::<Vec<_>>())
    })
}

async fn reconcile(watched: Arc<Watched>, run: Arc<Run>) -> Result<Action, ReconcileError> {
    let began = Instant::now();
    // Every line of the log that is about this offboarding bears its object and its UID.
    // At the highest level: also where only warnings are wanted.
    let span = tracing::error_span!("offboarding", object = watched.name_any(), uid = watched.spec.uid);
    let outcome = visit(&watched, &run).instrument(span).await;
    let counted = if outcome.is_ok() {
        Outcome::Reported
    } else {
        Outcome::Failed
    };
    run.observer.reconciled(counted, began.elapsed());
    outcome
}

async fn visit(watched: &Watched, run: &Run) -> Result<Action, ReconcileError> {
    let name = watched.name_any();
    let api: Api<UserOffboarding> = Api::all(run.client.clone());
    // Live, and not from the watch: decisions rest on the status, which the watch may not have seen yet.
    let object = api.get_opt(&name).await.map_err(|source| ReconcileError::Read {
        name: name.clone(),
        source,
    })?;
    let Some(object) = object.filter(|o| o.metadata.deletion_timestamp.is_none()) else {
        run.forget(&watched.uid().unwrap_or_default());
        return Ok(Action::await_change());
    };
    if let Some(wait) = run.paces.wait(&object.uid().unwrap_or_default()) {
        tracing::debug!(?wait, "reconciled too often; the next reconcile waits");
        return Ok(Action::requeue(wait));
    }
    let uid: Uid = object.spec.uid.parse().map_err(|source| ReconcileError::Uid {
        name: name.clone(),
        source,
    })?;
    let outcome = tokio::select! {
        outcome = offboarding::reconcile(run, object, uid) => outcome,
        // What waits for the cloud, say, need not be waited for: no effect is in hand, and none would be permitted.
        () = run.leadership.ended() => Ok(Action::await_change()),
    };
    outcome.map_err(|blocked| ReconcileError::Report {
        name,
        blocked: Box::new(blocked),
    })
}

#[allow(clippy::needless_pass_by_value)] // The signature that the controller wants.
fn error_policy(watched: Arc<Watched>, _error: &ReconcileError, run: Arc<Run>) -> Action {
    Action::requeue(run.retries.backoff(&watched.uid().unwrap_or_default()))
}

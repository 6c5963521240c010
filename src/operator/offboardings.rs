//! Reconciles UserOffboardings: when each is looked at, and what wakes it. What is done then is [`crate::offboarding`].

use super::{controller::Reconciler, state_metrics::StateMetrics};
use crate::{
    api::UserOffboarding,
    observer::Outcome,
    offboarding::{self, outcome::Blocked, run::Run, watched::Watched},
    rbac::{
        subject,
        watch::{BindingIndex, Change},
    },
};
use alibaba_cloud::{InvalidUid, Uid};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        controller::Action,
        reflector::{ObjectRef, Store},
    },
};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Instant,
};
use tracing::Instrument;

/// The reconciler of UserOffboardings.
pub(super) struct Offboardings {
    run: Arc<Run>,
    observed: StateMetrics,
}

/// A reconcile that could not report in the status.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReconcileError {
    #[error("cannot read UserOffboarding {name}: {source}")]
    Read { name: String, source: kube::Error },
    #[error("UserOffboarding {name}: {source}")]
    Uid { name: String, source: InvalidUid },
    #[error("UserOffboarding {name}: {}", blocked.message)]
    Report { name: String, blocked: Box<Blocked> },
}

/// For how long an object that was made only to show a plan is looked at.
const PLAN_FOR: SignedDuration = SignedDuration::from_mins(15);

fn is_old(object: &UserOffboarding, now: Timestamp) -> bool {
    let created = object.metadata.creation_timestamp.as_ref();
    created.is_none_or(|created| now.duration_since(created.0) > PLAN_FOR)
}

impl Offboardings {
    pub(super) fn new(run: Arc<Run>, observed: StateMetrics) -> Self {
        Offboardings { run, observed }
    }

    async fn visit(&self, watched: &Watched) -> Result<Action, ReconcileError> {
        let run = &*self.run;
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
        if object.is_plan() && is_old(&object, run.clock.now()) {
            return Ok(Action::await_change());
        }
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
}

impl Reconciler for Offboardings {
    type Object = Watched;
    type Error = ReconcileError;

    /// Changes with the spec, and when somebody takes the conditions away.
    fn version(object: &Watched) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        (object.meta().generation, object.has_lost_its_conditions()).hash(&mut hasher);
        Some(hasher.finish())
    }

    fn began(&self, known: &Store<Watched>) {
        self.observed.watch(Some(known.clone()));
    }

    fn woken(&self, known: &Store<Watched>) -> BoxStream<'static, ObjectRef<Watched>> {
        let by_bindings = woken_by_bindings(self.run.bindings.index(), known.clone());
        let by_turns = self.run.claims.turns().map(|name| ObjectRef::new(&name));
        stream::select(by_bindings, by_turns).boxed()
    }

    async fn reconcile(&self, watched: Arc<Watched>) -> Result<Action, ReconcileError> {
        let began = Instant::now();
        // Every line of the log that is about this offboarding bears its object and its UID.
        // At the highest level: also where only warnings are wanted.
        let span = tracing::error_span!("offboarding", object = watched.name_any(), uid = watched.spec.uid);
        let outcome = self.visit(&watched).instrument(span).await;
        let counted = if outcome.is_ok() {
            Outcome::Reported
        } else {
            Outcome::Failed
        };
        self.run.observer.reconciled(counted, began.elapsed());
        outcome
    }

    fn retry(&self, watched: &Watched) -> Action {
        Action::requeue(self.run.retries.backoff(&watched.uid().unwrap_or_default()))
    }

    async fn beside(&self, known: &Store<Watched>) {
        offboarding::authors::keep_asking(&self.run, known).await;
    }

    /// Measures the index's lag, and forgets objects that were deleted. A metric that is a minute old is none the worse.
    async fn tick(&self, known: &Store<Watched>) {
        // Not after a while in which the process stood still: another one may lead by now.
        if self.run.leadership.until().is_some() {
            self.run.bindings.barrier().probe().await;
        }
        let alive = known.state().iter().filter_map(|object| object.uid()).collect();
        self.run.forget_all_but(&alive);
    }

    fn ended(&self) {
        self.run.observer.index_lag(None);
        self.observed.watch(None);
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

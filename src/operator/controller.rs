//! Calls a reconciler whenever an object of its kind changes, or something wakes it, for as long as this process leads.

use crate::rbac::permit::Leadership;
use futures::{StreamExt, stream::BoxStream};
use kube::{
    Api, Client, Resource,
    runtime::{
        Controller, PredicateConfig, WatchStreamExt, controller,
        controller::Action,
        reflector,
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use std::{error::Error, fmt::Debug, sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;

/// How long the generation of an object that does not change is remembered.
const REMEMBER_GENERATIONS: Duration = Duration::from_secs(365 * 86_400);

/// How often a reconciler is given the time: a minute.
const TICK: Duration = Duration::from_secs(60);

/// What reconciles the objects of one cluster-scoped kind.
pub(super) trait Reconciler: Send + Sync + 'static {
    /// The objects, as the watch keeps them: no more of each than waking it needs.
    type Object: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static;
    /// A reconcile that could not report in the status.
    type Error: Error + Send + Sync + 'static;

    /// Changes when the object is to be looked at again. The operator's own writes to the status are no reason.
    fn version(object: &Self::Object) -> Option<u64>;

    /// The watch has begun; its objects are in `known`.
    fn began(&self, known: &Store<Self::Object>);

    /// What else wakes objects, from now on.
    fn woken(&self, known: &Store<Self::Object>) -> BoxStream<'static, ObjectRef<Self::Object>>;

    /// Looks at an object, and says when to look again.
    fn reconcile(&self, object: Arc<Self::Object>) -> impl Future<Output = Result<Action, Self::Error>> + Send;

    /// When to look again after a reconcile that failed.
    fn retry(&self, object: &Self::Object) -> Action;

    /// What else it does for as long as it reconciles. Never ends by itself.
    fn beside(&self, _known: &Store<Self::Object>) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    fn tick(&self, known: &Store<Self::Object>) -> impl Future<Output = ()> + Send;

    fn ended(&self);
}

/// Reconciles until this process leads no longer, or is told to stop.
pub(super) async fn control<R: Reconciler>(
    watch: Client,
    reconciler: Arc<R>,
    leadership: &Leadership,
    concurrency: u16,
) {
    let (known, writer) = reflector::store();
    reconciler.began(&known);
    let objects = watcher(Api::<R::Object>::all(watch), watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        // However long ago the last edit was.
        .predicate_filter(R::version, PredicateConfig::default().ttl(REMEMBER_GENERATIONS));
    let woken = reconciler.woken(&known);
    let working = Controller::for_stream(objects, known.clone())
        .with_config(controller::Config::default().concurrency(concurrency))
        .reconcile_on(woken)
        .run(reconcile::<R>, retry::<R>, reconciler.clone())
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
        () = ticks(&*reconciler, &known) => {}
        () = reconciler.beside(&known) => {}
        // No effect is in hand any more, and what still runs may do nothing: it is dropped. The controller's own graceful shutdown
        // never ends if it begins before the first list of objects is answered.
        () = leadership.ended() => {}
    }
    reconciler.ended();
}

async fn reconcile<R: Reconciler>(object: Arc<R::Object>, reconciler: Arc<R>) -> Result<Action, R::Error> {
    reconciler.reconcile(object).await
}

#[allow(clippy::needless_pass_by_value)] // The signature that the controller wants.
fn retry<R: Reconciler>(object: Arc<R::Object>, _error: &R::Error, reconciler: Arc<R>) -> Action {
    reconciler.retry(&object)
}

async fn ticks<R: Reconciler>(reconciler: &R, known: &Store<R::Object>) {
    let mut minutes = tokio::time::interval(TICK);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        reconciler.tick(known).await;
    }
}

//! Reads that are known to be current.
//!
//! Two watches give no common order, and their bookmarks come once a minute. So a nonce is written into an annotation
//! of one binding of each kind (the barrier): when the index's watch delivers the nonce, it has delivered everything
//! that the API server stored before. It takes a few milliseconds at any size of cluster. Where the barrier is not
//! installed, or does not come within a second, live lists take its place.

use super::{
    barrier_bindings::{BarrierNames, NONCE_ANNOTATION},
    binding::{BindingKey, BindingKind},
    index::{Half, Kept},
    subject::Match,
    watch::{self, BindingIndex},
};
use crate::observer::Observer;
use alibaba_cloud::Uid;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Mutex;

/// How long the barrier may take before live lists take its place.
const PATIENCE: Duration = Duration::from_secs(1);

/// Answers that hold for the moment of the question, not for some moment before it.
pub struct Barrier {
    client: Client,
    index: Arc<BindingIndex>,
    names: BarrierNames,
    observer: Arc<dyn Observer>,
    passes: Shared<Instant>,
    lists: Shared<Arc<([Half; 2], Instant)>>,
}

/// What a read found that is known to be current.
#[derive(Clone, Debug)]
pub struct Current {
    /// The bindings, in the order of their keys, each once.
    pub keys: Vec<BindingKey>,
    /// When the read completed. Several readers may share one, which began after each of them asked.
    pub completed: Instant,
}

/// Why the barrier did not serve.
#[derive(Debug, thiserror::Error)]
enum BarrierError {
    #[error("patching the barrier bindings failed: {0}")]
    Patch(#[source] kube::Error),
    #[error("the operating system provided no random number: {0}")]
    Random(#[from] getrandom::Error),
    #[error("patching the barrier bindings took longer than {PATIENCE:?}")]
    NotWritten,
    #[error("the watch did not deliver the barrier within {PATIENCE:?}")]
    TooSlow,
}

impl Barrier {
    /// A barrier over `index`; `client` is the one for requests.
    pub fn new(client: Client, index: Arc<BindingIndex>, names: BarrierNames, observer: Arc<dyn Observer>) -> Self {
        Barrier {
            client,
            index,
            names,
            observer,
            passes: Shared::default(),
            lists: Shared::default(),
        }
    }

    /// The bindings that bear `uid` in a subject that relates to it as `relation` says, no older than this call.
    ///
    /// # Errors
    /// When neither the barrier nor live lists could be had.
    pub async fn find(&self, uid: Uid, relation: Match) -> Result<Vec<BindingKey>, kube::Error> {
        Ok(self.current(uid, &[relation]).await?.keys)
    }

    /// The bindings that bear `uid` in a subject that relates to it in one of these ways, all by one pass, and when it completed.
    ///
    /// # Errors
    /// When neither the barrier nor live lists could be had.
    pub async fn current(&self, uid: Uid, relations: &[Match]) -> Result<Current, kube::Error> {
        let began = Instant::now();
        let in_half = |find: &dyn Fn(Match) -> Vec<BindingKey>, completed| {
            let mut keys: Vec<_> = relations.iter().flat_map(|relation| find(*relation)).collect();
            keys.sort_unstable();
            keys.dedup();
            Current { keys, completed }
        };
        match self.passes.run(|| self.pass()).await {
            Ok(completed) => {
                self.observer.barrier_passed(began.elapsed());
                Ok(in_half(&|relation| self.index.find(uid, relation), completed))
            }
            Err(error) => {
                self.observer.barrier_failed();
                tracing::warn!(%error, "the barrier failed; listing all bindings instead");
                let list = || async {
                    let halves = watch::list_live(&self.client).await?;
                    Ok::<_, kube::Error>(Arc::new((halves, Instant::now())))
                };
                let lists = self.lists.run(list).await?;
                let (halves, completed) = &*lists;
                let find = |relation| halves.iter().flat_map(|half| half.find(uid, relation)).collect();
                Ok(in_half(&find, *completed))
            }
        }
    }

    /// Calls `each` with every binding that bears a UID, and its kind, by one read no older than this call.
    ///
    /// # Errors
    /// When neither the barrier nor live lists could be had.
    pub async fn for_each(&self, mut each: impl FnMut(BindingKind, Kept<'_>)) -> Result<(), kube::Error> {
        let began = Instant::now();
        match self.passes.run(|| self.pass()).await {
            Ok(_) => {
                self.observer.barrier_passed(began.elapsed());
                self.index.for_each(each);
            }
            Err(error) => {
                self.observer.barrier_failed();
                tracing::warn!(%error, "the barrier failed; listing all bindings instead");
                let lists = watch::list_live(&self.client).await?;
                for (kind, half) in [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding]
                    .into_iter()
                    .zip(&lists)
                {
                    half.iter().for_each(|kept| each(kind, kept));
                }
            }
        }
        Ok(())
    }

    /// Measures how far the index is behind, while nobody asks anything of it.
    ///
    /// A watch that is silently dead would otherwise be noticed by the next reader only, and returned access not at all.
    pub async fn probe(&self) {
        match self.passes.run(|| self.pass()).await {
            Ok(_) => {}
            Err(error @ BarrierError::TooSlow) => tracing::warn!(%error, "the index is behind the API server"),
            Err(error) => tracing::debug!(%error, "the lag of the index is unknown"),
        }
    }

    async fn pass(&self) -> Result<Instant, BarrierError> {
        let mut nonce = [0; 16];
        // Nobody must be able to write it before the operator does.
        getrandom::fill(&mut nonce)?;
        let nonce = hex::encode(nonce);
        let began = Instant::now();
        let written = tokio::time::timeout(PATIENCE, self.write(&nonce)).await;
        match written.unwrap_or(Err(BarrierError::NotWritten)) {
            Ok(()) => {}
            Err(error) => {
                self.observer.index_lag(None);
                return Err(error);
            }
        }
        let written = Instant::now();
        let seen = async {
            self.index.nonce_seen(BindingKind::ClusterRoleBinding, &nonce).await;
            self.index.nonce_seen(BindingKind::RoleBinding, &nonce).await;
        };
        let seen = tokio::time::timeout(PATIENCE.saturating_sub(began.elapsed()), seen).await;
        // At least so much, if it was not seen.
        self.observer
            .index_lag(Some(if seen.is_ok() { written.elapsed() } else { PATIENCE }));
        seen.map_err(|_| BarrierError::TooSlow)?;
        Ok(Instant::now())
    }

    async fn write(&self, nonce: &str) -> Result<(), BarrierError> {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { NONCE_ANNOTATION: nonce } } }));
        let params = PatchParams::default();
        let cluster: Api<ClusterRoleBinding> = Api::all(self.client.clone());
        let namespaced: Api<RoleBinding> = Api::namespaced(self.client.clone(), &self.names.namespace);
        tokio::try_join!(
            cluster.patch(&self.names.cluster_role_binding, &params, &patch),
            namespaced.patch(&self.names.role_binding, &params, &patch),
        )
        .map(drop)
        .map_err(BarrierError::Patch)
    }
}

/// One pass for all who wait for it: a caller takes the result of any pass that *started* after the call.
struct Shared<T> {
    started: AtomicU64,
    waiting: AtomicU64,
    last: Mutex<Option<(u64, T)>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared {
            started: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            last: Mutex::new(None),
        }
    }
}

impl<T: Clone> Shared<T> {
    async fn run<E>(&self, pass: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let before = self.started.load(Ordering::SeqCst);
        let waiting = Waiting::count(&self.waiting);
        let mut last = self.last.lock().await;
        let value = match &*last {
            Some((number, value)) if *number > before => value.clone(),
            _ => {
                let number = self.started.fetch_add(1, Ordering::SeqCst) + 1;
                let value = pass().await?;
                *last = Some((number, value.clone()));
                value
            }
        };
        if waiting.is_last() {
            // Nobody can use this result any more: who comes now needs a newer one.
            *last = None;
        }
        Ok(value)
    }
}

/// Counts one caller for as long as it lives, also when its future is dropped.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn count(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Waiting(counter)
    }

    fn is_last(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 1
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_pass_serves_those_who_came_before_it_started_and_nobody_else() {
        let shared = Arc::new(Shared::<u32>::default());
        let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let first = tokio::spawn({
            let (shared, entered, release) = (shared.clone(), entered.clone(), release.clone());
            async move {
                let pass = || async move {
                    entered.notify_one();
                    release.notified().await;
                    Ok::<_, Infallible>(1)
                };
                shared.run(pass).await
            }
        });
        entered.notified().await;
        // Both come while pass 1 runs: pass 1 may have read before they came, so pass 2 must serve them, once.
        let passes = Arc::new(AtomicU64::new(1));
        let late = (0..2).map(|_| {
            let (shared, passes) = (shared.clone(), passes.clone());
            tokio::spawn(async move {
                let pass = || async move { Ok::<_, Infallible>(passes.fetch_add(1, Ordering::SeqCst) as u32 + 1) };
                shared.run(pass).await
            })
        });
        let late: Vec<_> = late.collect();
        while shared.waiting.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        release.notify_one();
        assert_eq!(first.await.unwrap(), Ok(1));
        for task in late {
            assert_eq!(task.await.unwrap(), Ok(2));
        }
        assert!(
            shared.last.lock().await.is_none(),
            "the last one leaves nothing in memory"
        );
    }
}

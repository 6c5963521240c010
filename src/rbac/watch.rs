//! Keeps the index current: for each kind a list, then a watch that goes on where the list ended, folded into its half.
//!
//! Both are read object by object, and no object is kept as it came: kube's watcher holds pages and trees of them.

use super::{
    appearances::{Appearances, Noting},
    barrier_bindings::BarrierNames,
    binding::{BindingKey, BindingKind},
    index::{Borne, Half},
    list::{self, Listed},
    slim::SlimBinding,
    subject::{Match, RBAC_GROUP},
};
use alibaba_cloud::Uid;
use futures::{AsyncBufReadExt, Stream};
use kube::{Client, core::Status};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, watch};

/// How long the API server is asked to keep a watch: less than the five minutes after which proxies like to cut it.
const WATCH_SECONDS: u64 = 290;
/// How long nothing at all may come: the server should have ended the watch by then.
const WATCH_SILENCE: Duration = Duration::from_secs(WATCH_SECONDS + 10);
/// A watch that ends sooner than this, and delivered nothing, failed.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);
/// The wait after the first failure in a row, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(800), Duration::from_secs(30));
/// An event's buffer is kept for the next one up to this size.
const LARGEST_KEPT: usize = 64 << 10;

/// What the index tells those who wait for it.
#[derive(Clone, Debug)]
pub enum Change {
    /// The bindings that bear this UID may have changed.
    Uid(Uid),
    /// A binding that bears very many UIDs has changed, or one that did.
    Borne(Arc<Borne>),
    /// A full list was taken in: anything may have changed.
    Everything,
}

impl Change {
    /// Whether bindings that bear this UID may have changed.
    pub fn concerns(&self, uid: Uid) -> bool {
        match self {
            Change::Uid(one) => *one == uid,
            Change::Borne(borne) => borne.bears(uid),
            Change::Everything => true,
        }
    }
}

/// The index of both kinds, and what is known of its freshness.
#[derive(Debug)]
pub struct BindingIndex {
    cluster_role_bindings: Watched,
    role_bindings: Watched,
    changes: broadcast::Sender<Change>,
    noting: Arc<Noting>,
}

#[derive(Debug)]
struct Watched {
    /// The one binding whose nonce counts.
    barrier: Option<BindingKey>,
    half: RwLock<Half>,
    synced: watch::Sender<bool>,
    nonce: watch::Sender<Option<String>>,
}

impl Watched {
    fn new(kind: BindingKind, barrier: Option<BindingKey>) -> Self {
        Watched {
            barrier,
            half: RwLock::new(Half::new(kind)),
            synced: watch::Sender::new(false),
            nonce: watch::Sender::new(None),
        }
    }

    // A panic while the lock is held would be a bug of `Half`; its maps stay usable, so the lock does too.
    fn read(&self) -> RwLockReadGuard<'_, Half> {
        self.half.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> RwLockWriteGuard<'_, Half> {
        self.half.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for BindingIndex {
    /// An index without a barrier: no nonce counts.
    fn default() -> Self {
        BindingIndex::with(None, None)
    }
}

impl BindingIndex {
    /// An empty index; nonces count in these two bindings only.
    pub fn new(names: &BarrierNames) -> Self {
        let [cluster, namespaced] = names.keys();
        BindingIndex::with(Some(cluster), Some(namespaced))
    }

    fn with(cluster: Option<BindingKey>, namespaced: Option<BindingKey>) -> Self {
        BindingIndex {
            cluster_role_bindings: Watched::new(BindingKind::ClusterRoleBinding, cluster),
            role_bindings: Watched::new(BindingKind::RoleBinding, namespaced),
            changes: broadcast::Sender::new(4096),
            noting: Arc::default(),
        }
    }

    /// Keeps the index current until it is dropped. Errors of the watch are logged and tried again with backoff.
    pub async fn run(self: Arc<Self>, client: Client) {
        tokio::join!(
            self.follow(BindingKind::ClusterRoleBinding, client.clone()),
            self.follow(BindingKind::RoleBinding, client)
        );
    }

    /// Resolves once the first full list of both kinds is in.
    pub async fn synced(&self) {
        for watched in [&self.cluster_role_bindings, &self.role_bindings] {
            // The sender lives as long as `self`.
            let _ = watched.synced.subscribe().wait_for(|synced| *synced).await;
        }
    }

    /// Whether the first full list of both kinds is in.
    pub fn is_synced(&self) -> bool {
        [&self.cluster_role_bindings, &self.role_bindings]
            .iter()
            .all(|watched| *watched.synced.borrow())
    }

    /// The bindings that bear `uid` in a subject that relates to it as `relation` says, cluster-wide ones first.
    pub fn find(&self, uid: Uid, relation: Match) -> Vec<BindingKey> {
        let mut keys = self.cluster_role_bindings.read().find(uid, relation);
        keys.extend(self.role_bindings.read().find(uid, relation));
        keys
    }

    /// Notes the bindings that begin to bear `uid`, in whatever subject, from now on until the guard is dropped.
    pub fn appearances(&self, uid: Uid) -> Appearances {
        self.noting.begin(uid)
    }

    /// Calls `each` with every binding that is kept, and its kind. The index stands still meanwhile: be quick.
    pub fn for_each(&self, mut each: impl FnMut(BindingKind, super::index::Kept<'_>)) {
        for kind in [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding] {
            self.watched(kind).read().iter().for_each(|kept| each(kind, kept));
        }
    }

    /// How many bindings are kept.
    pub fn len(&self) -> usize {
        self.cluster_role_bindings.read().len() + self.role_bindings.read().len()
    }

    /// Whether no binding is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every change from now on. A reader that falls behind is told that everything may have changed.
    pub fn changes(&self) -> impl Stream<Item = Change> + use<> {
        let receiver = self.changes.subscribe();
        futures::stream::unfold(receiver, |mut receiver| async move {
            match receiver.recv().await {
                Ok(change) => Some((change, receiver)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((Change::Everything, receiver)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        })
    }

    /// Resolves when the watch of `kind` has delivered the barrier binding with this nonce: it has then delivered all
    /// that the API server stored before.
    pub async fn nonce_seen(&self, kind: BindingKind, nonce: &str) {
        let mut receiver = self.watched(kind).nonce.subscribe();
        let _ = receiver.wait_for(|seen| seen.as_deref() == Some(nonce)).await;
    }

    fn watched(&self, kind: BindingKind) -> &Watched {
        match kind {
            BindingKind::ClusterRoleBinding => &self.cluster_role_bindings,
            BindingKind::RoleBinding => &self.role_bindings,
        }
    }

    async fn follow(&self, kind: BindingKind, client: Client) {
        let mut failures = Failures::default();
        loop {
            match list_kind(&client, kind, self.watched(kind).barrier.as_ref()).await {
                Ok(listed) => {
                    let mut version = listed.resource_version;
                    self.take_in(kind, listed.value);
                    self.follow_from(kind, &client, &mut version, &mut failures).await;
                }
                Err(error) => {
                    tracing::warn!(kind = kind.as_str(), %error, "listing the bindings failed; the operator retries automatically");
                    failures.wait().await;
                }
            }
        }
    }

    /// Watches from `version` on, again and again, until that version is too old.
    async fn follow_from(&self, kind: BindingKind, client: &Client, version: &mut String, failures: &mut Failures) {
        loop {
            let began = Instant::now();
            let before = version.clone();
            let ended = self.watch(kind, client, version).await;
            if *version != before || began.elapsed() >= SHORTEST_WATCH && ended.is_ok() {
                failures.reset();
            }
            match ended {
                Ok(()) if failures.are_none() && began.elapsed() >= SHORTEST_WATCH => continue,
                Ok(()) => tracing::debug!(kind = kind.as_str(), "the watch of bindings ended immediately"),
                Err(error) => {
                    tracing::warn!(kind = kind.as_str(), %error, "the watch of bindings failed; the operator retries \
                     automatically");
                    if matches!(&error, kube::Error::Api(status) if status.code == 410) {
                        failures.wait().await;
                        return;
                    }
                }
            }
            failures.wait().await;
        }
    }

    /// One watch, until the API server ends it. `version` is that of the last event.
    async fn watch(&self, kind: BindingKind, client: &Client, version: &mut String) -> Result<(), kube::Error> {
        let path = format!(
            "/apis/{RBAC_GROUP}/v1/{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}",
            kind.plural()
        );
        // Newer API servers compress each event on its own, which the client's decoder does not understand.
        let request = http::Request::get(path).header(http::header::ACCEPT_ENCODING, "identity");
        let request = request.body(Vec::new()).map_err(kube::Error::HttpError)?;
        let body = client.request_stream(request).await?;
        let mut body = std::pin::pin!(body);
        let (mut scan, mut text) = (list::Value::default(), Vec::new());
        loop {
            let chunk = match list::chunk(&mut body, WATCH_SILENCE).await {
                Ok(chunk) => chunk,
                // What was read is in the index, and the next watch goes on there.
                Err(error) => return Err(kube::Error::ReadEvents(error)),
            };
            if chunk.is_empty() {
                return Ok(());
            }
            let mut rest = chunk;
            while let Some(first) = rest.first() {
                if text.is_empty() && first.is_ascii_whitespace() {
                    rest = rest.get(1..).unwrap_or_default();
                    continue;
                }
                let (length, ended) = scan.take(rest);
                let (taken, behind) = rest.split_at(length);
                text.extend_from_slice(taken);
                rest = behind;
                if ended {
                    self.event(kind, &text, version)?;
                    scan = list::Value::default();
                    text.clear();
                    text.shrink_to(LARGEST_KEPT);
                }
            }
            let length = chunk.len();
            body.consume_unpin(length);
        }
    }

    fn event(&self, kind: BindingKind, text: &[u8], version: &mut String) -> Result<(), kube::Error> {
        let event: Event<'_> = serde_json::from_slice(text).map_err(kube::Error::SerdeError)?;
        if event.type_ == "ERROR" {
            let status: Status = serde_json::from_str(event.object.get()).map_err(kube::Error::SerdeError)?;
            return Err(kube::Error::Api(status.boxed()));
        }
        let binding: SlimBinding = serde_json::from_str(event.object.get()).map_err(kube::Error::SerdeError)?;
        match &*event.type_ {
            "ADDED" | "MODIFIED" => self.apply(kind, &binding),
            "DELETED" => self.delete(kind, &binding),
            // BOOKMARK: only its version counts.
            _ => {}
        }
        if let Some(newer) = binding.resource_version {
            *version = newer;
        }
        Ok(())
    }

    fn take_in(&self, kind: BindingKind, staging: Staging) {
        let watched = self.watched(kind);
        let Staging { half: mut new, nonce } = staging;
        new.shrink();
        tracing::info!(kind = kind.as_str(), kept = new.len(), "the index contains a full list");
        let mut half = watched.write();
        self.noting.replaced(&half, &new);
        *half = new;
        drop(half);
        watched.synced.send_replace(true);
        if let Some(nonce) = nonce {
            watched.nonce.send_replace(Some(nonce));
        }
        self.tell(Change::Everything);
    }

    fn apply(&self, kind: BindingKind, binding: &SlimBinding) {
        let watched = self.watched(kind);
        let mut half = watched.write();
        let before = half.borne_under_key_of(binding);
        half.apply(binding);
        let after = half.borne_under_key_of(binding);
        let appeared = |uid: Uid| after.bears(uid) && !before.bears(uid);
        self.noting.appeared(appeared, || key_of(kind, binding));
        drop(half);
        self.tell_of(before, after);
        if let Some(nonce) = nonce_in(binding, watched.barrier.as_ref()) {
            watched.nonce.send_replace(Some(nonce.to_owned()));
        }
        tracing::debug!(
            kind = kind.as_str(),
            namespace = binding.namespace,
            name = binding.name,
            resource_version = binding.resource_version,
            "the index took in a binding"
        );
    }

    fn delete(&self, kind: BindingKind, binding: &SlimBinding) {
        let mut half = self.watched(kind).write();
        let before = half.borne_under_key_of(binding);
        half.remove(binding);
        drop(half);
        self.tell_of(before, Borne::default());
    }

    fn tell_of(&self, before: Borne, after: Borne) {
        let mut uids = Vec::new();
        for borne in [before, after] {
            match borne.crowd {
                Some(_) => self.tell(Change::Borne(Arc::new(borne))),
                None => uids.extend(borne.uids),
            }
        }
        uids.sort_unstable();
        uids.dedup();
        uids.into_iter().for_each(|uid| self.tell(Change::Uid(uid)));
    }

    fn tell(&self, change: Change) {
        // Without a listener there is nobody to tell.
        let _ = self.changes.send(change);
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", borrow)]
    type_: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Failures in a row, and the wait after each.
#[derive(Debug, Default)]
struct Failures(u32);

impl Failures {
    fn reset(&mut self) {
        self.0 = 0;
    }

    fn are_none(&self) -> bool {
        self.0 == 0
    }

    async fn wait(&mut self) {
        let (first, longest) = BACKOFF;
        let wait = first.saturating_mul(1 << self.0.min(10)).min(longest);
        self.0 = self.0.saturating_add(1);
        tokio::time::sleep(wait.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
    }
}

fn key_of(kind: BindingKind, binding: &SlimBinding) -> BindingKey {
    BindingKey {
        kind,
        namespace: binding.namespace.clone(),
        name: binding.name.clone(),
    }
}

/// The nonce, if the binding is the barrier's: anybody may write such an annotation into another one.
fn nonce_in<'a>(binding: &'a SlimBinding, barrier: Option<&BindingKey>) -> Option<&'a str> {
    let is_it = |b: &BindingKey| (&b.namespace, &b.name) == (&binding.namespace, &binding.name);
    binding.nonce.as_deref().filter(|_| barrier.is_some_and(is_it))
}

/// A full list that is being read: it takes the place of the half in one step when it is complete.
#[derive(Debug)]
struct Staging {
    half: Half,
    nonce: Option<String>,
}

impl Staging {
    fn apply(&mut self, binding: &SlimBinding, barrier: Option<&BindingKey>) {
        self.half.apply(binding);
        if let Some(nonce) = nonce_in(binding, barrier) {
            self.nonce = Some(nonce.to_owned());
        }
    }
}

async fn list_kind(
    client: &Client,
    kind: BindingKind,
    barrier: Option<&BindingKey>,
) -> Result<Listed<Staging>, kube::Error> {
    let path = format!("/apis/{RBAC_GROUP}/v1/{}", kind.plural());
    let new = || Staging {
        half: Half::new(kind),
        nonce: None,
    };
    list::fold(client, &path, new, |staging, binding: SlimBinding| {
        staging.apply(&binding, barrier)
    })
    .await
}

/// Lists all bindings of both kinds live into an index of its own.
///
/// # Errors
/// When a list cannot be had.
pub async fn list_live(client: &Client) -> Result<[Half; 2], kube::Error> {
    let cluster = list_kind(client, BindingKind::ClusterRoleBinding, None).await?;
    let namespaced = list_kind(client, BindingKind::RoleBinding, None).await?;
    Ok([cluster.value.half, namespaced.value.half])
}

#[cfg(test)]
mod tests;

//! Keeps the index current: one watch a kind, folded into its half.

use super::{
    binding::{BindingKey, BindingKind},
    index::Half,
    slim::SlimBinding,
    subject::{Match, UidKey},
};
use futures::{Stream, StreamExt, TryStreamExt};
use kube::{
    Api, Client, Resource,
    api::ListParams,
    runtime::{WatchStreamExt, watcher},
};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{broadcast, watch};

/// How many objects the API server is asked for at a time.
pub const PAGE_SIZE: u32 = 500;

/// What the index tells those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The bindings that bear this UID may have changed.
    Uid(UidKey),
    /// A full list was taken in: anything may have changed.
    Everything,
}

/// The index of both kinds, and what is known of its freshness.
#[derive(Debug)]
pub struct BindingIndex {
    cluster_role_bindings: Watched,
    role_bindings: Watched,
    changes: broadcast::Sender<Change>,
}

#[derive(Debug)]
struct Watched {
    half: RwLock<Half>,
    synced: watch::Sender<bool>,
    nonce: watch::Sender<Option<String>>,
}

impl Watched {
    fn new(kind: BindingKind) -> Self {
        Watched {
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
    fn default() -> Self {
        BindingIndex {
            cluster_role_bindings: Watched::new(BindingKind::ClusterRoleBinding),
            role_bindings: Watched::new(BindingKind::RoleBinding),
            changes: broadcast::Sender::new(4096),
        }
    }
}

impl BindingIndex {
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
    pub fn find(&self, uid: UidKey, relation: Match) -> Vec<BindingKey> {
        let mut keys = self.cluster_role_bindings.read().find(uid, relation);
        keys.extend(self.role_bindings.read().find(uid, relation));
        keys
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

    /// Resolves when the watch of `kind` has delivered the fence binding with this nonce: it has then delivered all
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
        let api = Api::<SlimBinding>::all_with(client, &kind);
        let config = watcher::Config {
            page_size: Some(PAGE_SIZE),
            ..watcher::Config::default()
        };
        let mut events = watcher(api, config).default_backoff().boxed();
        let mut staging = Staging::new(kind);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.fold(kind, &mut staging, event),
                Err(error) => {
                    tracing::warn!(kind = kind.as_str(), %error, "the watch of bindings failed; it is tried again")
                }
            }
        }
    }

    fn fold(&self, kind: BindingKind, staging: &mut Staging, event: watcher::Event<SlimBinding>) {
        let watched = self.watched(kind);
        match event {
            watcher::Event::Init => *staging = Staging::new(kind),
            watcher::Event::InitApply(binding) => staging.apply(&binding),
            watcher::Event::InitDone => {
                let mut done = std::mem::replace(staging, Staging::new(kind));
                done.half.shrink();
                tracing::info!(
                    kind = kind.as_str(),
                    kept = done.half.len(),
                    "the index holds a full list"
                );
                *watched.write() = done.half;
                watched.synced.send_replace(true);
                if let Some(nonce) = done.nonce {
                    watched.nonce.send_replace(Some(nonce));
                }
                self.tell(Change::Everything);
            }
            watcher::Event::Apply(binding) => {
                let mut half = watched.write();
                let mut touched = half.uids_under_key_of(&binding);
                half.apply(&binding);
                drop(half);
                touched.extend(binding.uids.iter().map(|(uid, _)| *uid));
                if let Some(nonce) = binding.nonce() {
                    watched.nonce.send_replace(Some(nonce.to_owned()));
                }
                let meta = binding.meta();
                tracing::debug!(
                    kind = kind.as_str(),
                    namespace = meta.namespace,
                    name = meta.name,
                    resource_version = meta.resource_version,
                    "the index took in a binding"
                );
                self.tell_of(touched);
            }
            watcher::Event::Delete(binding) => {
                let mut half = watched.write();
                let touched = half.uids_under_key_of(&binding);
                half.remove(&binding);
                drop(half);
                self.tell_of(touched);
            }
        }
    }

    fn tell_of(&self, mut uids: Vec<UidKey>) {
        uids.sort_unstable();
        uids.dedup();
        uids.into_iter().for_each(|uid| self.tell(Change::Uid(uid)));
    }

    fn tell(&self, change: Change) {
        // Without a listener there is nobody to tell.
        let _ = self.changes.send(change);
    }
}

/// A full list that is being read: it takes the place of the half in one step when it is complete.
#[derive(Debug)]
struct Staging {
    half: Half,
    nonce: Option<String>,
}

impl Staging {
    fn new(kind: BindingKind) -> Self {
        Staging {
            half: Half::new(kind),
            nonce: None,
        }
    }

    fn apply(&mut self, binding: &SlimBinding) {
        self.half.apply(binding);
        if let Some(nonce) = binding.nonce() {
            self.nonce = Some(nonce.to_owned());
        }
    }
}

/// Lists all bindings of both kinds live, a page at a time, into an index of its own.
///
/// # Errors
/// When a page cannot be had.
pub async fn list_live(client: &Client) -> Result<[Half; 2], kube::Error> {
    let list = async |kind| {
        let api = Api::<SlimBinding>::all_with(client.clone(), &kind);
        let mut half = Half::new(kind);
        let first = ListParams::default().limit(PAGE_SIZE);
        let pages = futures::stream::try_unfold(Some(first), |next| {
            let api = api.clone();
            async move {
                let Some(params) = next else {
                    return Ok::<_, kube::Error>(None);
                };
                let page = api.list(&params).await?;
                let token = page.metadata.continue_.clone().filter(|token| !token.is_empty());
                let next = token.map(|token| ListParams::default().limit(PAGE_SIZE).continue_token(&token));
                Ok(Some((page, next)))
            }
        });
        let mut pages = std::pin::pin!(pages);
        while let Some(page) = pages.try_next().await? {
            page.items.iter().for_each(|binding| half.apply(binding));
        }
        Ok::<_, kube::Error>(half)
    };
    Ok([
        list(BindingKind::ClusterRoleBinding).await?,
        list(BindingKind::RoleBinding).await?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn binding(name: &str, user: &str) -> SlimBinding {
        let subjects = json!([{"kind": "User", "name": user}]);
        serde_json::from_value(json!({"metadata": {"namespace": "n", "name": name}, "subjects": subjects})).unwrap()
    }

    #[tokio::test]
    async fn a_relist_is_seen_whole_or_not_at_all() {
        let index = BindingIndex::default();
        let kind = BindingKind::RoleBinding;
        let mut staging = Staging::new(kind);
        let mut changes = Box::pin(index.changes());
        let mut fold = |event| index.fold(kind, &mut staging, event);
        fold(watcher::Event::Init);
        fold(watcher::Event::InitApply(binding("a", "100")));
        fold(watcher::Event::InitDone);
        fold(watcher::Event::Init);
        fold(watcher::Event::InitApply(binding("b", "100")));
        assert_eq!(
            index.find(100, Match::User)[0].name,
            "a",
            "an unfinished list changes nothing"
        );
        fold(watcher::Event::InitDone);
        assert_eq!(
            index.find(100, Match::User)[0].name,
            "b",
            "what the new list lacks is gone"
        );
        fold(watcher::Event::Apply(binding("b", "200")));
        assert_eq!(changes.next().await, Some(Change::Everything));
        assert_eq!(changes.next().await, Some(Change::Everything));
        assert_eq!(
            changes.next().await,
            Some(Change::Uid(100)),
            "who lost a binding is told"
        );
        assert_eq!(changes.next().await, Some(Change::Uid(200)));
    }

    #[tokio::test]
    async fn a_nonce_counts_only_once_what_came_before_it_is_in_the_index() {
        let index = BindingIndex::default();
        let kind = BindingKind::RoleBinding;
        let fence: SlimBinding = serde_json::from_value(
            json!({"metadata": {"namespace": "n", "name": "fence", "annotations": {"ack-offboarding.io/fence": "n1"}}}),
        )
        .unwrap();
        let mut staging = Staging::new(kind);
        index.fold(kind, &mut staging, watcher::Event::Init);
        index.fold(kind, &mut staging, watcher::Event::InitApply(fence));
        assert_eq!(*index.role_bindings.nonce.borrow(), None);
        index.fold(kind, &mut staging, watcher::Event::InitDone);
        index.nonce_seen(kind, "n1").await;
    }
}

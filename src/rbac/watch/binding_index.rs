//! The index of both kinds: what is bound to whom, how fresh that is, and who is told of changes.

use super::full_list::{Staging, nonce_in};
use crate::rbac::{
    appearances::{Appearances, Noting},
    barrier_bindings::BarrierNames,
    binding::{BindingKey, BindingKind},
    index::{Borne, Half, Kept},
    slim::SlimBinding,
    subject::Match,
};
use alibaba_cloud::Uid;
use futures::Stream;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{broadcast, watch};

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
pub(super) struct Watched {
    /// The one binding whose nonce counts.
    pub(super) barrier: Option<BindingKey>,
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
    pub fn for_each(&self, mut each: impl FnMut(BindingKind, Kept<'_>)) {
        for kind in [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding] {
            self.watched(kind).read().iter().for_each(|kept| each(kind, kept));
        }
    }

    /// How many bindings are kept: those that bear a UID, not all of the cluster's.
    pub fn len(&self) -> usize {
        self.cluster_role_bindings.read().len() + self.role_bindings.read().len()
    }

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

    pub(super) fn watched(&self, kind: BindingKind) -> &Watched {
        match kind {
            BindingKind::ClusterRoleBinding => &self.cluster_role_bindings,
            BindingKind::RoleBinding => &self.role_bindings,
        }
    }

    pub(super) fn take_in(&self, kind: BindingKind, staging: Staging) {
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

    pub(super) fn apply(&self, kind: BindingKind, binding: &SlimBinding) {
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

    pub(super) fn delete(&self, kind: BindingKind, binding: &SlimBinding) {
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

fn key_of(kind: BindingKind, binding: &SlimBinding) -> BindingKey {
    BindingKey {
        kind,
        namespace: binding.namespace.clone(),
        name: binding.name.clone(),
    }
}

#[cfg(test)]
mod tests;

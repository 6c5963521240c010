//! The bindings that name an identity, by reads that are known to be current.

use crate::rbac::{
    BindingKey, LiveBinding, Match,
    barrier::Barrier,
    effects::{self, ReadError},
    subject::Leaver,
    watch::BindingIndex,
};
use alibaba_cloud::Uid;
use futures::{StreamExt, TryStreamExt};
use kube::Client;
use std::sync::Arc;

/// How many names of the leaver's subjects are kept in all: of a binding that has more than are kept, the search of the audit log knows.
pub(crate) const NAMES_AT_MOST: usize = 10_000;

/// How many bindings are read at a time for one identity.
pub(crate) const PARALLEL_READS: usize = 8;

/// How many bindings are read at a time, in all, whoever made them as large as they are.
const READS: usize = 6;

/// The RBAC bindings of the cluster.
pub struct Bindings {
    client: Client,
    index: Arc<BindingIndex>,
    barrier: Barrier,
    reads: tokio::sync::Semaphore,
}

/// Why it is not known what an identity is bound to.
#[derive(Debug)]
pub enum BindingsError {
    /// Nobody could say which bindings name it.
    List(kube::Error),
    /// One of them could not be read.
    Read(ReadError),
}

impl From<ReadError> for BindingsError {
    fn from(error: ReadError) -> Self {
        BindingsError::Read(error)
    }
}

/// What was found in the bindings.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that name the leaver.
    pub bindings: Vec<Arc<LiveBinding>>,
    /// The names that a person must decide on, each with a binding that holds it.
    pub undecided: Vec<(BindingKey, String)>,
    /// Bindings of which the API server returned something else, each with what that was.
    pub unread: Vec<String>,
}

impl Found {
    /// Takes a binding in; beyond [`NAMES_AT_MOST`], without its names.
    fn take(&mut self, mut binding: Arc<LiveBinding>) {
        let known: usize = self.bindings.iter().map(|b| b.names.len()).sum();
        if known + binding.names.len() > NAMES_AT_MOST {
            Arc::make_mut(&mut binding).names = Vec::new();
        }
        self.bindings.push(binding);
    }
}

impl Bindings {
    /// Reads by `client`; `barrier` is of the same index.
    pub fn new(client: Client, index: Arc<BindingIndex>, barrier: Barrier) -> Self {
        Bindings {
            client,
            index,
            barrier,
            reads: tokio::sync::Semaphore::new(READS),
        }
    }

    /// The index: what it says may be a moment old.
    pub fn index(&self) -> &Arc<BindingIndex> {
        &self.index
    }

    pub fn barrier(&self) -> &Barrier {
        &self.barrier
    }

    /// Which bindings bear the UID in one of these ways, by a read that is known to be current.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn listed(&self, uid: Uid, relations: &[Match]) -> Result<Vec<BindingKey>, kube::Error> {
        Ok(self.barrier.current(uid, relations).await?.keys)
    }

    /// Reads a binding, without its text.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn fetch(&self, key: &BindingKey, leaver: &Leaver) -> Result<Option<Arc<LiveBinding>>, ReadError> {
        // The semaphore is never closed.
        let _turn = self.reads.acquire().await.ok();
        let read = effects::fetch(&self.client, key, leaver).await?;
        Ok(read.map(|(binding, _)| Arc::new(binding)))
    }

    /// The bindings that name the leaver, by a read that is known to be current.
    ///
    /// # Errors
    /// When the API server does not answer. A binding that is none holds nothing up: see [`Found::unread`].
    pub async fn of(&self, leaver: &Leaver) -> Result<Found, BindingsError> {
        let listed = self.listed(leaver.uid(), &[Match::User, Match::OtherSuffix]).await;
        let keys = listed.map_err(BindingsError::List)?;
        let mut found = Found::default();
        let reads = futures::stream::iter(keys).map(|key| async move { self.fetch(&key, leaver).await });
        let mut reads = reads.buffered(PARALLEL_READS);
        while let Some(read) = reads.next().await {
            let binding = match read {
                Ok(Some(binding)) => binding,
                Ok(None) => continue,
                // It holds itself, and the others go.
                Err(ReadError::Malformed(error)) => {
                    found.unread.push(error.to_string());
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let names = binding.undecided.iter().cloned();
            found.undecided.extend(names.map(|name| (binding.key.clone(), name)));
            if binding.names_leaver() {
                found.take(binding);
            }
        }
        found.undecided.sort();
        found.undecided.dedup_by(|a, b| a.1 == b.1);
        Ok(found)
    }

    /// The bindings that bear the UID and stay, as the index knows them now: ACK's purge may take them.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn lookalikes(&self, leaver: &Leaver) -> Result<Vec<Arc<LiveBinding>>, ReadError> {
        let mut keys = self.index.find(leaver.uid(), Match::NameOnly);
        keys.extend(self.index.find(leaver.uid(), Match::OtherSuffix));
        keys.sort_unstable();
        keys.dedup();
        let found = self.read(leaver, keys).await?;
        Ok(found.into_iter().filter(|b| b.has_lookalike).collect())
    }

    /// Reads bindings, in the order of `keys`; those that are gone are left out.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn read(&self, leaver: &Leaver, keys: Vec<BindingKey>) -> Result<Vec<Arc<LiveBinding>>, ReadError> {
        let reads = futures::stream::iter(keys).map(|key| async move { self.fetch(&key, leaver).await });
        let found: Vec<_> = reads.buffered(PARALLEL_READS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }
}

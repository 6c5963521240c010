//! Clusters that the tests of one process take turns with: starting one takes 5 s and 400 MB, resetting one a fraction of that.

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{Cluster, Options, Signal};

/// What a test needs of its cluster; the pool keeps clusters of each kind apart.
pub type Needs = Options;

/// How long a cluster that was used before may take to say that it is ready, before it is replaced.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// At most so many clusters run at a time.
static SIZE: LazyLock<usize> = LazyLock::new(|| {
    let size = std::env::var("E2E_CLUSTERS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(3);
    size.max(1)
});

/// A permit for each cluster that may be leased. It works across the runtimes of different tests.
static PERMITS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(*SIZE));

/// Clusters that nobody has, the one that was returned first in front. Never more than there are permits to be had, plus the
/// one whose permit was just taken.
static IDLE: Mutex<VecDeque<Cluster>> = Mutex::new(VecDeque::new());

/// The use of a cluster, until it is dropped. Declare it before whatever uses the cluster, so that it is dropped after it.
pub struct Lease {
    /// `None` only while it is being dropped.
    cluster: Option<Cluster>,
    _permit: SemaphorePermit<'static>,
}

/// A cluster as good as new (see [`Cluster::reset`]), started if need be; waits while the pool's clusters are all in use.
///
/// There are at most `$E2E_CLUSTERS` of them, 3 by default. They end with the process.
///
/// Every one runs kube-controller-manager: what the garbage collector makes of a deletion belongs to its effects.
///
/// Errors: a new cluster does not start. One that was used before and cannot be reset is replaced.
pub async fn acquire(needs: Needs) -> anyhow::Result<Lease> {
    let needs = Needs {
        controller_manager: true,
        ..needs
    };
    let permit = PERMITS.acquire().await.context("the pool is closed")?;
    while let Some(cluster) = take_idle(needs) {
        match refresh(&cluster).await {
            Ok(()) => {
                return Ok(Lease {
                    cluster: Some(cluster),
                    _permit: permit,
                });
            }
            Err(error) => eprintln!("A cluster of the pool is replaced: {error:#}"),
        }
    }
    make_room();
    let cluster = Cluster::start(needs).await?;
    Ok(Lease {
        cluster: Some(cluster),
        _permit: permit,
    })
}

fn idle() -> MutexGuard<'static, VecDeque<Cluster>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn take_idle(needs: Needs) -> Option<Cluster> {
    let mut idle = idle();
    let position = idle.iter().position(|cluster| cluster.options() == needs)?;
    idle.remove(position)
}

/// Stops clusters of the other kind, so that there are never more than [`SIZE`], the one about to be started included.
fn make_room() {
    let mut idle = idle();
    // Those who hold a permit have a cluster or are about to: this caller is one of them.
    let leased = *SIZE - PERMITS.available_permits();
    while !idle.is_empty() && idle.len() + leased > *SIZE {
        // Waiting for the end of its processes takes milliseconds; meanwhile nobody should count it as gone.
        drop(idle.pop_front());
    }
}

async fn refresh(cluster: &Cluster) -> anyhow::Result<()> {
    let ready = timeout(READY_WITHIN, cluster.is_ready()).await.unwrap_or(false);
    anyhow::ensure!(ready, "its API server is not ready");
    cluster.reset().await
}

impl Deref for Lease {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster.as_ref().expect("it is there until the lease is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            // A test may have frozen it. If it has ended, the next one to take it will notice.
            let _ = cluster.apiserver().signal(Signal::CONT);
            idle().push_back(cluster);
        }
        // The permit is given back after this, so whoever gets it finds the cluster.
    }
}

//! What it takes to change something: the permit, the room in memory, the turns, and who is told.
//!
//! What only asks takes what it is about ([`Account`], [`AckCluster`], [`Bindings`], [`Backups`]); what changes something takes this.

use super::{
    claims::Claims, outcome::Interrupted, pace::Paces, policies::Prover, removals::Removals, retries::Retries,
    runs::RunLimit, settings::Settings,
};
use crate::{
    clock::Clock,
    observer::Observer,
    rbac::{
        barrier::Barrier,
        permit::{Leadership, Permit},
        watch::BindingIndex,
    },
    sources::{
        Account, AckCluster, Backups, Bindings,
        activity::audit_log::{AuditLog, Caller},
    },
};
use alibaba_cloud::Cloud;
use kube::Client;
use std::{collections::HashSet, sync::Arc};

/// How many bytes of bindings may be in memory at a time, as the API server sent them: each stands there a few times while it is
/// stored or changed.
const ROOM: usize = 2 << 20;

/// One process of the operator, as its effects see it.
pub struct Run {
    /// The client for requests: bounded in time, without retries of its own.
    pub client: Client,
    /// The account that the cluster belongs to.
    pub account: Account,
    pub cluster: AckCluster,
    pub bindings: Bindings,
    /// The operator's namespace.
    pub backups: Backups,
    pub settings: Settings,
    pub clock: Clock,
    /// Is told of what is done.
    pub observer: Arc<dyn Observer>,
    /// Whether this process may change anything.
    pub leadership: Leadership,
    /// Whether the admission policies are in force.
    pub prover: Prover,
    /// Which object works on which UID.
    pub claims: Arc<Claims>,
    pub retries: Retries,
    /// How often an object may be looked at.
    pub paces: Paces,
    pub removals: Removals,
    pub limit: RunLimit,
    room: tokio::sync::Semaphore,
}

impl Run {
    /// A process that remembers nothing yet.
    #[allow(
        clippy::too_many_arguments,
        reason = "each is something else, and there is one caller"
    )]
    pub fn new(
        client: Client,
        cloud: Cloud,
        index: Arc<BindingIndex>,
        settings: Settings,
        clock: Clock,
        leadership: Leadership,
        prover: Prover,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let barrier = Barrier::new(
            client.clone(),
            index.clone(),
            settings.barrier.clone(),
            observer.clone(),
        );
        let own = Caller::new(client.clone(), settings.barrier.cluster_role_binding.clone());
        let log = AuditLog::new(cloud.clone(), settings.cluster_id.clone(), Some(own));
        Run {
            account: Account::new(cloud.clone(), settings.account_id.clone()),
            cluster: AckCluster::new(cloud, settings.cluster_id.clone(), log),
            bindings: Bindings::new(client.clone(), index, barrier),
            backups: Backups::new(client.clone(), settings.namespace.clone()),
            claims: Arc::default(),
            retries: Retries::new(&settings),
            paces: Paces::new(settings.cloud_calls_per_minute),
            removals: Removals::new(clock.clone()),
            limit: RunLimit::new(settings.new_runs_per_hour),
            room: tokio::sync::Semaphore::new(ROOM),
            client,
            settings,
            clock,
            observer,
            leadership,
            prover,
        }
    }

    /// Room in memory for bindings of so many bytes, until it is dropped; one that is larger than all of it waits to be alone.
    pub async fn room_for(&self, bytes: usize) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let bytes = u32::try_from(bytes.min(ROOM)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.room.acquire_many(bytes).await.ok()
    }

    /// Permission for one effect, at this moment.
    ///
    /// # Errors
    /// [`Interrupted::Superseded`] if another process may lead, or this one is to stop; the hold if the admission policies are not proved to be
    /// in force.
    pub fn permit(&self) -> Result<Permit, Interrupted> {
        match self.leadership.permit() {
            Some(permit) => Ok(permit),
            None if self.leadership.is_proved() => Err(Interrupted::Superseded),
            None => Err(self.prover.blocked().into()),
        }
    }

    /// Forgets an object that is gone, by `metadata.uid`.
    pub fn forget(&self, object_uid: &str) {
        self.retries.forget(object_uid);
        self.paces.forget(object_uid);
        self.removals.forget(object_uid);
    }

    /// Forgets all objects but these: the deletion of one need not be seen.
    pub fn forget_all_but(&self, alive: &HashSet<String>) {
        self.retries.forget_all_but(alive);
        self.paces.forget_all_but(alive);
        self.removals.forget_all_but(alive);
    }
}

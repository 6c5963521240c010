//! Asks every source once. Bindings come first: who is created while the account is listed, and bound after that, is not missed in the
//! listings.

use super::{
    ack_opinion::AckOpinion,
    holdings::Holdings,
    known::{self, Offboardings},
    last_seen::LastSeen,
    listings::{self, Listings},
    trouble::Trouble,
};
use crate::{
    rbac::BindingKind,
    sources::{Account, AckCluster, Bindings, QueryError, activity},
};
use alibaba_cloud::error::ErrorKind;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use std::{sync::Arc, time::Duration};

/// How many bindings that name very many UIDs are read.
const CROWDS: usize = 100;

/// How long the audit log is waited for: its analysis may take a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where answers come from.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) client: &'a Client,
    pub(crate) account: &'a Account,
    pub(crate) cluster: &'a AckCluster,
    pub(crate) bindings: &'a Bindings,
}

/// All that was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) holdings: Holdings,
    pub(super) listings: Arc<Listings>,
    pub(super) ack: AckOpinion,
    pub(super) offboardings: Offboardings,
    pub(super) last_seen: LastSeen,
}

/// Asks.
///
/// # Errors
/// When a source that is needed does not answer, or is not whole. ACK's second opinion and the audit log are not needed.
pub(super) async fn gather(sources: Sources<'_>, now: Timestamp, days: u16) -> Result<Seen, Trouble> {
    let holdings = holdings(sources.bindings).await?;
    let (caller, everybody, ack, offboardings, last_seen) = tokio::join!(
        sources.account.caller(),
        sources.account.list_everybody(),
        ack_opinion(sources.cluster),
        known::list(sources.client),
        last_seen(sources.cluster, now, days, PATIENCE),
    );
    let listings = listings::whole(everybody?, &caller?, sources.account.id())?;
    Ok(Seen {
        holdings,
        listings: Arc::new(listings),
        ack: ack?,
        offboardings: offboardings?,
        last_seen,
    })
}

async fn holdings(bindings: &Bindings) -> Result<Holdings, Trouble> {
    let mut holdings = Holdings::default();
    bindings
        .barrier()
        .for_each(|kind, kept| holdings.take(kind, kept))
        .await?;
    let mut crowded = std::mem::take(&mut holdings.crowded);
    // Whoever may create bindings in one namespace must not keep everybody else out of sight: what is beyond is told, and the rest is shown.
    holdings.unread = crowded.len().saturating_sub(CROWDS);
    // One after the other: each may be large. Those of the whole cluster first.
    crowded.sort_by_key(|key| key.kind != BindingKind::ClusterRoleBinding);
    for key in crowded.into_iter().take(CROWDS) {
        // One that cannot be had by its own name may be there all the same: a name need not be text.
        match bindings.fetch_slim(&key).await? {
            Some(binding) if (&binding.namespace, &binding.name) == (&key.namespace, &key.name) => {
                holdings.take_read(&key, &binding);
            }
            _ => holdings.unread += 1,
        }
    }
    Ok(holdings)
}

/// A second opinion is not demanded; that the cluster does not exist is an opinion on everything.
pub(super) async fn ack_opinion(cluster: &AckCluster) -> Result<AckOpinion, Trouble> {
    match cluster.ack().list_cluster_kubeconfig_states(cluster.id()).await {
        Ok(states) => Ok(AckOpinion::of(states)),
        Err(error) if error.kind == ErrorKind::ClusterNotFound => Err(QueryError::from(error).into()),
        Err(error) => Ok(AckOpinion::Silent(error.to_string())),
    }
}

/// Nobody is called dormant without it; no scan waits for it for longer than `patience`.
pub(super) async fn last_seen(cluster: &AckCluster, now: Timestamp, days: u16, patience: Duration) -> LastSeen {
    let window = activity::window(now, days);
    let asked = activity::last_seen::last_seen(cluster.log(), window);
    match tokio::time::timeout(patience, asked).await {
        Ok(Ok(answer)) => LastSeen::Known {
            since: Timestamp::from_second(window.from).unwrap_or(Timestamp::UNIX_EPOCH),
            latest: answer.seen,
            doubt: answer.doubt.map(|doubt| doubt.message),
        },
        Ok(Err(doubt)) => LastSeen::NotAvailable(doubt.message),
        Err(_) => LastSeen::NotAvailable(format!("SLS did not answer within {} s", patience.as_secs())),
    }
}

//! Step 1: what is there. Gathers facts, and judges none of them.

use super::{
    cleared::{self, Cleared},
    facts::Facts,
    journal,
    outcome::Interrupted,
    peers::{Asked, Peer},
    run::Run,
    wanted,
};
use crate::{
    api::{IdentityState, ResolvedIdentityType, UserOffboarding, UserOffboardingStatus},
    rbac::subject::Leaver,
    sources::{bindings::Found, identity::Identity},
};
use alibaba_cloud::Uid;
use kube::ResourceExt;
use std::time::Instant;

/// Gathers the facts.
///
/// # Errors
/// When the API server cannot be asked. A cloud service that does not answer is a fact.
pub(super) async fn observe(run: &Run, object: &UserOffboarding, uid: Uid) -> Result<Facts, Interrupted> {
    let object_uid = object.uid().unwrap_or_default();
    let leaver = Leaver::new(uid, &object.spec.names.include, &object.spec.names.ignore);
    let status = object.status.clone().unwrap_or_default();
    let began = Instant::now();
    let (objects, caller, identity, kubeconfig, found, record, cleared) = tokio::join!(
        wanted::objects_for(&run.client, uid),
        run.account.caller(),
        run.account.look_up(uid),
        run.cluster.kubeconfig_state(uid),
        run.bindings.of(&leaver),
        journal::read(&run.backups, &object_uid, run.clock.now()),
        cleared::read(&run.backups, &status),
    );
    let Found {
        bindings,
        undecided,
        unread,
    } = found?;
    let objects = objects?;
    let metadata = wanted::of_concern(&objects, object.metadata.name.as_deref());
    // Edited, or gone, since it was read: what it asked for is void.
    let asked = Asked::by(uid, &object.metadata, metadata, began).ok_or(Interrupted::Superseded)?;
    let mut peers: Vec<Peer> = objects
        .iter()
        .filter_map(|object| object.peer(uid))
        .filter_map(|(of, peer)| (of != object_uid).then_some(peer))
        .collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut facts = Facts {
        now: run.clock.now(),
        uid,
        leaver,
        object_name: object.name_any(),
        object_uid,
        spec: super::peers::strictest(&object.spec, &peers),
        peers,
        asked,
        last_known: last_known(&status),
        returned_at: status
            .identity
            .as_ref()
            .and_then(|i| i.returned_at.as_ref())
            .map(|t| t.0),
        status,
        cluster_id: run.cluster.id().to_owned(),
        cluster_account: run.account.id().to_owned(),
        protected: run.settings.protected_uids.clone(),
        caller,
        identity,
        bindings,
        undecided,
        unread,
        barrier: run.settings.barrier.keys().into(),
        kubeconfig,
        record: record?,
        cleared: cleared?,
    };
    if came_back(&facts) {
        facts.returned_at = Some(facts.now);
        facts.cleared = Cleared::default();
    }
    if let (Ok(Identity::Nowhere { .. }), true, false, Some(name)) = (
        &facts.identity,
        facts.holds_nothing(),
        facts.did_something(),
        &facts.spec.expected_name,
    ) {
        facts.identity = run.account.owner_of_name(name, facts.spec.identity_type).await;
    }
    Ok(facts)
}

/// Who the UID was when RAM last knew it, as the status tells.
fn last_known(status: &UserOffboardingStatus) -> Option<(ResolvedIdentityType, Option<String>)> {
    let identity = status.identity.as_ref()?;
    match &identity.last_known {
        Some(known) => Some((known.type_, known.name.clone())),
        None if identity.type_ == ResolvedIdentityType::Unknown => None,
        None => Some((identity.type_, identity.name.clone())),
    }
}

/// Whether RAM has the identity again, after it had been gone.
fn came_back(facts: &Facts) -> bool {
    let was_gone = facts
        .status
        .identity
        .as_ref()
        .is_some_and(|identity| identity.state != IdentityState::Exists);
    was_gone && matches!(facts.identity, Ok(Identity::User { .. } | Identity::Role { .. }))
}

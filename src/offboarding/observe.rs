//! Step 1: what is there. Gathers facts, and judges none of them.

use super::{
    cleared::{self, Cleared},
    context::Context,
    identity::{self, Identity},
    journal::{self, Journal, NAMES_AT_MOST},
    outcome::{self, Interrupted, QueryError},
    peers::{Asked, Peer},
};
use crate::{
    api::{
        CertState, IdentityState, KubeconfigPolicy, Reason, ResolvedIdentityType, UserOffboarding, UserOffboardingSpec,
        UserOffboardingStatus,
    },
    rbac::{BindingKey, LiveBinding, Match, effects, subject::Leaver},
};
use alibaba_cloud::{
    Uid,
    ack::{self, KubeconfigState},
    sts::CallerIdentity,
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use std::{collections::BTreeSet, time::Instant};

/// How many bindings are read at a time.
pub const PARALLEL_READS: usize = 8;

/// Everything that the decisions rest on, as it was at `now`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When.
    pub now: Timestamp,
    /// The RAM identity.
    pub uid: Uid,
    /// The RAM identity, with the user names that are its own.
    pub leaver: Leaver,
    /// The UserOffboarding's name.
    pub object_name: String,
    /// The UserOffboarding's `metadata.uid`.
    pub object_uid: String,
    /// What is asked for; where other objects for the same UID are stricter, as strict as they are.
    pub spec: UserOffboardingSpec,
    /// The other objects for the same UID.
    pub peers: Vec<Peer>,
    /// The objects for the UID, in the versions that these facts rest on.
    pub asked: Asked,
    /// What was reported before.
    pub status: UserOffboardingStatus,
    /// The cluster.
    pub cluster_id: String,
    /// The account that the cluster belongs to.
    pub cluster_account: String,
    /// UIDs that the administrator protects.
    pub protected: Vec<String>,
    /// Whose credentials the operator uses.
    pub caller: Result<CallerIdentity, QueryError>,
    /// Who the UID is.
    pub identity: Result<Identity, QueryError>,
    /// What the UID was when RAM last knew it.
    pub last_known: Option<(ResolvedIdentityType, Option<String>)>,
    /// When it was found to exist again after it had been gone.
    pub returned_at: Option<Timestamp>,
    /// The bindings that name the UID.
    pub bindings: Vec<LiveBinding>,
    /// The names that a person must decide on, each with a binding that holds it.
    pub undecided: Vec<(BindingKey, String)>,
    /// Bindings of which the API server returned something else, each with what that was: they hold nothing up but the end.
    pub unread: Vec<String>,
    /// The operator's own barrier bindings.
    pub barrier: Vec<BindingKey>,
    /// The state of the kubeconfig that ACK issued.
    pub kubeconfig: Result<CertState, QueryError>,
    /// What was done already.
    pub record: Journal,
    /// What passed the checks of the current run.
    pub cleared: Cleared,
}

impl Facts {
    /// The names under which the identity is bound, or was, or may be: for the search of the audit log.
    pub fn names_in_use(&self) -> BTreeSet<&str> {
        let bound = self.bindings.iter().flat_map(|b| &b.names).map(String::as_str);
        let undecided = self.undecided.iter().map(|(_, name)| name.as_str());
        bound.chain(undecided).chain(self.record.names()).collect()
    }

    /// Whether ACK holds a kubeconfig that the spec wants purged, as far as ACK could be asked.
    pub fn kubeconfig_left(&self) -> bool {
        self.spec.kubeconfig == KubeconfigPolicy::Purge && self.kubeconfig.as_ref().is_ok_and(|state| is_left(*state))
    }

    /// Whether the UID holds nothing here that would be removed.
    pub fn holds_nothing(&self) -> bool {
        let no_kubeconfig = match &self.kubeconfig {
            _ if self.spec.kubeconfig == KubeconfigPolicy::Keep => true,
            Ok(state) => !is_left(*state),
            Err(_) => false,
        };
        self.bindings.is_empty() && no_kubeconfig
    }

    /// Whether the operator did anything for this object: as its backups tell, or, of a purge alone or where the backups are
    /// lost, its status.
    pub fn did_something(&self) -> bool {
        let purged = self.status.kubeconfig.as_ref().is_some_and(|k| k.purged_at.is_some());
        let removed = self.status.removed.is_some_and(|removed| removed.total > 0);
        !self.record.is_empty() || removed || purged || self.status.purge_requested_at.is_some()
    }

    /// What a message says of the effects so far, while something holds the run.
    pub fn so_far(&self) -> &'static str {
        if self.did_something() {
            "The operator changes nothing more for now."
        } else {
            "Nothing was changed."
        }
    }

    /// What returned after the end, as reason and description; `None` before the end, and once a new run has begun.
    pub fn returned(&self) -> Option<(Reason, String)> {
        self.status.completed_at.as_ref()?;
        if self.in_progress() {
            return None;
        }
        match self.bindings.as_slice() {
            [] => {
                // `Unknown` is no news, and one that the spec kept until now has never been gone.
                let news = self.kubeconfig_left() && self.kubeconfig != Ok(CertState::Unknown);
                let reissued = news && self.kubeconfig_was_gone();
                let what = "ACK reports a kubeconfig for the UID in this cluster again".to_owned();
                reissued.then_some((Reason::KubeconfigReissued, what))
            }
            [one] => Some((Reason::BindingFound, format!("{} names the UID again", one.key))),
            [first, rest @ ..] => Some((
                Reason::BindingFound,
                format!("{} and {} more name the UID again", first.key, rest.len()),
            )),
        }
    }

    /// Whether ACK reported no kubeconfig at some time since the run, as the status tells.
    fn kubeconfig_was_gone(&self) -> bool {
        let known = self.status.kubeconfig.as_ref();
        known.is_some_and(|k| k.purged_at.is_some() || k.reissued_at.is_some() || !is_left(k.state))
    }

    /// Whether a run has begun and not come to its end: as the status says, which only the operator writes.
    pub fn in_progress(&self) -> bool {
        self.cleared.run().is_some()
    }

    /// Whether ACK is to be asked to purge, as far as it is known: a state that is not known counts as yes.
    pub fn kubeconfig_to_purge(&self) -> bool {
        self.spec.kubeconfig == KubeconfigPolicy::Purge
            && self.kubeconfig.as_ref().map_or(true, |state| is_left(*state))
    }

    /// What an approval covers of the identity: who it is, or was. Whether RAM still has it moves by itself; that it came back
    /// after it was gone voids an approval.
    pub fn identity_to_approve(&self) -> serde_json::Value {
        let (type_, name) = self.known_identity();
        serde_json::json!({ "name": name, "returnedAt": self.returned_at.map(|t| t.as_second()), "type": type_ })
    }

    /// Who the UID is, or was when RAM last knew it.
    pub fn known_identity(&self) -> (ResolvedIdentityType, Option<String>) {
        match &self.identity {
            Ok(Identity::Nowhere { .. }) | Err(_) => {
                self.last_known.clone().unwrap_or((ResolvedIdentityType::Unknown, None))
            }
            Ok(identity) => {
                let status = identity.to_status();
                (status.type_, status.name)
            }
        }
    }
}

/// Whether a certificate in this state is still there: `Unknown` is no proof that it is not.
pub fn is_left(state: CertState) -> bool {
    matches!(state, CertState::Unexpired | CertState::Expired | CertState::Unknown)
}

/// Gathers the facts.
///
/// # Errors
/// When the API server cannot be asked. A cloud service that does not answer is a fact.
pub async fn observe(ctx: &Context, object: &UserOffboarding, uid: Uid) -> Result<Facts, Interrupted> {
    let object_uid = object.uid().unwrap_or_default();
    let leaver = Leaver::new(uid, &object.spec.names.include, &object.spec.names.ignore);
    let status = object.status.clone().unwrap_or_default();
    let began = Instant::now();
    let (objects, caller, identity, kubeconfig, found, record, cleared) = tokio::join!(
        ctx.objects_for(uid),
        ctx.caller(),
        identity::look_up(ctx, uid),
        kubeconfig_state(ctx, uid),
        bindings(ctx, &leaver),
        journal::read(ctx, &object_uid),
        cleared::read(ctx, &status),
    );
    let Found {
        bindings,
        undecided,
        unread,
    } = found?;
    let objects = objects?;
    let metadata = objects.iter().map(Resource::meta);
    // Edited, or gone, since it was read: what it asked for is void.
    let asked = Asked::by(uid, &object.metadata, metadata, began).ok_or(Interrupted::Superseded)?;
    let mut peers: Vec<Peer> = objects
        .iter()
        .filter_map(|object| object.peer(uid))
        .filter_map(|(of, peer)| (of != object_uid).then_some(peer))
        .collect();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    let mut facts = Facts {
        now: Timestamp::now(),
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
        cluster_id: ctx.settings.cluster_id.clone(),
        cluster_account: ctx.settings.account_id.clone(),
        protected: ctx.settings.protected_uids.clone(),
        caller,
        identity,
        bindings,
        undecided,
        unread,
        barrier: ctx.settings.barrier.keys().into(),
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
        facts.identity = identity::owner_of_name(ctx, name, facts.spec.identity_type).await;
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

/// What ACK says of the kubeconfig of `uid` for this cluster.
pub async fn kubeconfig_state(ctx: &Context, uid: Uid) -> Result<CertState, QueryError> {
    let states = ctx.cloud.ack.list_user_kubeconfig_states(uid).await?;
    let here = |state: &&KubeconfigState| state.cluster_id == ctx.settings.cluster_id;
    // Should ACK list the cluster twice, the certificate that is still there counts.
    let worst = states
        .iter()
        .filter(here)
        .map(|s| as_reported(s.cert_state))
        .max_by_key(|state| is_left(*state));
    match worst {
        Some(state) => Ok(state),
        None => {
            // A wrong cluster ID is listed for nobody: everybody would look as if they held nothing here.
            ctx.cluster_exists().await?;
            Ok(CertState::Absent)
        }
    }
}

/// The API's word for ACK's word: `alibaba` knows no Kubernetes, and `api` knows no cloud.
fn as_reported(state: ack::CertState) -> CertState {
    match state {
        ack::CertState::Unexpired => CertState::Unexpired,
        ack::CertState::Expired => CertState::Expired,
        ack::CertState::Unissued => CertState::Unissued,
        ack::CertState::Removed => CertState::Removed,
        ack::CertState::Unknown => CertState::Unknown,
    }
}

/// What was found in the bindings.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that name the leaver.
    pub bindings: Vec<LiveBinding>,
    /// The names that a person must decide on, each with a binding that holds it.
    pub undecided: Vec<(BindingKey, String)>,
    /// Bindings of which the API server returned something else, each with what that was.
    pub unread: Vec<String>,
}

impl Found {
    /// Takes a binding in; beyond [`NAMES_AT_MOST`], without its names.
    fn take(&mut self, mut binding: LiveBinding) {
        let known: usize = self.bindings.iter().map(|b| b.names.len()).sum();
        if known + binding.names.len() > NAMES_AT_MOST {
            binding.names = Vec::new();
        }
        self.bindings.push(binding);
    }
}

/// The bindings that name the leaver, by a read that is known to be current.
///
/// # Errors
/// When the API server does not answer, or a binding cannot be read.
pub async fn bindings(ctx: &Context, leaver: &Leaver) -> Result<Found, Interrupted> {
    let failed = |e: kube::Error| outcome::api_server(&e, "Cannot look for the bindings of the UID");
    let relations = [Match::User, Match::OtherSuffix];
    let keys = ctx
        .barrier
        .current(leaver.uid(), &relations)
        .await
        .map_err(failed)?
        .keys;
    let mut found = Found::default();
    let reads = futures::stream::iter(keys).map(|key| async move { ctx.fetch(&key, leaver).await });
    let mut reads = reads.buffered(PARALLEL_READS);
    while let Some(read) = reads.next().await {
        let binding = match read {
            Ok(Some(binding)) => binding,
            Ok(None) => continue,
            // It holds itself, and the others go.
            Err(effects::ReadError::Malformed(error)) => {
                found.unread.push(error.to_string());
                continue;
            }
            Err(error) => return Err(unreadable(error).into()),
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

/// The bindings that bear the UID and stay, as they are now: ACK's purge may take them.
///
/// # Errors
/// When the API server does not answer, or a binding cannot be read.
pub async fn lookalikes(ctx: &Context, leaver: &Leaver) -> Result<Vec<LiveBinding>, Interrupted> {
    let mut keys = ctx.index.find(leaver.uid(), Match::NameOnly);
    keys.extend(ctx.index.find(leaver.uid(), Match::OtherSuffix));
    keys.sort_unstable();
    keys.dedup();
    let found = read(ctx, leaver, keys).await?;
    Ok(found.into_iter().filter(|b| b.has_lookalike).collect())
}

/// Reads bindings, in the order of `keys`; those that are gone are left out.
///
/// # Errors
/// When one cannot be read.
pub async fn read(ctx: &Context, leaver: &Leaver, keys: Vec<BindingKey>) -> Result<Vec<LiveBinding>, Interrupted> {
    let reads = futures::stream::iter(keys).map(|key| async move { ctx.fetch(&key, leaver).await });
    let found: Vec<_> = reads
        .buffered(PARALLEL_READS)
        .try_collect()
        .await
        .map_err(|error| Interrupted::Blocked(unreadable(error)))?;
    Ok(found.into_iter().flatten().collect())
}

/// The hold for a binding that the operator cannot handle; the others are removed.
pub fn cannot_handle(error: &str) -> outcome::Blocked {
    let message = format!(
        "{error}. This binding names the UID and was left unchanged; the others are removed. The kubeconfig is not purged, \
         because ACK's purge would also remove the remaining binding. Remove the UID from that binding by hand; the operator \
         then continues."
    );
    outcome::Blocked::recheck(Reason::BindingUnreadable, message).about(
        crate::api::ConditionType::BindingsRemoved,
        crate::api::ConditionStatus::False,
    )
}

/// The hold for a binding that could not be read.
pub fn unreadable(error: effects::ReadError) -> outcome::Blocked {
    match error {
        effects::ReadError::Api { key, source } => outcome::api_server(&source, &format!("Cannot read {key}")),
        effects::ReadError::Malformed(malformed) => outcome::Blocked::new(
            Reason::LookupFailed,
            outcome::Requeue::Backoff,
            format!("{malformed}. Nothing was changed; the operator retries automatically."),
        ),
    }
}

//! Step 1: what is there. Gathers facts, and judges none of them.

use super::{
    context::Context,
    hold::{self, Stop, Trouble},
    identity::{self, Identity},
    record::{self, Record},
};
use crate::{
    alibaba::{
        ack::{self, KubeconfigState},
        sts::CallerIdentity,
    },
    api::{
        CertState, ConditionType, KubeconfigPolicy, Reason, UserOffboarding, UserOffboardingSpec,
        UserOffboardingStatus, conditions,
    },
    rbac::{
        BindingKey, LiveBinding, Match, live,
        subject::{self, UidKey},
    },
    uid::Uid,
};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// How many bindings are read at a time.
const PARALLEL_READS: usize = 16;

/// Everything that the decisions rest on, as it was at `now`.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When.
    pub now: Timestamp,
    /// The RAM identity.
    pub uid: Uid,
    /// The UserOffboarding's name.
    pub object_name: String,
    /// The UserOffboarding's `metadata.uid`.
    pub object_uid: String,
    /// What is asked for.
    pub spec: UserOffboardingSpec,
    /// What was reported before.
    pub status: UserOffboardingStatus,
    /// The cluster.
    pub cluster_id: String,
    /// The account that the cluster belongs to.
    pub cluster_account: String,
    /// UIDs that the administrator protects.
    pub protected: Vec<String>,
    /// Whose credentials the operator uses.
    pub caller: Result<CallerIdentity, Trouble>,
    /// Who the UID is.
    pub identity: Result<Identity, Trouble>,
    /// The bindings that name the UID.
    pub bindings: Vec<LiveBinding>,
    /// The state of the kubeconfig that ACK issued.
    pub kubeconfig: Result<CertState, Trouble>,
    /// What was done already.
    pub record: Record,
}

impl Facts {
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
            "Nothing more is touched."
        } else {
            "Nothing was touched."
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
                let what = "ACK reports a kubeconfig for it in this cluster again".to_owned();
                reissued.then_some((Reason::KubeconfigReissued, what))
            }
            [one] => Some((Reason::BindingFound, format!("{} names it again", one.key))),
            [first, rest @ ..] => Some((
                Reason::BindingFound,
                format!("{} and {} more name it again", first.key, rest.len()),
            )),
        }
    }

    /// Whether ACK reported no kubeconfig at some time since the run, as the status tells.
    fn kubeconfig_was_gone(&self) -> bool {
        let gone = self
            .status
            .kubeconfig
            .as_ref()
            .is_some_and(|k| k.purged_at.is_some() || !is_left(k.state));
        let returned = conditions::find(&self.status.conditions, ConditionType::AccessReturned);
        let told = returned.is_some_and(|c| Reason::parse(&c.reason) == Some(Reason::KubeconfigReissued));
        gone || told
    }

    /// Whether a run has begun and not come to its end.
    pub fn in_progress(&self) -> bool {
        let purge_pending = self.status.purge_requested_at.as_ref().is_some_and(|requested| {
            self.status
                .completed_at
                .as_ref()
                .is_none_or(|completed| requested.0 > completed.0)
        });
        purge_pending
            || self
                .record
                .in_progress(&self.status, &self.bindings, self.kubeconfig_left())
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
pub async fn observe(ctx: &Context, object: &UserOffboarding, uid: &Uid) -> Result<Facts, Stop> {
    let object_uid = object.uid().unwrap_or_default();
    let key = subject::key(uid);
    let (caller, identity, kubeconfig, found, record) = tokio::join!(
        ctx.caller(),
        identity::look_up(ctx, uid),
        kubeconfig_state(ctx, uid),
        bindings(ctx, key),
        record::read(ctx, &object_uid),
    );
    let mut facts = Facts {
        now: Timestamp::now(),
        uid: uid.clone(),
        object_name: object.name_any(),
        object_uid,
        spec: object.spec.clone(),
        status: object.status.clone().unwrap_or_default(),
        cluster_id: ctx.settings.cluster_id.clone(),
        cluster_account: ctx.settings.account_id.clone(),
        protected: ctx.settings.protected_uids.clone(),
        caller,
        identity,
        bindings: found?,
        kubeconfig,
        record: record?,
    };
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

/// What ACK says of the kubeconfig of `uid` for this cluster.
pub async fn kubeconfig_state(ctx: &Context, uid: &Uid) -> Result<CertState, Trouble> {
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

/// The bindings that name the UID, as they are now: the index may be older.
pub async fn bindings(ctx: &Context, key: UidKey) -> Result<Vec<LiveBinding>, Stop> {
    let found = read(ctx, ctx.index.find(key, Match::User)).await?;
    Ok(found.into_iter().filter(|b| !b.names_of(key).is_empty()).collect())
}

/// The bindings that bear the UID's name under another kind of subject, as they are now.
pub async fn lookalikes(ctx: &Context, key: UidKey) -> Result<Vec<LiveBinding>, Stop> {
    let found = read(ctx, ctx.index.find(key, Match::NameOnly)).await?;
    Ok(found.into_iter().filter(|b| b.has_lookalike_of(key)).collect())
}

/// Reads bindings, in the order of `keys`; those that are gone are left out.
pub async fn read(ctx: &Context, keys: Vec<BindingKey>) -> Result<Vec<LiveBinding>, Stop> {
    let reads = futures::stream::iter(keys).map(|key| async move { live::fetch(&ctx.client, &key).await });
    let found: Vec<_> = reads
        .buffered(PARALLEL_READS)
        .try_collect()
        .await
        .map_err(|error| match error {
            live::ReadError::Api { key, source } => {
                Stop::Hold(hold::api_server(&source, &format!("Reading {key} failed")))
            }
            live::ReadError::Malformed(malformed) => Stop::Hold(hold::Hold::wait(
                crate::api::Reason::LookupFailed,
                hold::Again::Backoff,
                format!("{malformed}. Nothing was changed; it is tried again by itself."),
            )),
        })?;
    Ok(found.into_iter().flatten().collect())
}

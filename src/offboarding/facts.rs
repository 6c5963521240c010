//! What the decisions rest on: taken once, and not changed.

use super::{
    cleared::Cleared,
    journal::Journal,
    peers::{Asked, Peer},
};
use crate::{
    api::{CertState, KubeconfigPolicy, Reason, ResolvedIdentityType, UserOffboardingSpec, UserOffboardingStatus},
    rbac::{BindingKey, LiveBinding, subject::Leaver},
    sources::{QueryError, activity::Question, identity::Identity},
};
use alibaba_cloud::{Uid, sts::CallerIdentity};
use k8s_openapi::jiff::Timestamp;
use std::{collections::BTreeSet, sync::Arc};

/// Everything that the decisions rest on, as it was at `now`.
#[derive(Clone, Debug)]
pub struct Facts {
    pub now: Timestamp,
    pub uid: Uid,
    /// The RAM identity, with the user names that are its own.
    pub leaver: Leaver,
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
    pub cluster_id: String,
    /// The account that the cluster belongs to.
    pub cluster_account: String,
    /// UIDs that the administrator protects.
    pub protected: Vec<String>,
    /// Whose credentials the operator uses.
    pub caller: Result<CallerIdentity, QueryError>,
    pub identity: Result<Identity, QueryError>,
    /// What the UID was when RAM last knew it.
    pub last_known: Option<(ResolvedIdentityType, Option<String>)>,
    /// When it was found to exist again after it had been gone.
    pub returned_at: Option<Timestamp>,
    pub bindings: Vec<Arc<LiveBinding>>,
    /// The names that a person must decide on, each with a binding that holds it.
    pub undecided: Vec<(BindingKey, String)>,
    /// Bindings of which the API server returned something else, each with what that was: they hold nothing up but the end.
    pub unread: Vec<String>,
    /// The operator's own barrier bindings.
    pub barrier: Vec<BindingKey>,
    /// The state of the kubeconfig that ACK issued.
    pub kubeconfig: Result<CertState, QueryError>,
    /// What was done before, as the backups told then. What is done in this run goes into a [`Journal`] beside the facts.
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
        self.spec.kubeconfig == KubeconfigPolicy::Purge && self.kubeconfig.as_ref().is_ok_and(|state| state.is_left())
    }

    /// Whether the UID holds nothing here that would be removed.
    pub fn holds_nothing(&self) -> bool {
        let no_kubeconfig = match &self.kubeconfig {
            _ if self.spec.kubeconfig == KubeconfigPolicy::Keep => true,
            Ok(state) => !state.is_left(),
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
        known.is_some_and(|k| k.purged_at.is_some() || k.reissued_at.is_some() || !k.state.is_left())
    }

    /// Whether a run has begun and not come to its end: as the status says, which only the operator writes.
    pub fn in_progress(&self) -> bool {
        self.cleared.run().is_some()
    }

    /// Whether ACK is to be asked to purge, as far as it is known: a state that is not known counts as yes.
    pub fn kubeconfig_to_purge(&self) -> bool {
        self.spec.kubeconfig == KubeconfigPolicy::Purge
            && self.kubeconfig.as_ref().map_or(true, |state| state.is_left())
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

    /// What is asked of the audit log about the identity.
    pub fn question(&self) -> Question<'_> {
        let more = |b: &Arc<LiveBinding>| b.leaver_subjects as usize > b.names.len();
        Question {
            uid: self.uid,
            window_days: self.spec.activity_check.window_days,
            names: &self.spec.names,
            in_use: self.names_in_use(),
            has_more_names: self.record.has_more_names() || self.bindings.iter().any(more),
            identity: self.identity.as_ref().ok().map(Identity::to_status),
            now: self.now,
        }
    }
}

//! ACK's opinion of the identities: what it knows of their kubeconfigs, and whether they exist. Pure.

use crate::api::{CertState, scan::AccountType};
use alibaba_cloud::{
    Uid,
    ack::{self, AccountState, ClusterKubeconfigState},
};
use std::collections::HashMap;

/// What ACK said; or why it did not.
#[derive(Debug)]
pub(super) enum AckOpinion {
    Said(HashMap<Uid, ClusterKubeconfigState>),
    Silent(String),
}

impl AckOpinion {
    /// By UID. Of a UID that is listed twice, the certificate that still works counts.
    pub(super) fn of(states: Vec<ClusterKubeconfigState>) -> Self {
        let mut by_uid: HashMap<Uid, ClusterKubeconfigState> = HashMap::new();
        for state in states {
            let Ok(uid) = state.account_id.parse() else { continue };
            let is_better = by_uid
                .get(&uid)
                .is_none_or(|known| known.cert_state != ack::CertState::Unexpired);
            if is_better {
                by_uid.insert(uid, state);
            }
        }
        AckOpinion::Said(by_uid)
    }

    /// What it says of a UID; `None` also if it says nothing at all.
    pub(super) fn on(&self, uid: Uid) -> Option<&ClusterKubeconfigState> {
        match self {
            AckOpinion::Said(by_uid) => by_uid.get(&uid),
            AckOpinion::Silent(_) => None,
        }
    }

    /// The state of a UID's kubeconfig; `None` if ACK did not say. ACK lists neither those never issued nor those that were purged.
    pub(super) fn kubeconfig(&self, uid: Uid) -> Option<CertState> {
        let AckOpinion::Said(by_uid) = self else { return None };
        Some(
            by_uid
                .get(&uid)
                .map_or(CertState::Absent, |state| match state.cert_state {
                    ack::CertState::Unexpired => CertState::Unexpired,
                    ack::CertState::Expired => CertState::Expired,
                    ack::CertState::Unissued => CertState::Unissued,
                    ack::CertState::Removed => CertState::Removed,
                    ack::CertState::Unknown => CertState::Unknown,
                }),
        )
    }

    /// The UIDs whose kubeconfig works.
    pub(super) fn with_kubeconfig(&self) -> impl Iterator<Item = Uid> {
        let by_uid = match self {
            AckOpinion::Said(by_uid) => Some(by_uid),
            AckOpinion::Silent(_) => None,
        };
        let works = |state: &ClusterKubeconfigState| state.cert_state == ack::CertState::Unexpired;
        by_uid
            .into_iter()
            .flatten()
            .filter(move |(_, state)| works(state))
            .map(|(uid, _)| *uid)
    }
}

/// What ACK takes the identity for.
pub(super) fn account_type(state: &ClusterKubeconfigState) -> AccountType {
    match state.account_type {
        ack::AccountType::RamUser => AccountType::RamUser,
        ack::AccountType::RamRole => AccountType::RamRole,
        ack::AccountType::RootAccount => AccountType::Root,
        ack::AccountType::Unknown => AccountType::Unknown,
    }
}

/// As a sentence says it.
pub(super) fn describe(state: AccountState) -> &'static str {
    match state {
        AccountState::Active => "active",
        AccountState::InActive => "frozen",
        AccountState::Deleted => "deleted",
        AccountState::Unknown => "unknown",
    }
}

//! The UIDs that one binding bears: one in most, very many in a few.

use crate::rbac::{crowd::Crowd, subject::Match};
use alibaba_cloud::Uid;
use std::sync::Arc;

/// Most bindings bear one UID, and need no allocation for it.
#[derive(Debug)]
pub(super) enum Uids {
    One((Uid, Match)),
    Many(Box<[(Uid, Match)]>),
    Crowd(Arc<Crowd>),
}

impl Uids {
    pub(super) fn as_slice(&self) -> Option<&[(Uid, Match)]> {
        match self {
            Uids::One(one) => Some(std::slice::from_ref(one)),
            Uids::Many(many) => Some(many),
            Uids::Crowd(_) => None,
        }
    }

    pub(super) fn bear(&self, uid: Uid, is_wanted: impl Fn(Match) -> bool) -> bool {
        match self {
            Uids::Crowd(crowd) => Match::ALL
                .iter()
                .any(|relation| is_wanted(*relation) && crowd.relates(uid, *relation)),
            listed => {
                let mut uids = listed.as_slice().unwrap_or_default().iter();
                uids.any(|(one, relation)| *one == uid && is_wanted(*relation))
            }
        }
    }
}

/// The UIDs that one binding bears.
#[derive(Clone, Debug, Default)]
pub struct Borne {
    /// Each, if they are few.
    pub uids: Vec<Uid>,
    /// If they are very many.
    pub crowd: Option<Arc<Crowd>>,
}

impl Borne {
    pub fn bears(&self, uid: Uid) -> bool {
        self.uids.contains(&uid) || self.crowd.as_ref().is_some_and(|crowd| crowd.bears(uid))
    }
}

/// The UIDs of a list sorted by UID, each once.
pub(super) fn distinct(uids: &[(Uid, Match)]) -> impl Iterator<Item = Uid> {
    uids.chunk_by(|a, b| a.0 == b.0)
        .filter_map(|same| same.first().map(|(uid, _)| *uid))
}

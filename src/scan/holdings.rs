//! What each UID is bound to, put together from all bindings in one pass. Pure.

use crate::{
    api::scan::Access,
    rbac::{BindingKey, BindingKind, Match, index::Kept, slim::SlimBinding},
};
use alibaba_cloud::Uid;
use sha2::{Digest, Sha256};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// How many bindings of a UID a status shows.
const SHOWN: usize = 3;

/// How many UIDs are kept: an account has 5,000 users and 1,000 roles. At some 500 bytes each they stay below what the operator has to spare.
const UIDS: usize = 50_000;

/// The role that may do anything.
const CLUSTER_ADMIN: &str = "cluster-admin";

/// One binding, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeldBinding {
    // First: the most powerful come first.
    pub(super) access: Access,
    pub(super) key: BindingKey,
    /// As `ClusterRole/NAME` or `Role/NAME`.
    pub(super) role_ref: Arc<str>,
}

/// What a UID is bound to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    /// How many bindings name it.
    pub(super) total: u32,
    /// How many name a user whose name begins with the UID and a dash, and does not end in digits: whose it is, nobody knows.
    pub(super) undecided: u32,
    pub(super) access: Access,
    /// The most powerful; each is in memory once, however many it names.
    pub(super) shown: Vec<Arc<HeldBinding>>,
    /// The sum of the bindings' digests, whatever their order.
    sum: u128,
}

impl Default for Held {
    fn default() -> Self {
        Held {
            total: 0,
            undecided: 0,
            access: Access::None,
            shown: Vec::new(),
            sum: 0,
        }
    }
}

impl Held {
    /// Changes when a binding that names the UID comes, goes, or grants another role.
    pub(super) fn digest(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

/// What all UIDs are bound to.
#[derive(Clone, Debug)]
pub(super) struct Holdings {
    pub(super) by_uid: HashMap<Uid, Held>,
    /// How many bindings of each are kept, the most powerful first.
    shown: usize,
    /// Roles that have been seen: few, of many bindings.
    roles: HashSet<Arc<str>>,
    /// Bindings that name very many UIDs: they are to be read.
    pub(super) crowded: Vec<BindingKey>,
    /// How many bindings were left out: unread, or beyond [`UIDS`].
    pub(super) unread: usize,
    /// How many UIDs are kept.
    most: usize,
}

impl Default for Holdings {
    fn default() -> Self {
        Holdings::showing(SHOWN)
    }
}

impl Holdings {
    /// Keeps so many bindings of each UID.
    pub(super) fn showing(shown: usize) -> Self {
        Holdings {
            by_uid: HashMap::new(),
            shown,
            roles: HashSet::new(),
            crowded: Vec::new(),
            unread: 0,
            most: UIDS,
        }
    }

    /// Takes in a binding of the index.
    pub(super) fn take(&mut self, kind: BindingKind, kept: Kept<'_>) {
        let key = || BindingKey {
            kind,
            namespace: kept.namespace.map(str::to_owned),
            name: kept.name.to_owned(),
        };
        match kept.uids {
            Some(uids) => self.add(&key, (&kept.role.kind, &kept.role.name), uids),
            None => self.crowded.push(key()),
        }
    }

    /// Takes in a crowded binding that was read.
    pub(super) fn take_read(&mut self, key: &BindingKey, binding: &SlimBinding) {
        let role = (&*binding.role.kind, &*binding.role.name);
        self.add(&|| key.clone(), role, &binding.uids);
    }

    fn add(&mut self, key: &dyn Fn() -> BindingKey, (role_kind, role): (&str, &str), uids: &[(Uid, Match)]) {
        // Whoever may create bindings in one namespace decides how many UIDs they name, and must not fill the memory with them.
        let new = uids.iter().filter(|(uid, _)| !self.by_uid.contains_key(uid)).count();
        if self.by_uid.len() + new > self.most {
            self.unread += 1;
            return;
        }
        // A user may be in it under several names. Sorted by UID; a name with another suffix counts only where there is no better one.
        let named = uids.iter().filter(|(_, relation)| *relation == Match::User);
        let mut binding = None;
        let Holdings {
            by_uid, roles, shown, ..
        } = self;
        for (uid, _) in named {
            let (held_binding, digest) = binding.get_or_insert_with(|| {
                let key = key();
                let access = match key.kind {
                    BindingKind::ClusterRoleBinding if role_kind == "ClusterRole" && role == CLUSTER_ADMIN => {
                        Access::ClusterAdmin
                    }
                    BindingKind::ClusterRoleBinding => Access::ClusterWide,
                    BindingKind::RoleBinding => Access::Namespaced,
                };
                let role_ref = interned(roles, format!("{role_kind}/{role}"));
                let digest = digest(&key, &role_ref);
                (Arc::new(HeldBinding { access, key, role_ref }), digest)
            });
            let held = by_uid.entry(*uid).or_default();
            held.total = held.total.saturating_add(1);
            held.sum = held.sum.wrapping_add(*digest);
            held.access = held.access.min(held_binding.access);
            let is_worth_showing =
                held.shown.len() < *shown || held.shown.last().is_some_and(|last| &*held_binding < last);
            if is_worth_showing {
                let at = held.shown.partition_point(|shown| shown < &*held_binding);
                held.shown.insert(at, Arc::clone(held_binding));
                held.shown.truncate(*shown);
            }
        }
        for (uid, relation) in uids {
            if *relation == Match::OtherSuffix {
                let held = self.by_uid.entry(*uid).or_default();
                held.undecided = held.undecided.saturating_add(1);
            }
        }
    }
}

/// The one of its text that all share.
fn interned(all: &mut HashSet<Arc<str>>, text: String) -> Arc<str> {
    match all.get(text.as_str()) {
        Some(known) => Arc::clone(known),
        None => {
            let new: Arc<str> = text.into();
            all.insert(Arc::clone(&new));
            new
        }
    }
}

/// The first half of a sha256.
fn digest(key: &BindingKey, role_ref: &str) -> u128 {
    let mut hash = Sha256::new();
    for text in [
        key.kind.as_str(),
        key.namespace.as_deref().unwrap_or_default(),
        &key.name,
        role_ref,
    ] {
        // The length first: no two lists of texts run together to the same one.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    let whole = hash.finalize();
    whole.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rbac::{index::Half, slim::RoleRef},
        testing::uid,
    };

    fn binding(namespace: Option<&str>, name: &str, role: &str, uids: &[(Uid, Match)]) -> SlimBinding {
        SlimBinding {
            name: name.into(),
            namespace: namespace.map(str::to_owned),
            resource_version: None,
            uids: uids.into(),
            role: RoleRef {
                kind: "ClusterRole".into(),
                name: role.into(),
            },
            nonce: None,
        }
    }

    fn holdings(bindings: &[SlimBinding]) -> Holdings {
        let mut all = Holdings::default();
        for kind in [BindingKind::RoleBinding, BindingKind::ClusterRoleBinding] {
            let mut half = Half::new(kind);
            let of_kind = bindings
                .iter()
                .filter(|b| b.namespace.is_some() == (kind == BindingKind::RoleBinding));
            of_kind.for_each(|binding| half.apply(binding));
            half.iter().for_each(|kept| all.take(kind, kept));
        }
        all
    }

    #[test]
    fn bindings_amount_to_the_most_powerful_of_them_which_comes_first() {
        let user = [(uid(100), Match::User)];
        let all = holdings(&[
            binding(Some("a"), "one", "cluster-admin", &user),
            binding(Some("a"), "two", "view", &user),
            binding(None, "wide", "view", &user),
            binding(None, "admin", "cluster-admin", &user),
            binding(
                Some("a"),
                "other",
                "view",
                &[(uid(200), Match::User), (uid(100), Match::NameOnly)],
            ),
            binding(Some("a"), "undecided", "view", &[(uid(100), Match::OtherSuffix)]),
        ]);
        let held = &all.by_uid[&uid(100)];
        assert_eq!((held.total, held.undecided, held.access), (4, 1, Access::ClusterAdmin));
        let shown: Vec<_> = held.shown.iter().map(|b| b.key.to_string()).collect();
        assert_eq!(
            shown,
            [
                "ClusterRoleBinding admin",
                "ClusterRoleBinding wide",
                "RoleBinding a/one"
            ]
        );
        assert_eq!(
            all.by_uid[&uid(200)].access,
            Access::Namespaced,
            "cluster-admin in one namespace is no more"
        );
    }

    #[test]
    fn the_digest_changes_with_the_bindings_and_not_with_their_order() {
        let user = [(uid(100), Match::User)];
        let (a, b) = (
            binding(Some("a"), "x", "view", &user),
            binding(None, "y", "view", &user),
        );
        let digest = |bindings: &[SlimBinding]| holdings(bindings).by_uid[&uid(100)].digest();
        let both = digest(&[a.clone(), b.clone()]);
        assert_eq!((both.len(), &both), (32, &digest(&[b.clone(), a.clone()])));
        for other in [
            digest(std::slice::from_ref(&a)),
            digest(&[a.clone(), binding(None, "y", "edit", &user)]),
            digest(&[a.clone(), binding(None, "z", "view", &user)]),
            digest(&[binding(Some("b"), "x", "view", &user), b]),
        ] {
            assert_ne!(both, other);
        }
    }

    #[test]
    fn a_crowded_binding_is_read_and_then_counts_for_each() {
        let many: Vec<_> = (1..=5000).map(|number| (uid(number), Match::User)).collect();
        let crowd = binding(None, "crowd", "cluster-admin", &many);
        let mut all = holdings(std::slice::from_ref(&crowd));
        assert!(all.by_uid.is_empty());
        let [key] = &*std::mem::take(&mut all.crowded) else {
            panic!("one is crowded")
        };
        all.take_read(key, &crowd);
        assert_eq!((all.by_uid.len(), all.by_uid[&uid(17)].total), (5000, 1));
    }
}

//! Which bindings name a UID, answered in O(matches) from memory.
//!
//! A watch of each kind feeds one [`Half`]. A half keeps only the bindings that bear a UID in a subject, and of those
//! only key and UIDs: with 100,000 of them it takes about 20 MiB. Everything else about a binding is read from the API
//! server when it is needed, as a backup must be anyway.

use super::{
    binding::{BindingKey, BindingKind},
    crowd::{CROWD, Crowd},
    slim::{RoleRef, SlimBinding},
    subject::Match,
};
use alibaba_cloud::Uid;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};
use std::{
    hash::{BuildHasher, Hash},
    sync::Arc,
};

/// Position of an entry in a half.
type Slot = u32;

/// The bindings of one kind that bear a UID.
#[derive(Debug)]
pub struct Half {
    kind: BindingKind,
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    by_key: HashTable<Slot>,
    by_uid: HashMap<Uid, Vec<Slot>>,
    /// Those that bear very many UIDs, which are in no map.
    crowded: Vec<Slot>,
    namespaces: HashSet<Arc<str>>,
    roles: HashSet<Arc<RoleRef>>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Entry {
    // Shared: a cluster has far fewer namespaces and roles than bindings.
    namespace: Option<Arc<str>>,
    role: Arc<RoleRef>,
    name: Box<str>,
    uids: Uids,
}

/// A binding that is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The namespace of a RoleBinding.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
    /// The role that it grants.
    pub role: &'a RoleRef,
    /// The UIDs that it bears, each with how it relates to the subject. None of one that bears very many: it is to be read.
    pub uids: Option<&'a [(Uid, Match)]>,
}

/// Most bindings bear one UID, and need no allocation for it.
#[derive(Debug)]
enum Uids {
    One((Uid, Match)),
    Many(Box<[(Uid, Match)]>),
    Crowd(Arc<Crowd>),
}

impl Uids {
    fn as_slice(&self) -> Option<&[(Uid, Match)]> {
        match self {
            Uids::One(one) => Some(std::slice::from_ref(one)),
            Uids::Many(many) => Some(many),
            Uids::Crowd(_) => None,
        }
    }

    fn bear(&self, uid: Uid, is_wanted: impl Fn(Match) -> bool) -> bool {
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
    /// Whether this UID is among them.
    pub fn bears(&self, uid: Uid) -> bool {
        self.uids.contains(&uid) || self.crowd.as_ref().is_some_and(|crowd| crowd.bears(uid))
    }
}

impl Half {
    /// An empty half for bindings of `kind`.
    pub fn new(kind: BindingKind) -> Self {
        Half {
            kind,
            entries: Vec::new(),
            free: Vec::new(),
            by_key: HashTable::new(),
            by_uid: HashMap::new(),
            crowded: Vec::new(),
            namespaces: HashSet::new(),
            roles: HashSet::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// How many bindings are kept.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether no binding is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a binding in, in the place of what was kept under its key.
    pub fn apply(&mut self, binding: &SlimBinding) {
        self.remove(binding);
        let uids = match &*binding.uids {
            [] => return,
            [one] => Uids::One(*one),
            many if many.len() > CROWD => Uids::Crowd(Arc::new(Crowd::new(&self.hasher, many))),
            _ => Uids::Many(binding.uids.clone()),
        };
        let (namespace, name) = (binding.namespace.as_deref(), binding.name.as_str());
        let hash = self.hasher.hash_one((namespace, name));
        let entry = Entry {
            namespace: namespace.map(|n| intern(&mut self.namespaces, n)),
            role: intern(&mut self.roles, &binding.role),
            name: name.into(),
            uids,
        };
        let slot = self.free.pop().unwrap_or(self.entries.len() as Slot);
        match entry.uids.as_slice() {
            Some(uids) => distinct(uids).for_each(|uid| self.by_uid.entry(uid).or_default().push(slot)),
            None => self.crowded.push(slot),
        }
        match self.entries.get_mut(slot as usize) {
            Some(place) => *place = Some(entry),
            None => self.entries.push(Some(entry)),
        }
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_key
            .insert_unique(hash, slot, |slot| hash_of(entries, hasher, *slot));
    }

    /// Forgets a binding.
    pub fn remove(&mut self, binding: &SlimBinding) {
        let (namespace, name) = (binding.namespace.as_deref(), binding.name.as_str());
        let hash = self.hasher.hash_one((namespace, name));
        let entries = &self.entries;
        let is_it = |slot: &Slot| {
            let entry = entries.get(*slot as usize).and_then(Option::as_ref);
            entry.is_some_and(|e| e.namespace.as_deref() == namespace && *e.name == *name)
        };
        let Ok(found) = self.by_key.find_entry(hash, is_it) else {
            return;
        };
        let (slot, _) = found.remove();
        let Some(entry) = self.entries.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.free.push(slot);
        let Entry {
            namespace, role, uids, ..
        } = entry;
        forget(&mut self.roles, &role);
        if let Some(namespace) = namespace {
            forget(&mut self.namespaces, &namespace);
        }
        let Some(uids) = uids.as_slice() else {
            self.crowded.retain(|s| *s != slot);
            return;
        };
        for uid in distinct(uids) {
            if let Some(slots) = self.by_uid.get_mut(&uid) {
                slots.retain(|s| *s != slot);
                if slots.is_empty() {
                    self.by_uid.remove(&uid);
                }
            }
        }
    }

    /// The UIDs kept for the key of `binding`: those that an update of it concerns, besides its new ones.
    pub fn borne_under_key_of(&self, binding: &SlimBinding) -> Borne {
        let (namespace, name) = (binding.namespace.as_deref(), binding.name.as_str());
        let hash = self.hasher.hash_one((namespace, name));
        let entry_at = |slot: &Slot| self.entries.get(*slot as usize).and_then(Option::as_ref);
        let found = self.by_key.find(hash, |slot| {
            entry_at(slot).is_some_and(|e| e.namespace.as_deref() == namespace && *e.name == *name)
        });
        match found.and_then(entry_at).map(|entry| &entry.uids) {
            None => Borne::default(),
            Some(Uids::Crowd(crowd)) => Borne {
                crowd: Some(crowd.clone()),
                ..Borne::default()
            },
            Some(listed) => Borne {
                uids: distinct(listed.as_slice().unwrap_or_default()).collect(),
                crowd: None,
            },
        }
    }

    /// The bindings that bear `uid` in a subject that relates to it as `relation` says, in the order of their keys.
    pub fn find(&self, uid: Uid, relation: Match) -> Vec<BindingKey> {
        self.find_where(uid, |one| one == relation)
    }

    /// The bindings that bear `uid` in whatever subject, in the order of their keys.
    pub fn find_any(&self, uid: Uid) -> Vec<BindingKey> {
        self.find_where(uid, |_| true)
    }

    fn find_where(&self, uid: Uid, is_wanted: impl Fn(Match) -> bool) -> Vec<BindingKey> {
        let slots = self.by_uid.get(&uid).map(Vec::as_slice).unwrap_or_default();
        let entries = slots
            .iter()
            .chain(&self.crowded)
            .filter_map(|slot| self.entries.get(*slot as usize)?.as_ref());
        let mut keys: Vec<_> = entries
            .filter(|entry| entry.uids.bear(uid, &is_wanted))
            .map(|entry| BindingKey {
                kind: self.kind,
                namespace: entry.namespace.as_deref().map(str::to_owned),
                name: entry.name.to_string(),
            })
            .collect();
        keys.sort_unstable();
        keys
    }

    /// The bindings that are kept, each with the role that it grants and the UIDs that it bears.
    pub fn iter(&self) -> impl Iterator<Item = Kept<'_>> {
        self.entries.iter().flatten().map(|entry| Kept {
            namespace: entry.namespace.as_deref(),
            name: &entry.name,
            role: &entry.role,
            uids: entry.uids.as_slice(),
        })
    }

    /// Gives back what a growing collection holds in reserve; worth it after a full list.
    pub fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.by_uid.values_mut().for_each(Vec::shrink_to_fit);
        self.by_uid.shrink_to_fit();
        self.crowded.shrink_to_fit();
        self.namespaces.shrink_to_fit();
        self.roles.shrink_to_fit();
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_key.shrink_to_fit(|slot| hash_of(entries, hasher, *slot));
    }
}

/// The one copy of a value in `known`.
fn intern<T: ?Sized + Hash + Eq + ToOwned>(known: &mut HashSet<Arc<T>>, value: &T) -> Arc<T>
where
    Arc<T>: From<T::Owned>,
{
    if let Some(one) = known.get(value) {
        return one.clone();
    }
    let one = Arc::from(value.to_owned());
    known.insert(Arc::clone(&one));
    one
}

/// Drops the copy in `known` with its last user: names that come and go leave nothing.
fn forget<T: ?Sized + Hash + Eq>(known: &mut HashSet<Arc<T>>, last: &Arc<T>) {
    // That in `known`, and this one.
    if Arc::strong_count(last) == 2 {
        known.remove(&**last);
    }
}

fn hash_of(entries: &[Option<Entry>], hasher: &DefaultHashBuilder, slot: Slot) -> u64 {
    let entry = entries.get(slot as usize).and_then(Option::as_ref);
    entry.map_or(0, |e| hasher.hash_one((e.namespace.as_deref(), &*e.name)))
}

/// The UIDs of a list sorted by UID, each once.
fn distinct(uids: &[(Uid, Match)]) -> impl Iterator<Item = Uid> {
    uids.chunk_by(|a, b| a.0 == b.0)
        .filter_map(|same| same.first().map(|(uid, _)| *uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;
    use serde_json::json;

    fn binding(namespace: &str, name: &str, users: &[&str]) -> SlimBinding {
        let subjects: Vec<_> = users.iter().map(|n| json!({"kind": "User", "name": n})).collect();
        serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}, "subjects": subjects}))
            .unwrap()
    }

    fn names(half: &Half, uid: Uid) -> Vec<String> {
        half.find(uid, Match::User).into_iter().map(|k| k.to_string()).collect()
    }

    #[test]
    fn finds_exactly_the_bindings_that_name_a_uid() {
        let mut half = Half::new(BindingKind::RoleBinding);
        half.apply(&binding("b", "x", &["100"]));
        half.apply(&binding("a", "x", &["200", "100-17", "100"]));
        half.apply(&binding("a", "y", &["1001", "leaver"]));
        half.apply(&binding("a", "z", &["leaver"]));
        assert_eq!(names(&half, uid(100)), ["RoleBinding a/x", "RoleBinding b/x"]);
        assert_eq!(names(&half, uid(1001)), ["RoleBinding a/y"]);
        assert_eq!((names(&half, uid(10)).len(), half.len()), (0, 3));
    }

    #[test]
    fn an_update_leaves_nothing_of_the_old_subjects() {
        let mut half = Half::new(BindingKind::RoleBinding);
        half.apply(&binding("a", "x", &["100", "200"]));
        half.apply(&binding("a", "x", &["200"]));
        assert_eq!((names(&half, uid(100)).len(), names(&half, uid(200)).len()), (0, 1));
        assert_eq!(half.borne_under_key_of(&binding("a", "x", &[])).uids, [uid(200)]);
        half.apply(&binding("a", "x", &[]));
        assert!(half.is_empty() && half.by_uid.is_empty());
    }

    #[test]
    fn a_binding_with_very_many_uids_is_found_by_each_and_leaves_nothing() {
        let mut half = Half::new(BindingKind::RoleBinding);
        let users: Vec<_> = (1000..6000).map(|uid| uid.to_string()).collect();
        let users: Vec<_> = users.iter().map(String::as_str).chain(["77-x"]).collect();
        half.apply(&binding("a", "crowded", &users));
        half.apply(&binding("a", "plain", &["1000"]));
        assert_eq!(
            names(&half, uid(1000)),
            ["RoleBinding a/crowded", "RoleBinding a/plain"]
        );
        assert_eq!(
            (
                names(&half, uid(5999)).len(),
                names(&half, uid(6000)).len(),
                names(&half, uid(77)).len()
            ),
            (1, 0, 0)
        );
        assert_eq!(
            (
                half.find(uid(77), Match::OtherSuffix).len(),
                half.find_any(uid(77)).len()
            ),
            (1, 1)
        );
        assert_eq!(half.by_uid.len(), 1, "no map grows with them");
        let borne = half.borne_under_key_of(&binding("a", "crowded", &[]));
        assert!(borne.bears(uid(3000)) && borne.bears(uid(77)) && !borne.bears(uid(7000)));
        half.apply(&binding("a", "crowded", &["1000"]));
        assert_eq!((names(&half, uid(1000)).len(), names(&half, uid(3000)).len()), (2, 0));
        half.apply(&binding("a", "crowded", &users));
        half.remove(&binding("a", "crowded", &[]));
        assert!(half.crowded.is_empty() && half.find_any(uid(3000)).is_empty());
    }

    #[test]
    fn a_role_is_kept_once_and_no_longer_than_it_is_used() {
        let granting = |name: &str, role: &str| {
            let mut one = binding("a", name, &["100", "200-x"]);
            one.role = RoleRef {
                kind: "ClusterRole".into(),
                name: role.into(),
            };
            one
        };
        let mut half = Half::new(BindingKind::RoleBinding);
        half.apply(&granting("x", "view"));
        half.apply(&granting("y", "view"));
        half.apply(&granting("z", "edit"));
        assert_eq!((half.roles.len(), half.namespaces.len()), (2, 1));
        let edit = half.iter().find(|kept| &*kept.role.name == "edit").unwrap();
        assert_eq!((edit.namespace, edit.name), (Some("a"), "z"));
        let expected: &[_] = &[(uid(100), Match::User), (uid(200), Match::OtherSuffix)];
        assert_eq!(edit.uids, Some(expected));
        half.remove(&granting("z", "edit"));
        half.apply(&granting("y", "admin"));
        assert_eq!((half.roles.len(), half.namespaces.len(), half.len()), (2, 1, 2));
    }

    #[test]
    fn slots_are_reused_and_survive_growth() {
        let mut half = Half::new(BindingKind::RoleBinding);
        for round in 0..3 {
            for n in 0..1000u32 {
                half.apply(&binding("a", &format!("b{n}"), &[&format!("{}", 1 + n % 7 + round)]));
            }
        }
        half.shrink();
        assert_eq!((half.entries.len(), half.len()), (1000, 1000));
        assert_eq!(names(&half, uid(3)).len(), 143);
        for n in 0..1000u32 {
            half.remove(&binding("a", &format!("b{n}"), &[]));
        }
        assert!(half.is_empty() && half.by_uid.is_empty() && half.by_key.is_empty());
        assert!(half.namespaces.is_empty() && half.roles.is_empty());
    }
}

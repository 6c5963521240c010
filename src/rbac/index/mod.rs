//! Which bindings name a UID, answered in O(matches) from memory.
//!
//! A watch of each kind feeds one [`Half`]. A half keeps only the bindings that bear a UID in a subject, and of those
//! only key and UIDs: with 100,000 of them it takes about 20 MiB. Everything else about a binding is read from the API
//! server when it is needed, as a backup must be anyway.

mod uids;

pub(crate) use uids::Borne;

use self::uids::{Uids, distinct};
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
pub(crate) struct Half {
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

/// A binding as the index keeps it: enough to find it and to say what it grants.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    pub namespace: Option<&'a str>,
    pub name: &'a str,
    pub role: &'a RoleRef,
    /// The UIDs that it bears, each with how it relates to the subject. None of one that bears very many: it is to be read.
    pub uids: Option<&'a [(Uid, Match)]>,
}

impl Half {
    pub(crate) fn new(kind: BindingKind) -> Self {
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

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a binding in, in the place of what was kept under its key.
    pub(crate) fn apply(&mut self, binding: &SlimBinding) {
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

    pub(crate) fn remove(&mut self, binding: &SlimBinding) {
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
    pub(crate) fn borne_under_key_of(&self, binding: &SlimBinding) -> Borne {
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
    pub(crate) fn find(&self, uid: Uid, relation: Match) -> Vec<BindingKey> {
        self.find_where(uid, |one| one == relation)
    }

    /// The bindings that bear `uid` in whatever subject, in the order of their keys.
    pub(crate) fn find_any(&self, uid: Uid) -> Vec<BindingKey> {
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
    pub(crate) fn iter(&self) -> impl Iterator<Item = Kept<'_>> {
        self.entries.iter().flatten().map(|entry| Kept {
            namespace: entry.namespace.as_deref(),
            name: &entry.name,
            role: &entry.role,
            uids: entry.uids.as_slice(),
        })
    }

    /// Gives back what a growing collection holds in reserve; worth it after a full list.
    pub(crate) fn shrink(&mut self) {
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

#[cfg(test)]
mod tests;

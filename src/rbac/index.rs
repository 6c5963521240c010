//! Which bindings name a UID, answered in O(matches) from memory.
//!
//! A watch of each kind feeds one [`Half`]. A half keeps only the bindings that bear a UID in a subject, and of those
//! only key and UIDs: with 100,000 of them it takes about 20 MiB. Everything else about a binding is read from the API
//! server when it is needed, as a backup must be anyway.

use super::{
    binding::{BindingKey, BindingKind},
    slim::SlimBinding,
    subject::{Match, UidKey},
};
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use kube::ResourceExt;
use std::{hash::BuildHasher, sync::Arc};

/// Position of an entry in a half.
type Slot = u32;

/// The bindings of one kind that bear a UID.
#[derive(Debug)]
pub struct Half {
    kind: BindingKind,
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    by_key: HashTable<Slot>,
    by_uid: HashMap<UidKey, Vec<Slot>>,
    namespaces: HashMap<Arc<str>, ()>,
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Entry {
    // Shared: a cluster has far fewer namespaces than bindings.
    namespace: Option<Arc<str>>,
    name: Box<str>,
    uids: Uids,
}

/// Most bindings bear one UID, and need no allocation for it.
#[derive(Debug)]
enum Uids {
    One((UidKey, Match)),
    Many(Box<[(UidKey, Match)]>),
}

impl Uids {
    fn as_slice(&self) -> &[(UidKey, Match)] {
        match self {
            Uids::One(one) => std::slice::from_ref(one),
            Uids::Many(many) => many,
        }
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
            namespaces: HashMap::new(),
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
            _ => Uids::Many(binding.uids.clone()),
        };
        let (namespace, name) = (binding.namespace(), binding.name_any());
        let hash = self.hasher.hash_one((namespace.as_deref(), name.as_str()));
        let entry = Entry {
            namespace: namespace.map(|n| self.intern(&n)),
            name: name.into(),
            uids,
        };
        let slot = self.free.pop().unwrap_or(self.entries.len() as Slot);
        for uid in distinct(entry.uids.as_slice()) {
            self.by_uid.entry(uid).or_default().push(slot);
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
        let (namespace, name) = (binding.namespace(), binding.name_any());
        let hash = self.hasher.hash_one((namespace.as_deref(), name.as_str()));
        let entries = &self.entries;
        let is_it = |slot: &Slot| {
            let entry = entries.get(*slot as usize).and_then(Option::as_ref);
            entry.is_some_and(|e| e.namespace.as_deref() == namespace.as_deref() && *e.name == *name)
        };
        let Ok(found) = self.by_key.find_entry(hash, is_it) else {
            return;
        };
        let (slot, _) = found.remove();
        let Some(entry) = self.entries.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        self.free.push(slot);
        for uid in distinct(entry.uids.as_slice()) {
            if let Some(slots) = self.by_uid.get_mut(&uid) {
                slots.retain(|s| *s != slot);
                if slots.is_empty() {
                    self.by_uid.remove(&uid);
                }
            }
        }
    }

    /// The UIDs kept for the key of `binding`: those that an update of it concerns, besides its new ones.
    pub fn uids_under_key_of(&self, binding: &SlimBinding) -> Vec<UidKey> {
        let (namespace, name) = (binding.namespace(), binding.name_any());
        let hash = self.hasher.hash_one((namespace.as_deref(), name.as_str()));
        let entry_at = |slot: &Slot| self.entries.get(*slot as usize).and_then(Option::as_ref);
        let found = self.by_key.find(hash, |slot| {
            entry_at(slot).is_some_and(|e| e.namespace.as_deref() == namespace.as_deref() && *e.name == *name)
        });
        found
            .and_then(entry_at)
            .map(|e| distinct(e.uids.as_slice()).collect())
            .unwrap_or_default()
    }

    /// The bindings that bear `uid` in a subject that relates to it as `relation` says, in the order of their keys.
    pub fn find(&self, uid: UidKey, relation: Match) -> Vec<BindingKey> {
        let slots = self.by_uid.get(&uid).map(Vec::as_slice).unwrap_or_default();
        let entries = slots
            .iter()
            .filter_map(|slot| self.entries.get(*slot as usize)?.as_ref());
        let mut keys: Vec<_> = entries
            .filter(|entry| entry.uids.as_slice().contains(&(uid, relation)))
            .map(|entry| BindingKey {
                kind: self.kind,
                namespace: entry.namespace.as_deref().map(str::to_owned),
                name: entry.name.to_string(),
            })
            .collect();
        keys.sort_unstable();
        keys
    }

    /// Gives back what a growing collection holds in reserve; worth it after a full list.
    pub fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.by_uid.values_mut().for_each(Vec::shrink_to_fit);
        self.by_uid.shrink_to_fit();
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_key.shrink_to_fit(|slot| hash_of(entries, hasher, *slot));
    }

    fn intern(&mut self, namespace: &str) -> Arc<str> {
        if let Some((known, ())) = self.namespaces.get_key_value(namespace) {
            return known.clone();
        }
        let known: Arc<str> = namespace.into();
        self.namespaces.insert(known.clone(), ());
        known
    }
}

fn hash_of(entries: &[Option<Entry>], hasher: &DefaultHashBuilder, slot: Slot) -> u64 {
    let entry = entries.get(slot as usize).and_then(Option::as_ref);
    entry.map_or(0, |e| hasher.hash_one((e.namespace.as_deref(), &*e.name)))
}

/// The UIDs of a list sorted by UID, each once.
fn distinct(uids: &[(UidKey, Match)]) -> impl Iterator<Item = UidKey> {
    uids.chunk_by(|a, b| a.0 == b.0)
        .filter_map(|same| same.first().map(|(uid, _)| *uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn binding(namespace: &str, name: &str, users: &[&str]) -> SlimBinding {
        let subjects: Vec<_> = users.iter().map(|n| json!({"kind": "User", "name": n})).collect();
        serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}, "subjects": subjects}))
            .unwrap()
    }

    fn names(half: &Half, uid: UidKey) -> Vec<String> {
        half.find(uid, Match::User).into_iter().map(|k| k.to_string()).collect()
    }

    #[test]
    fn finds_exactly_the_bindings_that_name_a_uid() {
        let mut half = Half::new(BindingKind::RoleBinding);
        half.apply(&binding("b", "x", &["100"]));
        half.apply(&binding("a", "x", &["200", "100-17", "100"]));
        half.apply(&binding("a", "y", &["1001", "leaver"]));
        half.apply(&binding("a", "z", &["leaver"]));
        assert_eq!(names(&half, 100), ["RoleBinding a/x", "RoleBinding b/x"]);
        assert_eq!(names(&half, 1001), ["RoleBinding a/y"]);
        assert_eq!((names(&half, 10).len(), half.len()), (0, 3));
    }

    #[test]
    fn an_update_leaves_nothing_of_the_old_subjects() {
        let mut half = Half::new(BindingKind::RoleBinding);
        half.apply(&binding("a", "x", &["100", "200"]));
        half.apply(&binding("a", "x", &["200"]));
        assert_eq!((names(&half, 100).len(), names(&half, 200).len()), (0, 1));
        assert_eq!(half.uids_under_key_of(&binding("a", "x", &[])), [200]);
        half.apply(&binding("a", "x", &[]));
        assert!(half.is_empty() && half.by_uid.is_empty());
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
        assert_eq!(names(&half, 3).len(), 143);
        for n in 0..1000u32 {
            half.remove(&binding("a", &format!("b{n}"), &[]));
        }
        assert!(half.is_empty() && half.by_uid.is_empty() && half.by_key.is_empty());
    }
}

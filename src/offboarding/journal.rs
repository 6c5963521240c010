//! What was done already, as the backups tell: the record that survives a restart, a lost status, an edited spec.

use super::outcome::{self, Blocked, Interrupted};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    rbac::{
        LiveBinding,
        backup::{self, Stored, StoredAction, StoredEntry, StoredPart, Unreadable},
        binding::NAMES_KEPT,
    },
    sources::{Backups, bindings::NAMES_AT_MOST},
};
use k8s_openapi::jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The backups made for one UserOffboarding, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// The parts that could be read and match their checksums.
    pub parts: Vec<Arc<StoredPart>>,
    /// How many names its entries hold.
    names: usize,
    /// Whether they had more.
    more_names: bool,
}

/// What of the record is gone from the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bindings that were to be deleted, and are gone.
    pub deleted: u32,
    /// Bindings that were to lose subjects, and have.
    pub subjects_removed: u32,
    /// Bindings that only bear the name, and are gone.
    pub disappeared: u32,
}

/// Reads the record of the object with this `metadata.uid`.
///
/// # Errors
/// When the backups cannot be listed.
pub(super) async fn read(backups: &Backups, object_uid: &str, now: Timestamp) -> Result<Journal, Interrupted> {
    let failed = |attempt: &'static str| move |e: kube::Error| Interrupted::Blocked(outcome::api_server(&e, attempt));
    let names = backups.names(object_uid).await;
    let mut record = Journal::default();
    for name in names.map_err(failed("Listing the backups of this object failed"))? {
        // One at a time: how large they are together, nobody bounds.
        let read = backups.get(&name).await;
        let Some(map) = read.map_err(failed("Reading the backups of this object failed"))? else {
            continue;
        };
        match backup::read(&map, now) {
            Ok(part) => record.add(part),
            Err(error) => return Err(unreadable(&error).into()),
        }
    }
    record
        .parts
        .sort_by(|a, b| (a.created, &a.config_map).cmp(&(b.created, &b.config_map)));
    Ok(record)
}

impl FromIterator<StoredPart> for Journal {
    fn from_iter<T: IntoIterator<Item = StoredPart>>(parts: T) -> Self {
        let mut record = Journal::default();
        parts.into_iter().for_each(|part| record.add(part));
        record
    }
}

impl Journal {
    /// Whether nothing was ever backed up.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn entries(&self) -> impl Iterator<Item = &StoredEntry> {
        self.parts.iter().flat_map(|part| &part.entries)
    }

    /// The proof that exactly this state of this binding is stored, for this action.
    pub fn proof(&self, binding: &LiveBinding, action: StoredAction) -> Option<Stored> {
        self.parts.iter().find_map(|part| part.proof(binding, action))
    }

    /// The subject names that were removed: the identity may have made requests under each.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().flat_map(|e| &e.names).map(String::as_str)
    }

    /// The bindings whose last stored state was to be deleted.
    pub fn to_delete(&self) -> Vec<Stored> {
        let mut last: BTreeMap<String, Option<Stored>> = BTreeMap::new();
        for part in &self.parts {
            for entry in part.entries.iter().filter(|e| e.action != StoredAction::Keep) {
                last.insert(entry.uid.clone(), None);
            }
            for stored in part.to_delete() {
                last.insert(stored.uid().to_owned(), Some(stored));
            }
        }
        last.into_values().flatten().collect()
    }

    /// What is gone, given what is left: `found` holds the bindings that name the UID, `lookalikes` those that only
    /// bear its name.
    pub fn counts(&self, found: &[Arc<LiveBinding>], lookalikes: &[Arc<LiveBinding>]) -> Counts {
        let is_in = |list: &[Arc<LiveBinding>], uid: &str| list.iter().any(|b| b.uid == uid);
        let mut counts = Counts::default();
        // The last word on a binding counts: a shared one that we shrank may be one that ACK's purge took.
        let mut seen = BTreeSet::new();
        for entry in self.parts.iter().rev().flat_map(|part| &part.entries) {
            if !seen.insert(entry.uid.as_str()) || is_in(found, &entry.uid) {
                continue;
            }
            match entry.action {
                StoredAction::Delete => counts.deleted += 1,
                StoredAction::RemoveSubject => counts.subjects_removed += 1,
                StoredAction::Keep if !is_in(lookalikes, &entry.uid) => counts.disappeared += 1,
                StoredAction::Keep if self.was_shrunk(&entry.uid) => counts.subjects_removed += 1,
                StoredAction::Keep => {}
            }
        }
        counts
    }

    /// How many bindings were to be deleted, and how many to lose subjects: the last word on each counts.
    pub fn removed(&self) -> (usize, usize) {
        let mut last = BTreeMap::new();
        for entry in self.entries().filter(|e| e.action != StoredAction::Keep) {
            last.insert(entry.uid.as_str(), entry.action);
        }
        let deleted = last.values().filter(|a| **a == StoredAction::Delete).count();
        (deleted, last.len() - deleted)
    }

    fn was_shrunk(&self, uid: &str) -> bool {
        self.entries()
            .any(|e| e.uid == uid && e.action == StoredAction::RemoveSubject)
    }

    pub fn bindings(&self) -> u32 {
        self.entries().map(|e| e.uid.as_str()).collect::<BTreeSet<_>>().len() as u32
    }

    /// Whether the identity had more names than [`names`](Self::names) gives: of a binding with very many, and of very many bindings, not
    /// all are kept.
    pub fn has_more_names(&self) -> bool {
        self.more_names
    }

    /// Takes in a part that was written, without the names that are more than are kept.
    pub fn add(&mut self, part: impl Into<Arc<StoredPart>>) {
        let mut part = part.into();
        if self.parts.iter().any(|p| p.config_map == part.config_map) {
            return;
        }
        let names: usize = part.entries.iter().map(|entry| entry.names.len()).sum();
        self.more_names |= part.entries.iter().any(|entry| entry.names.len() >= NAMES_KEPT);
        if self.names + names > NAMES_AT_MOST {
            for entry in &mut Arc::make_mut(&mut part).entries {
                if self.names + entry.names.len() > NAMES_AT_MOST {
                    self.more_names |= !entry.names.is_empty();
                    entry.names = Vec::new();
                }
                self.names += entry.names.len();
            }
        } else {
            self.names += names;
        }
        self.parts.push(part);
    }
}

/// The hold for a ConfigMap with the labels of this object's backup that is none, or not whole: what was done is not
/// known then.
fn unreadable(error: &Unreadable) -> Blocked {
    let message = format!(
        "{error}. Its labels say that it is a backup of this UserOffboarding. Backups are the record of what was done, so the operator does \
         nothing more until this is settled. Find out what created or changed the ConfigMap (a mutating webhook or policy, say), keep \
         a copy, and remove it as described in docs/operations.md. The operator checks again every hour."
    );
    Blocked::recheck(Reason::VerifyFailed, message).about(Condition::BackedUp, Is::False)
}

#[cfg(test)]
mod tests;

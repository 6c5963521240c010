//! What was done already, as the backups tell: the record that survives a restart, a lost status, an edited spec.

use super::{
    context::Context,
    outcome::{Blocked, Interrupted},
};
use crate::api::{ConditionStatus as Is, ConditionType as Condition, Reason};
use crate::rbac::{
    LiveBinding,
    backup::{self, Stored, StoredAction, StoredEntry, StoredPart, Unreadable},
    binding::NAMES_KEPT,
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PartialObjectMeta},
};
use std::collections::{BTreeMap, BTreeSet};

/// How many names of the leaver's subjects are kept in all: of a binding that has more than are kept, the search of the audit log knows.
pub const NAMES_AT_MOST: usize = 10_000;

/// The backups made for one UserOffboarding, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    /// The parts that could be read and match their checksums.
    pub parts: Vec<StoredPart>,
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
pub async fn read(ctx: &Context, object_uid: &str) -> Result<Journal, Interrupted> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let failed = |e: kube::Error| {
        Interrupted::Blocked(super::outcome::api_server(
            &e,
            "Reading the backups of this object failed",
        ))
    };
    let mut record = Journal::default();
    for name in names(ctx, object_uid).await? {
        // One at a time: how large they are together, nobody bounds.
        let Some(map) = api.get_opt(&name).await.map_err(failed)? else {
            continue;
        };
        match backup::read(&map, Timestamp::now()) {
            Ok(part) => record.add(part),
            Err(error) => return Err(unreadable(&error).into()),
        }
    }
    record
        .parts
        .sort_by(|a, b| (a.created, &a.config_map).cmp(&(b.created, &b.config_map)));
    Ok(record)
}

/// The names of the ConfigMaps with the backups of this object.
///
/// # Errors
/// When they cannot be listed.
pub async fn names(ctx: &Context, object_uid: &str) -> Result<BTreeSet<String>, Interrupted> {
    let listed = list(ctx, &format!("{}={object_uid}", backup::object_label())).await;
    let listed = listed.map_err(|error| {
        Interrupted::Blocked(super::outcome::api_server(
            &error,
            "Listing the backups of this object failed",
        ))
    })?;
    Ok(listed.iter().map(ResourceExt::name_any).collect())
}

/// The ConfigMaps of the operator's namespace with these labels, by their metadata: how large they are together, nobody bounds.
///
/// # Errors
/// When they cannot be listed.
pub async fn list(ctx: &Context, labels: &str) -> kube::Result<Vec<PartialObjectMeta<ConfigMap>>> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let mut params = ListParams::default().labels(labels).limit(500);
    let mut found = Vec::new();
    loop {
        let page = api.list_metadata(&params).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
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

    /// All entries.
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
    pub fn counts(&self, found: &[LiveBinding], lookalikes: &[LiveBinding]) -> Counts {
        let is_in = |list: &[LiveBinding], uid: &str| list.iter().any(|b| b.uid == uid);
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

    /// How many bindings are stored.
    pub fn bindings(&self) -> u32 {
        self.entries().map(|e| e.uid.as_str()).collect::<BTreeSet<_>>().len() as u32
    }

    /// Whether the identity had more names than [`names`](Self::names) gives: of a binding with very many, and of very many bindings, not
    /// all are kept.
    pub fn has_more_names(&self) -> bool {
        self.more_names
    }

    /// Takes in a part that was written, without the names that are more than are kept.
    pub fn add(&mut self, mut part: StoredPart) {
        if self.parts.iter().any(|p| p.config_map == part.config_map) {
            return;
        }
        for entry in &mut part.entries {
            self.more_names |= entry.names.len() >= NAMES_KEPT;
            if self.names + entry.names.len() > NAMES_AT_MOST {
                self.more_names |= !entry.names.is_empty();
                entry.names = Vec::new();
            }
            self.names += entry.names.len();
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

//! What was done already, as the backups tell: the record that survives a restart, a lost status, an edited spec.

use super::{context::Context, hold::Stop};
use crate::{
    api::{Reason, UserOffboardingStatus},
    rbac::{
        LiveBinding,
        backup::{self, StoredAction, StoredEntry, StoredPart},
        subject::UidKey,
    },
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{Api, api::ListParams};
use std::collections::{BTreeMap, BTreeSet};

/// The backups made for one UserOffboarding, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The parts that could be read and match their checksums.
    pub parts: Vec<StoredPart>,
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
pub async fn read(ctx: &Context, object_uid: &str) -> Result<Record, Stop> {
    let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &ctx.settings.namespace);
    let mut params = ListParams::default()
        .labels(&format!("{}={object_uid}", backup::object_label()))
        .limit(20);
    let mut parts = Vec::new();
    loop {
        let page = api.list(&params).await.map_err(|error| {
            Stop::Hold(super::hold::api_server(
                &error,
                "Listing the backups of this object failed",
            ))
        })?;
        for map in &page.items {
            match backup::read(map) {
                Ok(part) => parts.push(part),
                Err(error) => return Err(super::backup::unreadable(&error).into()),
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    parts.sort_by(|a, b| (a.created, &a.config_map).cmp(&(b.created, &b.config_map)));
    Ok(Record { parts })
}

impl Record {
    /// Whether nothing was ever backed up.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// All entries.
    pub fn entries(&self) -> impl Iterator<Item = &StoredEntry> {
        self.parts.iter().flat_map(|part| &part.entries)
    }

    /// Whether exactly this state of this binding is stored, for this action.
    pub fn holds(&self, binding: &LiveBinding, action: StoredAction) -> bool {
        let content = backup::sha256(binding.raw.to_string().as_bytes());
        let same = |e: &StoredEntry| {
            e.uid == binding.uid && e.resource_version == binding.resource_version && e.sha256 == content
        };
        self.entries().any(|e| same(e) && e.action == action)
    }

    /// The subject names that were removed: the identity may have made requests under each.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries().flat_map(|e| &e.names).map(String::as_str)
    }

    /// The parts that were made since the last completion.
    fn of_this_run<'a>(&'a self, status: &UserOffboardingStatus) -> impl DoubleEndedIterator<Item = &'a StoredPart> {
        let end = status.completed_at.as_ref().map(|completed| end_of_second(completed.0));
        self.parts
            .iter()
            .filter(move |part| end.is_none_or(|end| part.created > end))
    }

    /// The fingerprints of the bindings that the plans of this run held: what was approved stays approved.
    pub fn fingerprints(&self, status: &UserOffboardingStatus) -> BTreeSet<&str> {
        let entries = self.of_this_run(status).flat_map(|part| &part.entries);
        entries
            .map(|e| e.fingerprint.as_str())
            .filter(|f| !f.is_empty())
            .collect()
    }

    /// Why the last plan of this run could be carried out.
    pub fn decision(&self, status: &UserOffboardingStatus) -> Option<Reason> {
        self.of_this_run(status)
            .next_back()
            .and_then(|part| Reason::parse(&part.decision))
    }

    /// When the last part was made.
    pub fn newest(&self) -> Option<Timestamp> {
        self.parts.last().map(|part| part.created)
    }

    /// Whether a run has begun and not come to its end.
    ///
    /// It has when a backup is younger than the last completion. If the status was lost, nobody knows of a
    /// completion: then only the bindings tell, and bindings that were never backed up are a new run.
    pub fn in_progress(&self, status: &UserOffboardingStatus, found: &[LiveBinding], kubeconfig_left: bool) -> bool {
        if self.of_this_run(status).next().is_none() {
            return false;
        }
        let completed = status.completed_at.as_ref().map(|t| t.0);
        let known_start = status
            .started_at
            .as_ref()
            .is_some_and(|started| completed.is_none_or(|c| started.0 > c));
        known_start
            || (found.is_empty() && !kubeconfig_left)
            || found.iter().any(|b| self.entries().any(|e| e.uid == b.uid))
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

    /// Whether any state of the binding with this uid is stored.
    pub fn knows(&self, uid: &str) -> bool {
        self.entries().any(|e| e.uid == uid)
    }

    fn was_shrunk(&self, uid: &str) -> bool {
        self.entries()
            .any(|e| e.uid == uid && e.action == StoredAction::RemoveSubject)
    }

    /// How many bindings are stored.
    pub fn bindings(&self) -> u32 {
        self.entries().map(|e| e.uid.as_str()).collect::<BTreeSet<_>>().len() as u32
    }

    /// Takes in a part that was just written.
    pub fn add(&mut self, part: StoredPart) {
        if !self.parts.iter().any(|p| p.config_map == part.config_map) {
            self.parts.push(part);
        }
    }
}

/// The status keeps whole seconds: a backup of the same second is older than the completion that followed it.
fn end_of_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second() + 1).unwrap_or(time)
}

/// The names under which the identity is bound, for the search of the audit log.
pub fn names_in_use<'a>(found: &'a [LiveBinding], record: &'a Record, uid: UidKey) -> BTreeSet<&'a str> {
    found
        .iter()
        .flat_map(|b| b.names_of(uid))
        .chain(record.names())
        .collect()
}

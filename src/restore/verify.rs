//! Which backups count, and which state of a binding comes back.

use super::wanted::Wanted;
use crate::rbac::backup::{self, StoredAction, StoredPart, Unreadable};
use alibaba_cloud::Uid;
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use std::collections::BTreeMap;

/// A part of a backup that was read: its checksums, its lists and what its index says of them agree.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The RAM identity that was offboarded.
    pub uid: Uid,
    /// What it says of itself.
    pub part: StoredPart,
    /// What it can give back, in its order.
    pub states: Vec<Wanted>,
}

/// Reads a ConfigMap of the operator's `namespace` as a backup.
///
/// # Errors
/// When it is in another namespace, can be changed, is not whole, is dated in the future, or its index says of a binding what its
/// original does not.
pub fn verify(map: &ConfigMap, namespace: &str, now: Timestamp) -> Result<Verified, Unreadable> {
    let name = map.metadata.name.clone().unwrap_or_default();
    let unreadable = |what: String| Unreadable {
        name: format!("{}/{name}", map.metadata.namespace.as_deref().unwrap_or_default()),
        what,
    };
    if map.metadata.namespace.as_deref() != Some(namespace) {
        return Err(unreadable(format!(
            "it is not in the operator's namespace {namespace}, the only one that the policy of backups protects"
        )));
    }
    let (part, texts) = backup::read_with_texts(map, now)?;
    // It was compared with the index.
    let label = map.metadata.labels.as_ref().and_then(|l| l.get(&backup::uid_label()));
    let uid: Uid = label
        .and_then(|uid| uid.parse().ok())
        .ok_or_else(|| unreadable("its UID is not a valid UID".to_owned()))?;
    let states = part.entries.iter().zip(&texts);
    let states = states
        .map(|(entry, text)| Wanted::of(uid, &part.config_map, part.created, entry, text))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    Ok(Verified { uid, part, states })
}

/// The state of a binding that comes back, and where the older ones are.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The newest that has subjects.
    pub wanted: Wanted,
    /// The ConfigMaps with older states, the newest first.
    pub older: Vec<String>,
}

/// Of each binding, the newest state that has subjects. What the offboarding removed comes first, in the order of keys; then, of what it
/// kept, what it did not remove later.
pub fn newest(backups: Vec<Verified>) -> Vec<Chosen> {
    let mut found: BTreeMap<(bool, _), Vec<Wanted>> = BTreeMap::new();
    for wanted in backups.into_iter().flat_map(|backup| backup.states) {
        // A binding that names nobody gives nothing back: it was stored between two removals.
        if !wanted.subjects.is_empty() {
            let of = (wanted.action == StoredAction::Keep, wanted.key.clone());
            found.entry(of).or_default().push(wanted);
        }
    }
    let chosen = found.into_values().filter_map(|mut states| {
        states.sort_by(|a, b| (a.stored, &a.config_map).cmp(&(b.stored, &b.config_map)));
        let wanted = states.pop()?;
        let older = states.into_iter().rev().map(|state| state.config_map).collect();
        Some(Chosen { wanted, older })
    });
    chosen.collect()
}

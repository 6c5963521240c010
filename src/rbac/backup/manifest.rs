//! The manifests that a person restores from with kubectl.

use super::{entry::StoredAction, index::IndexEntry};
use crate::rbac::subject::RBAC_GROUP;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};

impl StoredAction {
    fn manifest(self) -> &'static str {
        match self {
            StoredAction::Delete => "deleted.yaml",
            StoredAction::RemoveSubject => "shrunk.yaml",
            StoredAction::Keep => "kept.yaml",
        }
    }
}

/// The manifests that restore these bindings, by the name of their file.
pub(super) fn manifests(entries: &[IndexEntry<'_>]) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let mut files = BTreeMap::new();
    for action in [StoredAction::Delete, StoredAction::RemoveSubject, StoredAction::Keep] {
        let items = entries.iter().filter(|e| e.action == action);
        let items: Vec<String> = items
            .map(|e| restorable(&e.kind, e.original))
            .collect::<Result<_, _>>()?;
        if !items.is_empty() {
            let list = items.join(",\n");
            let file = format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{list}\n]}}\n");
            files.insert(action.manifest().to_owned(), file);
        }
    }
    Ok(files)
}

/// The manifest that brings a binding back: without what the API server gave it, and what would tie it to others.
pub(super) fn restorable(kind: &str, original: &RawValue) -> Result<String, serde_json::Error> {
    let mut manifest: BTreeMap<Cow<'_, str>, Cow<'_, RawValue>> = borrowed_map(original.get())?;
    if let Some(metadata) = manifest.get("metadata") {
        let mut metadata: BTreeMap<Cow<'_, str>, Cow<'_, RawValue>> = borrowed_map(metadata.get())?;
        for field in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "managedFields",
            "ownerReferences",
            "finalizers",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
        ] {
            metadata.remove(field);
        }
        let metadata = serde_json::value::to_raw_value(&metadata)?;
        manifest.insert("metadata".into(), Cow::Owned(metadata));
    }
    // Objects out of a list come without them.
    for (field, value) in [("apiVersion", format!("{RBAC_GROUP}/v1")), ("kind", kind.to_owned())] {
        manifest.insert(field.into(), Cow::Owned(serde_json::value::to_raw_value(&value)?));
    }
    serde_json::to_string(&manifest)
}

fn borrowed_map(text: &str) -> Result<BTreeMap<Cow<'_, str>, Cow<'_, RawValue>>, serde_json::Error> {
    let map: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    Ok(map
        .into_iter()
        .map(|(key, value)| (Cow::Owned(key), Cow::Borrowed(value)))
        .collect())
}

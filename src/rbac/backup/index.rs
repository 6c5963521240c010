//! The form of `index.json`.

use super::entry::{Entry, StoredAction};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(super) const INDEX: &str = "index.json";

/// The format of `index.json`.
pub(super) const FORMAT: u32 = 2;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index<'a> {
    pub(super) format_version: u32,
    #[serde(rename = "clusterID")]
    pub(super) cluster_id: String,
    pub(super) uid: String,
    pub(super) object: ObjectId,
    pub(super) run: Run,
    #[serde(borrow)]
    pub(super) bindings: Vec<IndexEntry<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ObjectId {
    pub(super) name: String,
    pub(super) uid: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) plan_digest: String,
    pub(super) decision: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct IndexEntry<'a> {
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) action: StoredAction,
    pub(super) subjects: Vec<String>,
    pub(super) fingerprint: String,
    pub(super) sha256: String,
    #[serde(borrow)]
    pub(super) original: &'a RawValue,
}

impl<'a> IndexEntry<'a> {
    pub(super) fn of(entry: &'a Entry) -> Result<Self, serde_json::Error> {
        let key = &entry.record.binding.key;
        Ok(IndexEntry {
            kind: key.kind.as_str().to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: entry.record.binding.uid.clone(),
            resource_version: entry.record.binding.resource_version.clone(),
            action: entry.record.action,
            subjects: match entry.record.action {
                StoredAction::Keep => Vec::new(),
                _ => entry.record.binding.names.clone(),
            },
            fingerprint: entry.record.fingerprint.clone(),
            sha256: entry.record.binding.sha256.clone(),
            original: serde_json::from_str(&entry.text)?,
        })
    }
}

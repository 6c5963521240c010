//! The format of backups: immutable ConfigMaps, named by their content.
//!
//! | key | content |
//! |---|---|
//! | `index.json` | every binding of this part: key, uid, resourceVersion, action, the original object whole, its sha256 |
//! | `deleted.yaml` | a `v1 List` of the bindings to be deleted: `kubectl create -f -` restores them |
//! | `shrunk.yaml` | a `v1 List` of the bindings that lose a subject: to be merged by hand, never applied over later changes |
//! | `kept.yaml` | a `v1 List` of the bindings that only bear the UID's name: in case ACK's purge takes them |
//!
//! The lists are written as JSON, which is YAML that no dialect misreads (a label called `on`, a name like `1e3`).
//! What does not fit in a ConfigMap is stored gzipped, under the same keys with `.gz`, in `binaryData`.

mod read;

pub use read::{is_same, read};

use super::{
    binding::{BindingKey, LiveBinding},
    subject::RBAC_GROUP,
};
use crate::{api::GROUP, uid::Uid};
use flate2::{Compression, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, jiff::Timestamp};
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, io::Write};

/// A part stays under this many bytes of data; the API server refuses a ConfigMap with more than 1 MiB.
pub const PART_LIMIT: usize = 900 * 1024;

const INDEX: &str = "index.json";

/// The label with the RAM UID.
pub fn uid_label() -> String {
    format!("{GROUP}/ram-uid")
}

/// The label with the `metadata.uid` of the UserOffboarding.
pub fn object_label() -> String {
    format!("{GROUP}/object-uid")
}

/// For what a backup is made.
#[derive(Clone, Debug)]
pub struct Purpose {
    /// The ACK cluster.
    pub cluster_id: String,
    /// The RAM identity.
    pub uid: Uid,
    /// The UserOffboarding's name.
    pub object_name: String,
    /// The UserOffboarding's `metadata.uid`.
    pub object_uid: String,
    /// The digest of the plan that is carried out.
    pub plan_digest: String,
    /// Why it may be: the reason of `Approved`.
    pub decision: String,
}

/// What happens to a binding after it was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoredAction {
    /// It is deleted.
    Delete,
    /// It loses the leaver's subjects.
    RemoveSubject,
    /// Nothing, by us: it only bears the UID's name.
    Keep,
}

impl StoredAction {
    fn manifest(self) -> &'static str {
        match self {
            StoredAction::Delete => "deleted.yaml",
            StoredAction::RemoveSubject => "shrunk.yaml",
            StoredAction::Keep => "kept.yaml",
        }
    }
}

/// A binding to be stored.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The binding, as it was read for this purpose.
    pub binding: LiveBinding,
    /// What will happen to it.
    pub action: StoredAction,
    /// The names of the subjects that it loses.
    pub names: Vec<String>,
    /// The fingerprint of its place in the plan; empty for `Keep`.
    pub fingerprint: String,
}

/// A binding that was stored, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Which binding.
    pub key: BindingKey,
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its `metadata.resourceVersion`.
    pub resource_version: String,
    /// What was to happen to it.
    pub action: StoredAction,
    /// The names of the subjects that it was to lose.
    pub names: Vec<String>,
    /// The fingerprint of its place in the plan.
    pub fingerprint: String,
    /// The sha256 of its content.
    pub sha256: String,
}

/// One part of a backup, read back.
#[derive(Clone, Debug)]
pub struct StoredPart {
    /// The ConfigMap's name.
    pub config_map: String,
    /// When it was made.
    pub created: Timestamp,
    /// The digest of the plan that it was made for.
    pub plan_digest: String,
    /// Why the plan could be carried out: the reason of `Approved`.
    pub decision: String,
    /// What it holds.
    pub entries: Vec<StoredEntry>,
}

/// A binding that does not fit in a ConfigMap, even gzipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} is too large to be backed up: even compressed, its backup takes {:.1} MiB, more than a ConfigMap holds",
    *bytes as f64 / f64::from(1 << 20)
)]
pub struct TooLarge {
    /// Which binding.
    pub key: BindingKey,
    /// What its backup would take.
    pub bytes: usize,
}

/// A ConfigMap with our labels that is not what we write.
#[derive(Debug, thiserror::Error)]
#[error("ConfigMap {name} is not a backup that can be read: {what}")]
pub struct Unreadable {
    /// The ConfigMap's namespace and name.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    format_version: u32,
    #[serde(rename = "clusterID")]
    cluster_id: String,
    uid: String,
    object: ObjectId,
    plan: PlanId,
    bindings: Vec<IndexEntry>,
}

#[derive(Serialize, Deserialize)]
struct ObjectId {
    name: String,
    uid: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PlanId {
    digest: String,
    decision: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexEntry {
    kind: String,
    namespace: Option<String>,
    name: String,
    uid: String,
    resource_version: String,
    action: StoredAction,
    subjects: Vec<String>,
    fingerprint: String,
    sha256: String,
    original: Value,
}

impl IndexEntry {
    fn of(entry: &Entry) -> Self {
        let key = &entry.binding.key;
        IndexEntry {
            kind: key.kind.as_str().to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: entry.binding.uid.clone(),
            resource_version: entry.binding.resource_version.clone(),
            action: entry.action,
            subjects: entry.names.clone(),
            fingerprint: entry.fingerprint.clone(),
            sha256: sha256(entry.binding.raw.to_string().as_bytes()),
            original: entry.binding.raw.clone(),
        }
    }
}

/// Writes `entries` as ConfigMaps in `namespace`, but for those that do not fit in one. The same entries and purpose give
/// the same names and data.
pub fn write(
    purpose: &Purpose,
    entries: &[Entry],
    namespace: &str,
    now: Timestamp,
) -> Vec<Result<ConfigMap, TooLarge>> {
    let parts = split(entries);
    let total = parts.len();
    let numbered = parts.into_iter().enumerate();
    numbered
        .map(|(i, part)| config_map(purpose, part, namespace, now, (i + 1, total)))
        .collect()
}

/// Groups entries so that each part stays under the limit, uncompressed, if it holds more than one.
fn split(entries: &[Entry]) -> Vec<&[Entry]> {
    // Each binding stands twice in a part, once indented; what surrounds it is small.
    let size = |entry: &Entry| 3 * entry.binding.raw.to_string().len() + 1024;
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (i, entry) in entries.iter().enumerate() {
        if i > start && bytes + size(entry) > PART_LIMIT {
            parts.push(start..i);
            (start, bytes) = (i, 0);
        }
        bytes += size(entry);
    }
    if start < entries.len() {
        parts.push(start..entries.len());
    }
    parts.into_iter().filter_map(|range| entries.get(range)).collect()
}

fn config_map(
    purpose: &Purpose,
    entries: &[Entry],
    namespace: &str,
    now: Timestamp,
    (part, parts): (usize, usize),
) -> Result<ConfigMap, TooLarge> {
    let index = Index {
        format_version: 1,
        cluster_id: purpose.cluster_id.clone(),
        uid: purpose.uid.to_string(),
        object: ObjectId {
            name: purpose.object_name.clone(),
            uid: purpose.object_uid.clone(),
        },
        plan: PlanId {
            digest: purpose.plan_digest.clone(),
            decision: purpose.decision.clone(),
        },
        bindings: entries.iter().map(IndexEntry::of).collect(),
    };
    let mut files = BTreeMap::from([(INDEX.to_owned(), json!(index).to_string())]);
    for action in [StoredAction::Delete, StoredAction::RemoveSubject, StoredAction::Keep] {
        let items: Vec<_> = entries
            .iter()
            .filter(|e| e.action == action)
            .map(|e| restorable(&e.binding))
            .collect();
        if !items.is_empty() {
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
            files.insert(action.manifest().to_owned(), format!("{list:#}\n"));
        }
    }
    let mut map = ConfigMap {
        immutable: Some(true),
        ..ConfigMap::default()
    };
    if files.values().map(String::len).sum::<usize>() <= PART_LIMIT {
        map.data = Some(files);
    } else {
        let packed: BTreeMap<_, _> = files
            .into_iter()
            .map(|(name, text)| (format!("{name}.gz"), ByteString(gzip(&text))))
            .collect();
        let bytes = packed.values().map(|p| p.0.len()).sum::<usize>();
        // More than one are in a part only if they fit without compression.
        if let (true, Some(entry)) = (bytes > PART_LIMIT, entries.first()) {
            let key = entry.binding.key.clone();
            return Err(TooLarge { key, bytes });
        }
        map.binary_data = Some(packed);
    }
    let digest = content_digest(&map);
    // 80 bits of the digest: names collide by accident never, and a collision on purpose is refused by the comparison.
    let name_hash = sha256(format!("{}/{digest}", purpose.object_uid).as_bytes())[..20].to_owned();
    map.metadata = ObjectMeta {
        name: Some(format!("offboarding-{}-{name_hash}", purpose.uid)),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([
            (
                "app.kubernetes.io/managed-by".to_owned(),
                "ack-offboarding-operator".to_owned(),
            ),
            (uid_label(), purpose.uid.to_string()),
            (object_label(), purpose.object_uid.clone()),
        ])),
        annotations: Some(BTreeMap::from([
            (format!("{GROUP}/cluster-id"), purpose.cluster_id.clone()),
            (format!("{GROUP}/created-at"), now.to_string()),
            (format!("{GROUP}/part"), format!("{part}/{parts}")),
            (format!("{GROUP}/sha256"), digest),
        ])),
        ..ObjectMeta::default()
    };
    Ok(map)
}

/// The manifest that brings a binding back: without what the API server gave it, and what would tie it to others.
fn restorable(binding: &LiveBinding) -> Value {
    let mut manifest = binding.raw.clone();
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
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
    }
    if let Some(object) = manifest.as_object_mut() {
        // Objects out of a list come without them.
        object.insert("apiVersion".to_owned(), json!(format!("{RBAC_GROUP}/v1")));
        object.insert("kind".to_owned(), json!(binding.key.kind.as_str()));
    }
    manifest
}

fn content_digest(map: &ConfigMap) -> String {
    sha256(json!([map.data, map.binary_data]).to_string().as_bytes())
}

/// Hexadecimal sha256.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail; if it did, the comparison after the read-back would.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests;

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

use super::{
    binding::{BindingKey, BindingKind, LiveBinding},
    subject::RBAC_GROUP,
};
use crate::{api::GROUP, uid::Uid};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, jiff::Timestamp};
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

/// A part stays under this many bytes of data; the API server refuses a ConfigMap with more than 1 MiB.
pub const PART_LIMIT: usize = 900 * 1024;

/// No part unpacks to more than this: a ConfigMap that claims to is not ours.
const UNPACK_LIMIT: u64 = 256 * 1024 * 1024;

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

/// A backup that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Even gzipped it does not fit in a ConfigMap.
    #[error(
        "{key} takes {bytes} bytes even when compressed, more than a ConfigMap holds: back it up and remove it by hand"
    )]
    TooLarge {
        /// Which binding.
        key: BindingKey,
        /// Its size.
        bytes: usize,
    },
    /// A ConfigMap with our labels is not what we write.
    #[error("ConfigMap {name} is not a backup that can be read: {what}")]
    Unreadable {
        /// The ConfigMap's name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
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

/// Writes `entries` as ConfigMaps in `namespace`. The same entries and purpose give the same names and data.
///
/// # Errors
/// When one binding alone does not fit in a ConfigMap.
pub fn write(
    purpose: &Purpose,
    entries: &[Entry],
    namespace: &str,
    now: Timestamp,
) -> Result<Vec<ConfigMap>, FormatError> {
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
) -> Result<ConfigMap, FormatError> {
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
        if let (true, Some(entry)) = (bytes > PART_LIMIT, entries.first()) {
            return Err(FormatError::TooLarge {
                key: entry.binding.key.clone(),
                bytes,
            });
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

/// Whether a ConfigMap that was read holds exactly what was written: data, and that it cannot be changed.
pub fn is_same(written: &ConfigMap, read: &ConfigMap) -> bool {
    let own_labels = |map: &ConfigMap| {
        let label = |key: &str| map.metadata.labels.as_ref().and_then(|l| l.get(key)).cloned();
        (label(&uid_label()), label(&object_label()))
    };
    read.immutable == Some(true)
        && written.data.clone().unwrap_or_default() == read.data.clone().unwrap_or_default()
        && written.binary_data.clone().unwrap_or_default() == read.binary_data.clone().unwrap_or_default()
        && own_labels(written) == own_labels(read)
}

/// Reads a part, after comparing it with its checksum.
///
/// # Errors
/// When it is not a part, or not whole.
pub fn read(map: &ConfigMap) -> Result<StoredPart, FormatError> {
    let name = map.metadata.name.clone().unwrap_or_default();
    let unreadable = |what: &str| FormatError::Unreadable {
        name: name.clone(),
        what: what.to_owned(),
    };
    let annotation = |key: &str| {
        map.metadata
            .annotations
            .as_ref()
            .and_then(|a| a.get(&format!("{GROUP}/{key}")))
    };
    if annotation("sha256") != Some(&content_digest(map)) {
        return Err(unreadable("its data does not match its sha256 annotation"));
    }
    let created = annotation("created-at")
        .and_then(|t| t.parse().ok())
        .ok_or_else(|| unreadable("it has no time"))?;
    let plain = map.data.as_ref().and_then(|d| d.get(INDEX)).cloned();
    let packed = || {
        map.binary_data
            .as_ref()?
            .get(&format!("{INDEX}.gz"))
            .and_then(|p| gunzip(&p.0))
    };
    let index = plain
        .or_else(packed)
        .ok_or_else(|| unreadable("it has no index.json"))?;
    let index: Index = serde_json::from_str(&index).map_err(|e| unreadable(&format!("index.json: {e}")))?;
    let entry = |e: IndexEntry| {
        if sha256(e.original.to_string().as_bytes()) != e.sha256 {
            return Err(unreadable(&format!("the checksum of {} does not match", e.name)));
        }
        let kind = BindingKind::parse(&e.kind).ok_or_else(|| unreadable(&format!("unknown kind {}", e.kind)))?;
        Ok(StoredEntry {
            key: BindingKey {
                kind,
                namespace: e.namespace,
                name: e.name,
            },
            uid: e.uid,
            resource_version: e.resource_version,
            action: e.action,
            names: e.subjects,
            fingerprint: e.fingerprint,
        })
    };
    let entries = index.bindings.into_iter().map(entry).collect::<Result<_, _>>()?;
    let PlanId { digest, decision } = index.plan;
    Ok(StoredPart {
        config_map: name.clone(),
        created,
        plan_digest: digest,
        decision,
        entries,
    })
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

fn gunzip(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    GzDecoder::new(bytes)
        .take(UNPACK_LIMIT)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose() -> Purpose {
        Purpose {
            cluster_id: "c1".into(),
            uid: "100".parse().unwrap(),
            object_name: "left".into(),
            object_uid: "o-1".into(),
            plan_digest: "sha256:0".into(),
            decision: "Automatic".into(),
        }
    }

    fn entry(name: &str, action: StoredAction, padding: &str) -> Entry {
        let key = BindingKey {
            kind: BindingKind::RoleBinding,
            namespace: Some("n".into()),
            name: name.into(),
        };
        let raw = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "futureField": {"a": [1, null]},
            "metadata": {"name": name, "namespace": "n", "uid": format!("u-{name}"), "resourceVersion": "7", "managedFields": [{}],
                         "ownerReferences": [{}], "finalizers": ["x"], "labels": {"on": "1e3"}, "annotations": {"p": padding}},
            "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "100"}],
        });
        let binding = LiveBinding::parse(key, raw).unwrap();
        Entry {
            binding,
            action,
            names: vec!["100".into()],
            fingerprint: format!("f-{name}"),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_same_content_has_the_same_name_and_other_content_another() {
        let entries = [entry("a", StoredAction::Delete, "")];
        let first = &write(&purpose(), &entries, "ns", at(1)).unwrap()[0];
        let again = &write(&purpose(), &entries, "ns", at(2)).unwrap()[0];
        assert_eq!(
            (&first.metadata.name, is_same(first, again)),
            (&again.metadata.name, true)
        );
        let other_object = Purpose {
            object_uid: "o-2".into(),
            ..purpose()
        };
        let other_content = [entry("a", StoredAction::Delete, "x")];
        for other in [
            write(&other_object, &entries, "ns", at(1)),
            write(&purpose(), &other_content, "ns", at(1)),
        ] {
            assert_ne!(first.metadata.name, other.unwrap()[0].metadata.name);
        }
    }

    #[test]
    fn a_part_reads_back_as_it_was_written() {
        let entries = [
            entry("a", StoredAction::Delete, ""),
            entry("b", StoredAction::RemoveSubject, ""),
            entry("c", StoredAction::Keep, ""),
        ];
        let map = &write(&purpose(), &entries, "ns", at(5)).unwrap()[0];
        let part = read(map).unwrap();
        assert_eq!(
            (part.created, part.plan_digest.as_str(), part.decision.as_str()),
            (at(5), "sha256:0", "Automatic")
        );
        let stored: Vec<_> = part
            .entries
            .iter()
            .map(|e| (e.key.name.as_str(), e.uid.as_str(), e.action))
            .collect();
        assert_eq!(
            stored,
            [
                ("a", "u-a", StoredAction::Delete),
                ("b", "u-b", StoredAction::RemoveSubject),
                ("c", "u-c", StoredAction::Keep)
            ]
        );
        let data = map.data.as_ref().unwrap();
        let deleted: Value = serde_json::from_str(&data["deleted.yaml"]).unwrap();
        let item = &deleted["items"][0];
        assert_eq!(
            (&item["futureField"], &item["metadata"]["labels"]["on"]),
            (&json!({"a": [1, null]}), &json!("1e3"))
        );
        for gone in [
            "uid",
            "resourceVersion",
            "managedFields",
            "ownerReferences",
            "finalizers",
        ] {
            assert!(item["metadata"].get(gone).is_none(), "{gone}");
        }
        let index: Value = serde_json::from_str(&data["index.json"]).unwrap();
        assert_eq!(
            index["bindings"][0]["original"], entries[0].binding.raw,
            "the original is whole"
        );
    }

    #[test]
    fn many_bindings_make_many_parts_and_a_huge_one_is_compressed() {
        let padding = "x".repeat(100_000);
        let mut entries: Vec<_> = (0..20)
            .map(|i| entry(&format!("b{i}"), StoredAction::Delete, &padding))
            .collect();
        entries.push(entry("huge", StoredAction::Delete, &"y".repeat(1_400_000)));
        let parts = write(&purpose(), &entries, "ns", at(1)).unwrap();
        let size = |map: &ConfigMap| {
            map.data.iter().flatten().map(|(_, v)| v.len()).sum::<usize>()
                + map.binary_data.iter().flatten().map(|(_, v)| v.0.len()).sum::<usize>()
        };
        assert!(parts.len() > 3 && parts.iter().all(|p| size(p) <= PART_LIMIT));
        let stored: Vec<_> = parts
            .iter()
            .flat_map(|p| read(p).unwrap().entries)
            .map(|e| e.key.name)
            .collect();
        assert_eq!(
            stored,
            entries.iter().map(|e| e.binding.key.name.clone()).collect::<Vec<_>>()
        );
        assert!(parts.last().unwrap().binary_data.is_some());
    }

    #[test]
    fn a_damaged_part_is_refused() {
        let map = write(&purpose(), &[entry("a", StoredAction::Delete, "")], "ns", at(1))
            .unwrap()
            .remove(0);
        let mut damaged = map.clone();
        damaged
            .data
            .as_mut()
            .unwrap()
            .insert("deleted.yaml".into(), "{}".into());
        assert!(read(&damaged).unwrap_err().to_string().contains("sha256"));
        assert!(!is_same(&map, &damaged));
        let mutable = ConfigMap {
            immutable: None,
            ..map.clone()
        };
        assert!(!is_same(&map, &mutable));
        assert!(read(&ConfigMap::default()).is_err());
    }

    #[test]
    fn what_cannot_be_stored_is_an_error() {
        let mut random = fastrand::Rng::with_seed(1);
        let noise: String = (0..40_000).map(|_| format!("{:032x}", random.u128(..))).collect();
        let error = write(&purpose(), &[entry("a", StoredAction::Delete, &noise)], "ns", at(1)).unwrap_err();
        assert!(error.to_string().starts_with("RoleBinding n/a takes"), "{error}");
    }
}

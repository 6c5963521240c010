//! What is in a backup, and under which keys.

use crate::api::GROUP;
use crate::rbac::{
    binding::{BindingKey, LiveBinding},
    subject::RBAC_GROUP,
};
use alibaba_cloud::Uid;
use flate2::{Compression, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, jiff::Timestamp};
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeMap, io::Write, ops::Range};

/// A part stays under this many bytes of data; the API server refuses a ConfigMap with more than 1 MiB.
pub const PART_LIMIT: usize = 900 * 1024;

/// No file of a part unpacks to more than this; a binding whose text is longer is not stored.
pub(super) const UNPACK_LIMIT: usize = 3 * 1024 * 1024;

pub(super) const INDEX: &str = "index.json";

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
    /// The run.
    pub run_id: String,
    /// The digest of the plan that is carried out, for people.
    pub plan_digest: String,
    /// Why it may be, for people: the reason of `Approved`.
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
    /// Its text.
    pub text: String,
    /// What will happen to it.
    pub action: StoredAction,
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
    /// The names of the subjects that it was to lose: the first thousand.
    pub names: Vec<String>,
    /// The fingerprint of its place in the plan.
    pub fingerprint: String,
    /// The sha256 of its text.
    pub sha256: String,
    /// The length of its text in bytes.
    pub bytes: usize,
}

/// One part of a backup, read back.
#[derive(Clone, Debug)]
pub struct StoredPart {
    /// The ConfigMap's name.
    pub config_map: String,
    /// The ConfigMap's `metadata.uid`. Not public: only what was read back becomes a part.
    pub(super) config_map_uid: String,
    /// The `metadata.uid` of the UserOffboarding that it was made for.
    pub object_uid: String,
    /// That UserOffboarding's name.
    pub object_name: String,
    /// The cluster that it was made in.
    pub cluster_id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The run that it was made in.
    pub run_id: String,
    /// What it holds.
    pub entries: Vec<StoredEntry>,
}

#[cfg(test)]
impl StoredPart {
    /// A part that nobody has read, for tests of what is made of parts.
    pub fn of(config_map: &str, created: Timestamp, run_id: &str, entries: Vec<StoredEntry>) -> Self {
        StoredPart {
            config_map: config_map.to_owned(),
            config_map_uid: format!("uid-{config_map}"),
            object_uid: "o-1".to_owned(),
            object_name: "left".to_owned(),
            cluster_id: "c1".to_owned(),
            created,
            run_id: run_id.to_owned(),
            entries,
        }
    }
}

/// A binding that does not fit in a ConfigMap, even gzipped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} is too large to be backed up: its backup takes {:.1} MiB, more than fits in a ConfigMap or the operator can read back",
    *bytes as f64 / f64::from(1 << 20)
)]
pub struct TooLarge {
    /// Which binding.
    pub key: BindingKey,
    /// Its `metadata.uid`.
    pub uid: String,
    /// What its backup would take: compressed, or, if that would fit and unpacks to more than is read back, not compressed.
    pub bytes: usize,
}

/// A ConfigMap with our labels that is not what we write.
#[derive(Debug, thiserror::Error)]
#[error("ConfigMap {name} cannot be used as a backup: {what}")]
pub struct Unreadable {
    /// The ConfigMap's namespace and name.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
}

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
    fn of(entry: &'a Entry) -> Result<Self, serde_json::Error> {
        let key = &entry.binding.key;
        Ok(IndexEntry {
            kind: key.kind.as_str().to_owned(),
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            uid: entry.binding.uid.clone(),
            resource_version: entry.binding.resource_version.clone(),
            action: entry.action,
            subjects: match entry.action {
                StoredAction::Keep => Vec::new(),
                _ => entry.binding.names.clone(),
            },
            fingerprint: entry.fingerprint.clone(),
            sha256: entry.binding.sha256.clone(),
            original: serde_json::from_str(&entry.text)?,
        })
    }
}

/// Groups bindings of these sizes in bytes so that each part stays under the limit, uncompressed, if it holds more than one.
pub fn split(sizes: &[usize]) -> Vec<Range<usize>> {
    // Each binding stands twice in a part, and what surrounds it is small; its names stand once more.
    let size = |bytes: &usize| 3 * bytes + 1024;
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (i, one) in sizes.iter().enumerate() {
        if i > start && bytes + size(one) > PART_LIMIT {
            parts.push(start..i);
            (start, bytes) = (i, 0);
        }
        bytes += size(one);
    }
    if start < sizes.len() {
        parts.push(start..sizes.len());
    }
    parts
}

/// Writes `entries` as one ConfigMap in `namespace`. The same entries and purpose give the same name and data.
///
/// # Errors
/// When they do not fit in one, even compressed.
pub fn config_map(
    purpose: &Purpose,
    entries: &[Entry],
    namespace: &str,
    now: Timestamp,
) -> Result<ConfigMap, TooLarge> {
    let too_large = |bytes| TooLarge {
        key: entries.first().map_or_else(no_key, |entry| entry.binding.key.clone()),
        uid: entries
            .first()
            .map(|entry| entry.binding.uid.clone())
            .unwrap_or_default(),
        bytes,
    };
    // What the API server sent is JSON: it was parsed before.
    let bindings: Result<_, _> = entries.iter().map(IndexEntry::of).collect();
    let index = Index {
        format_version: FORMAT,
        cluster_id: purpose.cluster_id.clone(),
        uid: purpose.uid.to_string(),
        object: ObjectId {
            name: purpose.object_name.clone(),
            uid: purpose.object_uid.clone(),
        },
        run: Run {
            id: purpose.run_id.clone(),
            plan_digest: purpose.plan_digest.clone(),
            decision: purpose.decision.clone(),
        },
        bindings: bindings.map_err(|_| too_large(0))?,
    };
    let text = serde_json::to_string(&index).map_err(|_| too_large(0))?;
    let mut files = BTreeMap::from([(INDEX.to_owned(), text)]);
    files.extend(manifests(&index.bindings).map_err(|_| too_large(0))?);
    let mut map = ConfigMap {
        immutable: Some(true),
        ..ConfigMap::default()
    };
    if files.values().map(String::len).sum::<usize>() <= PART_LIMIT {
        map.data = Some(files);
    } else {
        // A text may unpack to many times what the API server stores: it escapes what HTML has a use for.
        let largest = files.values().map(String::len).max().unwrap_or_default();
        if largest > UNPACK_LIMIT {
            return Err(too_large(largest));
        }
        let packed: BTreeMap<_, _> = files
            .into_iter()
            .map(|(name, text)| (format!("{name}.gz"), ByteString(gzip(&text))))
            .collect();
        let bytes = packed.values().map(|p| p.0.len()).sum::<usize>();
        // More than one are in a part only if they fit without compression.
        if bytes > PART_LIMIT {
            return Err(too_large(bytes));
        }
        map.binary_data = Some(packed);
    }
    let digest = content_digest(&map);
    // 80 bits of the digest: names collide by accident never, and a collision on purpose is refused by the comparison.
    let name_hash = sha256(format!("{}/{digest}", purpose.object_uid).as_bytes())[..20].to_owned();
    map.metadata = ObjectMeta {
        name: Some(format!("{NAME_PREFIX}{}-{name_hash}", purpose.uid)),
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
            (format!("{GROUP}/sha256"), digest),
        ])),
        ..ObjectMeta::default()
    };
    Ok(map)
}

/// What the name of everything begins with that the admission policy keeps for the operator.
pub const NAME_PREFIX: &str = "offboarding-";

pub(super) fn no_key() -> BindingKey {
    BindingKey {
        kind: crate::rbac::binding::BindingKind::RoleBinding,
        namespace: None,
        name: String::new(),
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

pub(super) fn borrowed_map(text: &str) -> Result<BTreeMap<Cow<'_, str>, Cow<'_, RawValue>>, serde_json::Error> {
    let map: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
    Ok(map
        .into_iter()
        .map(|(key, value)| (Cow::Owned(key), Cow::Borrowed(value)))
        .collect())
}

pub(super) fn content_digest(map: &ConfigMap) -> String {
    sha256(json!([map.data, map.binary_data]).to_string().as_bytes())
}

/// The label of a list of cleared items, with the `metadata.uid` of the UserOffboarding.
pub fn clearance_label() -> String {
    format!("{GROUP}/clearance-of")
}

/// The ConfigMap with the list of what passed the checks of a run: a fingerprint a line. Only its name is kept, and its sha256.
pub fn clearance_map(uid: Uid, object_uid: &str, list: &str, namespace: &str) -> ConfigMap {
    let hash = sha256(format!("{object_uid}/{list}").as_bytes())[..20].to_owned();
    ConfigMap {
        immutable: Some(true),
        data: Some(BTreeMap::from([(CLEARED.to_owned(), list.to_owned())])),
        metadata: ObjectMeta {
            name: Some(format!("{NAME_PREFIX}{uid}-cleared-{hash}")),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (
                    "app.kubernetes.io/managed-by".to_owned(),
                    "ack-offboarding-operator".to_owned(),
                ),
                (clearance_label(), object_uid.to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

/// The key of the list in [`clearance_map`].
pub const CLEARED: &str = "cleared.txt";

/// Hexadecimal sha256.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail; if it did, the comparison after the read-back would.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

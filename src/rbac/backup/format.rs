//! Writes bindings as ConfigMaps: how many go into one, under which keys, and compressed when they must be.

use super::{
    entry::{Entry, Purpose, TooLarge},
    index::{FORMAT, INDEX, Index, IndexEntry, ObjectId, Run},
    manifest::manifests,
    names::{NAME_PREFIX, object_label, sha256, uid_label},
};
use crate::{
    api::GROUP,
    rbac::binding::{BindingKey, BindingKind},
};
use flate2::{Compression, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap, jiff::Timestamp};
use kube::core::ObjectMeta;
use serde_json::json;
use std::{collections::BTreeMap, io::Write, ops::Range};

/// A part stays under this many bytes of data; the API server refuses a ConfigMap with more than 1 MiB.
pub const PART_LIMIT: usize = 900 * 1024;

/// No file of a part unpacks to more than this; a binding whose text is longer is not stored.
pub(super) const UNPACK_LIMIT: usize = 3 * 1024 * 1024;

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
        key: entries
            .first()
            .map_or_else(no_key, |entry| entry.record.binding.key.clone()),
        uid: entries
            .first()
            .map(|entry| entry.record.binding.uid.clone())
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
    if let (Some(reason), Some(annotations)) = (&purpose.reason, &mut map.metadata.annotations) {
        annotations.insert(format!("{GROUP}/reason"), reason.clone());
    }
    Ok(map)
}

fn no_key() -> BindingKey {
    BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: None,
        name: String::new(),
    }
}

pub(super) fn content_digest(map: &ConfigMap) -> String {
    sha256(json!([map.data, map.binary_data]).to_string().as_bytes())
}

pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail; if it did, the comparison after the read-back would.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

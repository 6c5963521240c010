//! Reads backups back, and refuses what is not whole.

use super::{
    entry::{StoredEntry, StoredPart, Unreadable},
    format::{UNPACK_LIMIT, content_digest},
    index::{FORMAT, INDEX, Index, IndexEntry},
    manifest::{manifests, restorable},
    names::{object_label, sha256, uid_label},
};
use crate::{
    api::GROUP,
    rbac::{
        binding::{BindingKey, BindingKind},
        subject::uid_at_start,
    },
};
use alibaba_cloud::Uid;
use flate2::read::GzDecoder;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    jiff::{SignedDuration, Timestamp},
};
use serde::Deserialize;
use std::{borrow::Cow, io::Read};

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

/// How far a backup may be dated ahead: clocks of nodes differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(15);

/// The text of a stored binding, out of a part that was read and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredText {
    /// What the API server had sent, byte for byte.
    pub original: String,
    /// What brings it back: the original without what the API server assigned, and without what would tie it to others.
    pub manifest: String,
}

/// Reads a part, after comparing it with its checksum, and its manifests with the originals that they are made of.
///
/// # Errors
/// When it is not a part, or not whole, or is dated in the future.
pub fn read(map: &ConfigMap, now: Timestamp) -> Result<StoredPart, Unreadable> {
    read_each(map, now, |_| ())
}

/// Reads a part as [`read`] does, with the text of each of its entries, in their order: for whoever restores them.
///
/// # Errors
/// As [`read`].
pub fn read_with_texts(map: &ConfigMap, now: Timestamp) -> Result<(StoredPart, Vec<StoredText>), Unreadable> {
    let mut texts = Vec::new();
    let part = read_each(map, now, |text| texts.push(text()))?;
    Ok((part, texts))
}

/// Reads a part, and offers the text of each entry to `keep`.
fn read_each(
    map: &ConfigMap,
    now: Timestamp,
    mut keep: impl FnMut(&dyn Fn() -> StoredText),
) -> Result<StoredPart, Unreadable> {
    let name = map.metadata.name.clone().unwrap_or_default();
    let unreadable = |what: &str| Unreadable {
        name: format!("{}/{name}", map.metadata.namespace.as_deref().unwrap_or_default()),
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
    if map.immutable != Some(true) {
        return Err(unreadable(
            "it is not marked immutable, so anyone could have changed it",
        ));
    }
    let created: Timestamp = annotation("created-at")
        .and_then(|t| t.parse().ok())
        .ok_or_else(|| unreadable("it has no creation time"))?;
    if created.duration_since(now) > CLOCK_SKEW {
        return Err(unreadable(&format!("its time, {created}, is in the future")));
    }
    let mut files = Files::of(map);
    let index = files
        .take(INDEX)
        .ok_or_else(|| unreadable("it has no index.json, or index.json is too large"))?;
    let index: Index<'_> = serde_json::from_str(&index).map_err(|e| unreadable(&format!("index.json: {e}")))?;
    if index.format_version != FORMAT {
        return Err(unreadable(&format!(
            "index.json has format {}, and this version of the operator reads format {FORMAT}",
            index.format_version
        )));
    }
    let label = |key: &str| map.metadata.labels.as_ref()?.get(key).map(String::as_str);
    if (label(&uid_label()), label(&object_label())) != (Some(&index.uid), Some(&index.object.uid)) {
        return Err(unreadable(
            "its labels name another UID or UserOffboarding than its index.json",
        ));
    }
    let uid = uid_at_start(&index.uid).filter(|_| index.uid.parse::<Uid>().is_ok());
    let uid = uid.ok_or_else(|| unreadable("its UID is not a valid UID"))?;
    for e in &index.bindings {
        if sha256(e.original.get().as_bytes()) != e.sha256 {
            return Err(unreadable(&format!(
                "the checksum of {} does not match",
                legible(&e.name)
            )));
        }
    }
    // What a person restores must be what was there, and nothing else.
    let expected = manifests(&index.bindings).map_err(|e| unreadable(&format!("an original in index.json: {e}")))?;
    for (file, text) in &expected {
        if files.take(file).as_deref() != Some(text.as_str()) {
            return Err(unreadable(&format!(
                "{file} does not match the originals in index.json"
            )));
        }
    }
    if let Some(file) = files.left() {
        return Err(unreadable(&format!(
            "it contains {}, which is not part of a backup",
            legible(file)
        )));
    }
    let mut entry = |e: IndexEntry<'_>| {
        let kind =
            BindingKind::parse(&e.kind).ok_or_else(|| unreadable(&format!("unknown kind {}", legible(&e.kind))))?;
        let key = BindingKey {
            kind,
            namespace: e.namespace,
            name: e.name,
        };
        let original: Named = serde_json::from_str(e.original.get())
            .map_err(|error| unreadable(&format!("the original of {key}: {error}")))?;
        let Named { metadata } = original;
        let same = (&metadata.name, &metadata.namespace) == (&key.name, &key.namespace)
            && (metadata.uid == e.uid && metadata.resource_version == e.resource_version);
        if !key.is_possible() || !same {
            return Err(unreadable(&format!("the original of {key} belongs to another binding")));
        }
        if e.subjects.iter().any(|name| uid_at_start(name) != Some(uid)) {
            return Err(unreadable(&format!(
                "index.json lists a subject of {key} that does not belong to the UID"
            )));
        }
        keep(&|| StoredText {
            original: e.original.get().to_owned(),
            // It was made before, to be compared.
            manifest: restorable(&e.kind, e.original).unwrap_or_default(),
        });
        Ok(StoredEntry {
            key,
            uid: e.uid,
            resource_version: e.resource_version,
            action: e.action,
            names: e.subjects,
            fingerprint: e.fingerprint,
            bytes: e.original.get().len(),
            sha256: e.sha256,
        })
    };
    let entries = index.bindings.into_iter().map(&mut entry).collect::<Result<_, _>>()?;
    Ok(StoredPart {
        config_map: name.clone(),
        config_map_uid: map.metadata.uid.clone().unwrap_or_default(),
        object_uid: index.object.uid,
        object_name: legible(&index.object.name),
        cluster_id: legible(&index.cluster_id),
        created,
        run_id: index.run.id,
        entries,
    })
}

#[derive(Deserialize)]
struct Named {
    metadata: NamedMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NamedMetadata {
    name: String,
    namespace: Option<String>,
    uid: String,
    resource_version: String,
}

/// The files of a part, of which each is unpacked when it is taken.
struct Files<'a> {
    map: &'a ConfigMap,
    left: Vec<&'a str>,
}

impl<'a> Files<'a> {
    fn of(map: &'a ConfigMap) -> Self {
        let plain = map.data.iter().flat_map(|data| data.keys());
        let packed = map.binary_data.iter().flat_map(|data| data.keys());
        Files {
            map,
            left: plain.chain(packed).map(String::as_str).collect(),
        }
    }

    fn take(&mut self, file: &str) -> Option<Cow<'a, str>> {
        let packed_name = format!("{file}.gz");
        self.left.retain(|name| *name != file && *name != packed_name);
        let plain = self.map.data.as_ref().and_then(|data| data.get(file));
        let packed = self.map.binary_data.as_ref().and_then(|data| data.get(&packed_name));
        match (plain, packed) {
            (Some(text), None) => Some(Cow::Borrowed(text)),
            (None, Some(packed)) => gunzip(&packed.0).map(Cow::Owned),
            _ => None,
        }
    }

    fn left(&self) -> Option<&'a str> {
        self.left.first().copied()
    }
}

/// A word of somebody else's, as it can be shown.
fn legible(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

/// Unpacks a file, unless it is larger than any of ours.
fn gunzip(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    let read = GzDecoder::new(bytes)
        .take(UNPACK_LIMIT as u64 + 1)
        .read_to_string(&mut text)
        .ok()?;
    (read <= UNPACK_LIMIT).then_some(text)
}

//! Reads backups back, and refuses what is not whole.

use super::{
    INDEX, Index, IndexEntry, PlanId, StoredEntry, StoredPart, Unreadable, content_digest, object_label, sha256,
    uid_label,
};
use crate::{
    api::GROUP,
    rbac::binding::{BindingKey, BindingKind},
};
use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::ConfigMap;
use std::io::Read;

/// No part unpacks to more than this: a binding is at most 1.5 MiB at the API server, and stands in a part a few times.
const UNPACK_LIMIT: u64 = 16 * 1024 * 1024;

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
pub fn read(map: &ConfigMap) -> Result<StoredPart, Unreadable> {
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
        return Err(unreadable("it is not immutable, so anybody could have changed it"));
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
    let label = |key: &str| map.metadata.labels.as_ref()?.get(key).map(String::as_str);
    if (label(&uid_label()), label(&object_label())) != (Some(&index.uid), Some(&index.object.uid)) {
        return Err(unreadable(
            "its labels say another UID or UserOffboarding than its index.json",
        ));
    }
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
            sha256: e.sha256,
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

fn gunzip(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    GzDecoder::new(bytes)
        .take(UNPACK_LIMIT)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

//! What is to be stored, and what was: the values of a backup, without their form.

use crate::rbac::binding::{BindingKey, LiveBinding};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// For what a backup is made. All of it is in the backup, so that one says by itself where it came from.
#[derive(Clone, Debug)]
pub struct Purpose {
    /// The ACK cluster: backups of several may end up in one archive.
    pub cluster_id: String,
    /// Why the offboarding was asked for, if its spec says so.
    pub reason: Option<String>,
    /// The RAM identity that leaves.
    pub uid: Uid,
    /// The UserOffboarding's name.
    pub object_name: String,
    /// The UserOffboarding's `metadata.uid`.
    pub object_uid: String,
    /// The run: what one run stores in several goes is found by it.
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

/// A binding that is to be stored, and what happens to it then.
#[derive(Clone, Debug)]
pub struct Record {
    /// The binding, as it was read when that was decided.
    pub binding: Arc<LiveBinding>,
    /// What happens to it once it is stored.
    pub action: StoredAction,
    /// The fingerprint of its place in the plan; empty for one that is kept.
    pub fingerprint: String,
}

/// A record to be stored.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The binding as it was read with this text; its action decides the manifest that it is in.
    pub record: Record,
    /// What the API server sent, byte for byte: the backup holds this, and not what was made of it.
    pub text: String,
}

/// A binding that was stored, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Where it was, and where a restored one goes.
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
    /// The name of the ConfigMap, in the operator's namespace.
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
    /// What it holds, in the order of `index.json`.
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
    /// `NAMESPACE/NAME` of the ConfigMap.
    pub name: String,
    /// The first thing that is wrong with it, as the rest of a sentence.
    pub what: String,
}

//! The format of backups: immutable ConfigMaps, named by their content.
//!
//! | key | content |
//! |---|---|
//! | `index.json` | every binding of this part: key, uid, resourceVersion, action, the original text, its sha256 |
//! | `deleted.yaml` | a `v1 List` of the bindings to be deleted: `kubectl create -f -` restores them |
//! | `shrunk.yaml` | a `v1 List` of the bindings that lose a subject: to be merged by hand, never applied over later changes |
//! | `kept.yaml` | a `v1 List` of the bindings that only bear the UID's name: in case ACK's purge takes them |
//!
//! The lists are written as JSON, which is YAML that no dialect misreads (a label called `on`, a name like `1e3`), a binding a line.
//! What does not fit in a ConfigMap is stored gzipped, under the same keys with `.gz`, in `binaryData`.
//!
//! Nothing in a backup decides anything: it is what a person restores from, and what was done. Why it could be done is in the
//! status, which only the operator writes.

mod cleared_list;
mod entry;
mod format;
mod index;
mod manifest;
mod names;
mod read;
mod store;

pub use cleared_list::{CLEARED, clearance_label, clearance_map};
pub use entry::{Entry, Purpose, Record, StoredAction, StoredEntry, StoredPart, TooLarge, Unreadable};
pub use format::{PART_LIMIT, config_map, split};
pub use names::{NAME_PREFIX, object_label, sha256, uid_label};
pub use read::{StoredText, is_same, read, read_with_texts};
pub use store::{StoreError, Stored, create, still_there, store};

#[cfg(test)]
mod tests;

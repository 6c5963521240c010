//! What this process removed, so that it need not ask again. Nothing of it is needed for correctness: the durable record is in the backups
//! and in the status.

use crate::{clock::Clock, sync::lock};
use k8s_openapi::jiff::Timestamp;
use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Mutex,
    time::{Duration, Instant},
};

/// The removals of all objects, by `metadata.uid`.
#[derive(Debug)]
pub struct Removals {
    clock: Clock,
    gone: Mutex<HashMap<String, Seen>>,
    /// The hashes of the stored states that were removed.
    carried_out: Mutex<HashMap<String, Seen>>,
    /// When something was removed last.
    removed_at: Mutex<HashMap<String, Timestamp>>,
}

/// What was seen in the last day, eight bytes each: there may be thousands, and whoever makes them does not decide how many are kept for ever.
#[derive(Debug, Default)]
struct Seen {
    at: HashMap<u64, Instant>,
    look_through_at: usize,
}

/// How long something that was seen is remembered.
const SEEN_FOR: Duration = Duration::from_secs(86_400);

impl Seen {
    fn note(&mut self, what: u64) {
        if self.at.len() >= self.look_through_at.max(1024) {
            self.at.retain(|_, at| at.elapsed() < SEEN_FOR);
            self.look_through_at = 2 * self.at.len();
        }
        self.at.insert(what, Instant::now());
    }

    /// Whether it was seen in the last day.
    fn has(&self, what: u64) -> bool {
        self.at.get(&what).is_some_and(|at| at.elapsed() < SEEN_FOR)
    }
}

impl Removals {
    pub fn new(clock: Clock) -> Self {
        Removals {
            clock,
            gone: Mutex::default(),
            carried_out: Mutex::default(),
            removed_at: Mutex::default(),
        }
    }

    /// Notes that a binding of the object's record is gone: its uid never comes back.
    pub fn note_gone(&self, object_uid: &str, binding_uid: &str) {
        lock(&self.gone)
            .entry(object_uid.to_owned())
            .or_default()
            .note(state_hash(binding_uid, ""));
    }

    /// Whether a binding of the object's record is known to be gone.
    pub fn is_gone(&self, object_uid: &str, binding_uid: &str) -> bool {
        lock(&self.gone)
            .get(object_uid)
            .is_some_and(|gone| gone.has(state_hash(binding_uid, "")))
    }

    /// Notes that exactly this state of a binding was removed for the object.
    pub fn note_carried_out(&self, object_uid: &str, binding_uid: &str, resource_version: &str) {
        lock(&self.carried_out)
            .entry(object_uid.to_owned())
            .or_default()
            .note(state_hash(binding_uid, resource_version));
        lock(&self.removed_at).insert(object_uid.to_owned(), self.clock.now());
    }

    /// Whether this process is known to have removed exactly this state of a binding for the object.
    pub fn was_carried_out(&self, object_uid: &str, binding_uid: &str, resource_version: &str) -> bool {
        lock(&self.carried_out)
            .get(object_uid)
            .is_some_and(|known| known.has(state_hash(binding_uid, resource_version)))
    }

    /// When this process removed something for the object last.
    pub fn removed_at(&self, object_uid: &str) -> Option<Timestamp> {
        lock(&self.removed_at).get(object_uid).copied()
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object_uid: &str) {
        lock(&self.gone).remove(object_uid);
        lock(&self.carried_out).remove(object_uid);
        lock(&self.removed_at).remove(object_uid);
    }

    pub fn forget_all_but(&self, alive: &HashSet<String>) {
        lock(&self.gone).retain(|uid, _| alive.contains(uid));
        lock(&self.carried_out).retain(|uid, _| alive.contains(uid));
        lock(&self.removed_at).retain(|uid, _| alive.contains(uid));
    }
}

/// Eight bytes for one state of a binding: there may be thousands.
fn state_hash(binding_uid: &str, resource_version: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (binding_uid, resource_version).hash(&mut hasher);
    hasher.finish()
}

//! When to look again: after a failure, and after the end.

use super::settings::Settings;
use crate::sync::lock;
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::{Duration, Instant},
};

/// The failures and the next polls of all objects, by `metadata.uid`.
#[derive(Debug)]
pub struct Retries {
    first: Duration,
    longest: Duration,
    poll_interval: Duration,
    failures: Mutex<HashMap<String, u32>>,
    next_polls: Mutex<HashMap<String, Instant>>,
}

impl Retries {
    pub fn new(settings: &Settings) -> Self {
        Retries {
            first: settings.backoff_first,
            longest: settings.backoff_longest,
            poll_interval: settings.poll_interval,
            failures: Mutex::default(),
            next_polls: Mutex::default(),
        }
    }

    /// Counts a failure of the object, and says how long to wait: a second, doubling up to the longest backoff.
    pub fn backoff(&self, object_uid: &str) -> Duration {
        let mut failures = lock(&self.failures);
        let count = failures.entry(object_uid.to_owned()).or_default();
        let wait = self.first.saturating_mul(1 << (*count).min(20));
        *count = count.saturating_add(1);
        wait.min(self.longest).mul_f64(fastrand::f64().mul_add(0.2, 0.9))
    }

    /// Forgets the failures of the object.
    pub fn recovered(&self, object_uid: &str) {
        lock(&self.failures).remove(object_uid);
    }

    /// When the object is to be polled next; `first` is for one that is not known yet.
    pub fn next_poll(&self, object_uid: &str, first: impl FnOnce() -> Duration) -> Instant {
        *lock(&self.next_polls)
            .entry(object_uid.to_owned())
            .or_insert_with(|| Instant::now() + first())
    }

    /// Starts the time to the object's next poll anew.
    pub fn polled(&self, object_uid: &str) {
        lock(&self.next_polls).insert(object_uid.to_owned(), Instant::now() + self.poll_interval);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object_uid: &str) {
        lock(&self.failures).remove(object_uid);
        lock(&self.next_polls).remove(object_uid);
    }

    pub fn forget_all_but(&self, alive: &HashSet<String>) {
        lock(&self.failures).retain(|uid, _| alive.contains(uid));
        lock(&self.next_polls).retain(|uid, _| alive.contains(uid));
    }
}

//! Which bindings began to bear a UID while somebody listened: ACK's purge may have taken them, and no proof made before knows of
//! them.

use super::{binding::BindingKey, index::Half};
use alibaba_cloud::Uid;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many are named; of more it is only known that there were.
const MOST: usize = 100;

/// Those who listen.
#[derive(Debug, Default)]
pub(super) struct Noting(Mutex<Vec<Listener>>);

#[derive(Debug)]
struct Listener {
    uid: Uid,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    keys: Vec<BindingKey>,
    more: bool,
}

impl Seen {
    fn note(&mut self, key: BindingKey) {
        if self.keys.contains(&key) {
            return;
        }
        match self.keys.len() < MOST {
            true => self.keys.push(key),
            false => self.more = true,
        }
    }
}

/// Notes the bindings that begin to bear a UID, until it is dropped.
#[derive(Debug)]
pub struct Appearances {
    seen: Arc<Mutex<Seen>>,
    noting: Arc<Noting>,
}

impl Appearances {
    /// The bindings so far, in the order in which they appeared, and whether there were more than are named.
    pub fn seen(&self) -> (Vec<BindingKey>, bool) {
        let seen = lock(&self.seen);
        (seen.keys.clone(), seen.more)
    }
}

impl Drop for Appearances {
    fn drop(&mut self) {
        lock(&self.noting.0).retain(|listener| !Arc::ptr_eq(&listener.seen, &self.seen));
    }
}

impl Noting {
    pub(super) fn begin(self: &Arc<Self>, uid: Uid) -> Appearances {
        let seen = Arc::<Mutex<Seen>>::default();
        lock(&self.0).push(Listener {
            uid,
            seen: seen.clone(),
        });
        Appearances {
            seen,
            noting: self.clone(),
        }
    }

    /// The binding with this key began to bear those UIDs of which `is_one` says so.
    pub(super) fn appeared(&self, is_one: impl Fn(Uid) -> bool, key: impl Fn() -> BindingKey) {
        let listeners = lock(&self.0);
        for listener in listeners.iter().filter(|listener| is_one(listener.uid)) {
            lock(&listener.seen).note(key());
        }
    }

    /// A full list takes the place of `old`.
    pub(super) fn replaced(&self, old: &Half, new: &Half) {
        for listener in lock(&self.0).iter() {
            let known = old.find_any(listener.uid);
            let appeared = new
                .find_any(listener.uid)
                .into_iter()
                .filter(|key| !known.contains(key));
            appeared.for_each(|key| lock(&listener.seen).note(key));
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.0).is_empty()
    }
}

/// A panic while one of these locks is held would be a bug; what they guard stays usable all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

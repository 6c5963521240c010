//! Locks.

use std::sync::{Mutex, MutexGuard};

/// A panic while one of these locks is held would be a bug; what they guard stays usable all the same.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

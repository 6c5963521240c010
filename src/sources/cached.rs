//! Answers that are used again for a while.

use std::time::{Duration, Instant};

/// How long an answer about the caller, or the list of roles, is good for.
const CACHE_FOR: Duration = Duration::from_secs(60);

/// An answer that is good for a minute. Errors are not kept.
pub(super) struct Cached<T>(tokio::sync::Mutex<Option<(Instant, T)>>);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Cached(tokio::sync::Mutex::new(None))
    }
}

impl<T: Clone> Cached<T> {
    pub(super) async fn get<E>(&self, ask: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let mut kept = self.0.lock().await;
        if let Some((when, value)) = &*kept
            && when.elapsed() < CACHE_FOR
        {
            return Ok(value.clone());
        }
        let value = ask().await?;
        *kept = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

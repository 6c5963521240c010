//! Waiting for a condition, with a deadline: what tests do instead of sleeping for a fixed time.

use std::time::Duration;

use tokio::time::Instant;

/// Calls `look` until it gives a value, pausing 10 ms at first and at most 100 ms between calls.
///
/// Errors: the first error of `look`; or no value within `deadline`, naming `what` was waited for. A call that is still running
/// at the deadline is abandoned.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(10);
    loop {
        match tokio::time::timeout_at(end, look()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) if Instant::now() < end => {}
            Ok(Ok(None)) | Err(_) => anyhow::bail!("waited {deadline:?} in vain for {what}"),
            Ok(Err(error)) => return Err(error.context(format!("while waiting for {what}"))),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

//! How often SLS is asked again for an answer that it calls incomplete.

use std::{iter, time::Duration};

use super::Sls;

/// SLS called every answer incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// How often it was asked.
    pub attempts: u32,
}

impl Sls {
    /// Makes a request again and again until `is_enough` of its answer, with the pauses of the official Go SDK, which add up to
    /// [`Timeouts::unfinished`](crate::Timeouts) at most: a large logstore takes its time at the first search, and the next finds it done.
    ///
    /// # Errors
    /// The first error of a request ends it: each has been retried by itself where that is safe. [`Unfinished`] if no answer was enough.
    pub async fn until_complete<T, E, F>(
        &self,
        ask: impl Fn() -> F,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<Result<T, Unfinished>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut pauses = pauses(self.client.timeouts().unfinished);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let answer = ask().await?;
            if is_enough(&answer) {
                return Ok(Ok(answer));
            }
            let Some(pause) = pauses.next() else {
                return Ok(Err(Unfinished { attempts }));
            };
            tokio::time::sleep(pause).await;
        }
    }
}

/// The first pause; doubled each time.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// The most repeats.
const MOST: usize = 20;

/// The pauses between the tries, at most `limit` together.
///
/// Those of the official Go SDK, which goes on for up to five minutes: a large logstore takes its time at the first search, and
/// the next finds it done. Somebody waits for the answer here, hence a limit of less.
fn pauses(limit: Duration) -> impl Iterator<Item = Duration> {
    let doubled = iter::successors(Some(FIRST), |pause| Some((*pause * 2).min(LONGEST)));
    let mut left = limit;
    doubled.take(MOST).map_while(move |pause| {
        left = left.checked_sub(pause)?;
        Some(pause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_ten_seconds_and_end_within_the_limit() {
        let millis = |limit| -> Vec<u128> {
            pauses(Duration::from_secs(limit))
                .map(|pause| pause.as_millis())
                .collect()
        };
        assert_eq!(millis(0), []);
        assert_eq!(millis(1), [100, 200, 400]);
        assert_eq!(
            millis(60),
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000]
        );
        assert_eq!(millis(30), [100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(millis(3600).len(), MOST);
    }
}

//! A limit of the client's own to the calls that it makes: what makes it ask without end could otherwise use up what the services
//! allow the whole account.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The longest that a call waits for its turn. What would wait longer is not sent.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// So many calls a minute. A minute's calls may come at once; after that each waits for its turn.
///
/// Kept as the time at which all calls so far would have had their turn if they came evenly: calls within a minute of that go
/// at once, calls within [`LONGEST_WAIT`] more wait. It takes the time from its caller and reads no clock.
pub(crate) struct Budget {
    per_minute: u32,
    due: Mutex<Option<Instant>>,
}

impl Budget {
    pub(crate) fn new(per_minute: u32) -> Self {
        Budget {
            per_minute: per_minute.max(1),
            due: Mutex::default(),
        }
    }

    /// Takes a call out of the budget, and says how long it has to wait for its turn.
    ///
    /// # Errors
    /// How long to stay away, if the budget is spent. Nothing is taken then.
    pub(crate) fn take(&self, now: Instant) -> Result<Duration, Duration> {
        const MINUTE: Duration = Duration::from_secs(60);
        let each = MINUTE / self.per_minute;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead = due.map_or(Duration::ZERO, |due| due.saturating_duration_since(now)) + each;
        let wait = ahead.saturating_sub(MINUTE);
        if wait > LONGEST_WAIT {
            return Err(wait);
        }
        *due = Some(now + ahead);
        Ok(wait)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the client reached its own limit of {} calls a minute",
            self.per_minute
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_calls_may_come_at_once_and_no_more() {
        let budget = Budget::new(60);
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let seconds = |taken: Result<Duration, Duration>| taken.map(|t| t.as_secs()).map_err(|t| t.as_secs());
        assert!((0..60).all(|_| budget.take(start) == Ok(Duration::ZERO)));
        assert_eq!(
            [(); 5].map(|()| seconds(budget.take(start))),
            [Ok(1), Ok(2), Ok(3), Ok(4), Ok(5)]
        );
        assert_eq!(seconds(budget.take(start)), Err(6));
        assert_eq!(seconds(budget.take(start)), Err(6), "what is refused takes nothing");
        assert_eq!(seconds(budget.take(at(3))), Ok(3));
        // A quiet while fills it again, and never to more than a minute's calls.
        let later = at(1_000);
        assert!((0..60).all(|_| budget.take(later) == Ok(Duration::ZERO)));
        assert_eq!(seconds(budget.take(later)), Ok(1));
    }

    #[test]
    fn over_ten_minutes_no_more_than_eleven_minutes_calls_are_made() {
        let budget = Budget::new(1200);
        let start = Instant::now();
        let made = (0..60_000).filter(|n| budget.take(start + Duration::from_millis(10 * n)).is_ok());
        assert!((12_000..=13_300).contains(&made.count()));
    }
}

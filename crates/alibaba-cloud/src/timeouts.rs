//! How long a call may take, and how often it is tried.

use std::time::Duration;

/// How long a call may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included. 5 s.
    pub connect: Duration,
    /// For one try, to the last byte of its answer. 15 s.
    pub attempt: Duration,
    /// For the purge, which is tried once. 60 s.
    pub purge: Duration,
    /// For all tries of a call and the waits between them. 90 s: a service may ask us to wait a minute.
    pub overall: Duration,
    /// For the pauses between repeats of a search that SLS does not finish. 30 s: a check makes several searches.
    pub unfinished: Duration,
    /// Wait before the second try; doubles each time, up to 5 s, plus as much again at random. 200 ms.
    pub first_delay: Duration,
    /// Tries of a call that is safe to repeat. 4.
    pub tries: u32,
}

impl Timeouts {
    /// All of them, in their usual proportions to that of one try.
    pub fn of(attempt: Duration) -> Self {
        Timeouts {
            connect: attempt / 3,
            attempt,
            purge: attempt * 4,
            overall: attempt * 6,
            unfinished: attempt * 2,
            first_delay: attempt / 75,
            tries: 4,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts::of(Duration::from_secs(15))
    }
}

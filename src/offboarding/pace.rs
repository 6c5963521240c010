//! How often an object may be looked at, whoever edits it or a binding of it.

use crate::sync::lock;
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How often an object may be looked at: so often at once, and then once in this time. Among many that are looked at all the time, each
/// gets its share of the calls that the operator allows itself.
const LOOKS_AT_ONCE: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Calls to the cloud that a look makes, about.
const CALLS_OF_A_LOOK: u32 = 20;
/// Who was looked at in this time counts as one of many.
const BUSY_FOR: Duration = Duration::from_secs(60);

/// When an object was looked at: a bucket of looks, which fills up again with time.
#[derive(Debug)]
struct Pace {
    left: u32,
    since: Instant,
    /// The last look that was one of many.
    pressed: Option<Instant>,
}

/// How many looks an object has at once, and in what time it gets one more, when so many objects are looked at all the time.
fn share(busy: usize, calls_per_minute: u32) -> (u32, Duration) {
    let busy = u32::try_from(busy).unwrap_or(u32::MAX).max(1);
    let looks_a_minute = (calls_per_minute / CALLS_OF_A_LOOK).max(1);
    let every = BUSY_FOR.saturating_mul(busy) / looks_a_minute;
    // Nor may few use up at once what all have in a minute.
    let at_once = LOOKS_AT_ONCE.min(looks_a_minute / 3) / busy;
    (at_once.max(3), every.max(LOOK_EVERY))
}

#[derive(Debug)]
pub struct Paces {
    calls_per_minute: u32,
    paces: Mutex<HashMap<String, Pace>>,
}

impl Paces {
    /// For an operator that makes so many calls to the cloud in a minute at most.
    pub fn new(calls_per_minute: u32) -> Self {
        Paces {
            calls_per_minute,
            paces: Mutex::default(),
        }
    }

    /// How long to wait before the object may be looked at again; `None` if it may be now. Whoever edits a binding of it
    /// many times a second does not decide how much is asked of the API server and of the cloud.
    pub fn wait(&self, object_uid: &str) -> Option<Duration> {
        let mut paces = lock(&self.paces);
        let now = Instant::now();
        let is_pressed = |pace: &Pace| pace.pressed.is_some_and(|at| now.duration_since(at) < BUSY_FOR);
        let busy = paces
            .iter()
            .filter(|(of, pace)| *of != object_uid && is_pressed(pace))
            .count();
        let (at_once, every) = share(busy + 1, self.calls_per_minute);
        let pace = paces.entry(object_uid.to_owned()).or_insert(Pace {
            left: at_once,
            since: now,
            pressed: None,
        });
        let filled = u32::try_from(now.duration_since(pace.since).as_millis() / every.as_millis()).unwrap_or(u32::MAX);
        if filled > 0 {
            pace.left = pace.left.saturating_add(filled);
            pace.since = now;
        }
        pace.left = pace.left.min(at_once);
        if pace.left == 0 {
            return Some(every.saturating_sub(now.duration_since(pace.since)));
        }
        pace.left -= 1;
        // An object that takes its looks as fast as it gets them.
        if pace.left < at_once / 2 {
            pace.pressed = Some(now);
        }
        None
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object_uid: &str) {
        lock(&self.paces).remove(object_uid);
    }

    /// Forgets all objects but these, by `metadata.uid`.
    pub fn forget_all_but(&self, alive: &HashSet<String>) {
        lock(&self.paces).retain(|uid, _| alive.contains(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_that_are_looked_at_all_the_time_share_the_calls() {
        assert_eq!(share(1, 1200), (20, Duration::from_secs(1)));
        assert_eq!(share(4, 1200), (5, Duration::from_secs(4)));
        assert_eq!(share(60, 1200), (3, Duration::from_secs(60)));
        assert_eq!(share(1, 60), (3, Duration::from_secs(20)));
        for busy in [1, 7, 100] {
            let (_, every) = share(busy, 1200);
            let calls = 60.0 / every.as_secs_f64() * busy as f64 * f64::from(CALLS_OF_A_LOOK);
            assert!(calls <= 1200.5, "{busy} make {calls} calls a minute");
        }
    }
}

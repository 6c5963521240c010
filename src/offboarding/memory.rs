//! What a process remembers between reconciles, so that it need not ask again. Nothing of it is needed for correctness.

use super::activity::{day::Day, window::LogstoreRef};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// The hour in which runs are counted.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

/// When runs began lately, by the object's `metadata.uid`.
#[derive(Debug, Default)]
pub struct Runs(BTreeMap<String, Timestamp>);

impl FromIterator<(String, Timestamp)> for Runs {
    fn from_iter<I: IntoIterator<Item = (String, Timestamp)>>(began: I) -> Self {
        Runs(began.into_iter().collect())
    }
}

impl Runs {
    /// Lets a run begin at `now`, unless that would be more than `limit` in an hour: then, when the next may begin. An object whose run began
    /// lately takes no more of the limit.
    ///
    /// # Errors
    /// The time at which the next run may begin.
    pub(super) fn begin(&mut self, object_uid: &str, now: Timestamp, limit: usize) -> Result<(), Timestamp> {
        self.0.retain(|_, began| now.duration_since(*began) < LATELY);
        if self.0.contains_key(object_uid) {
            return Ok(());
        }
        if self.0.len() >= limit {
            let oldest = self.0.values().min().copied().unwrap_or(now);
            return Err(oldest.checked_add(LATELY).unwrap_or(now));
        }
        self.0.insert(object_uid.to_owned(), now);
        Ok(())
    }
}

/// What was seen in the last day, eight bytes each: there may be thousands, and whoever makes them does not decide how many are kept for ever.
#[derive(Debug, Default)]
pub struct Seen {
    at: HashMap<u64, Instant>,
    look_through_at: usize,
}

/// How long something that was seen is remembered.
const SEEN_FOR: Duration = Duration::from_secs(86_400);

impl Seen {
    /// Notes it.
    pub(super) fn note(&mut self, what: u64) {
        if self.at.len() >= self.look_through_at.max(1024) {
            self.at.retain(|_, at| at.elapsed() < SEEN_FOR);
            self.look_through_at = 2 * self.at.len();
        }
        self.at.insert(what, Instant::now());
    }

    /// Whether it was seen in the last day.
    pub(super) fn has(&self, what: u64) -> bool {
        self.at.get(&what).is_some_and(|at| at.elapsed() < SEEN_FOR)
    }
}

/// What is known of closed days, by logstore and day.
#[derive(Debug, Default)]
pub struct SettledDays(Mutex<HashMap<(LogstoreRef, i64), Day>>);

/// Days of logstores that are kept: a year of one, or the longest window of two.
const SETTLED_DAYS: usize = 366;

impl SettledDays {
    /// What is known of a day.
    pub fn get(&self, place: &LogstoreRef, day: i64) -> Option<Day> {
        lock(&self.0).get(&(place.clone(), day)).cloned()
    }

    /// Forgets the days that begin in `starts`.
    pub fn forget(&self, place: &LogstoreRef, starts: std::ops::Range<i64>) {
        lock(&self.0).retain(|(of, day), _| of != place || !starts.contains(day));
    }

    /// Keeps what was found out about a day; the oldest day makes room.
    pub fn put(&self, place: &LogstoreRef, day: i64, known: Day) {
        let mut days = lock(&self.0);
        days.insert((place.clone(), day), known);
        if days.len() > SETTLED_DAYS
            && let Some(oldest) = days.keys().min_by_key(|(_, day)| *day).cloned()
        {
            days.remove(&oldest);
        }
    }
}

/// What ACK said a while ago of who created the cluster.
#[derive(Debug, Default)]
pub struct Creators(Mutex<HashMap<Uid, (Instant, bool)>>);

/// How long that is believed.
const CREATOR_FOR: Duration = Duration::from_secs(600);

impl Creators {
    /// What ACK said, if that was lately.
    pub(super) fn get(&self, uid: Uid) -> Option<bool> {
        let known = lock(&self.0).get(&uid).copied();
        known.and_then(|(at, is)| (at.elapsed() < CREATOR_FOR).then_some(is))
    }

    /// Keeps what ACK said now.
    pub(super) fn put(&self, uid: Uid, is: bool) {
        let mut all = lock(&self.0);
        all.retain(|_, (at, _)| at.elapsed() < CREATOR_FOR);
        all.insert(uid, (Instant::now(), is));
    }
}

/// A panic while one of these locks is held would be a bug; what they guard stays usable all the same.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_begin_in_any_hour_and_no_more() {
        let at = |minutes: i64| Timestamp::from_second(1_000_000_000 + 60 * minutes).unwrap();
        let mut runs = Runs::default();
        assert_eq!(runs.begin("a", at(0), 2), Ok(()));
        assert_eq!(runs.begin("b", at(10), 2), Ok(()));
        assert_eq!(runs.begin("a", at(20), 2), Ok(()), "it began already");
        assert_eq!(runs.begin("c", at(59), 2), Err(at(60)));
        assert_eq!(runs.begin("c", at(60), 2), Ok(()));
        assert_eq!(runs.begin("d", at(60), 2), Err(at(70)));
        assert_eq!(runs.begin("d", at(60), 0), Err(at(70)), "and with 0 nobody does");
    }
}

//! Closed days of audit logs, of which all is known.

use super::{day::Day, window::LogstoreRef};
use crate::sync::lock;
use std::{collections::HashMap, sync::Mutex};

/// What is known of closed days, by logstore and day.
#[derive(Debug, Default)]
pub(super) struct SettledDays(Mutex<HashMap<(LogstoreRef, i64), Day>>);

/// Days of logstores that are kept: a year of one, or the longest window of two.
const SETTLED_DAYS: usize = 366;

impl SettledDays {
    /// What is known of a day.
    pub(super) fn get(&self, place: &LogstoreRef, day: i64) -> Option<Day> {
        lock(&self.0).get(&(place.clone(), day)).cloned()
    }

    /// Forgets the days that begin in `starts`.
    pub(super) fn forget(&self, place: &LogstoreRef, starts: std::ops::Range<i64>) {
        lock(&self.0).retain(|(of, day), _| of != place || !starts.contains(day));
    }

    /// Keeps what was found out about a day; the oldest day makes room.
    pub(super) fn put(&self, place: &LogstoreRef, day: i64, known: Day) {
        let mut days = lock(&self.0);
        days.insert((place.clone(), day), known);
        if days.len() > SETTLED_DAYS
            && let Some(oldest) = days.keys().min_by_key(|(_, day)| *day).cloned()
        {
            days.remove(&oldest);
        }
    }
}

//! When identities were last seen, as far as the audit log's analytics tell. Pure.

use crate::api::scan::Dormancy;
use alibaba_cloud::Uid;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// What the audit log says of everybody at once.
#[derive(Clone, Debug)]
pub(super) enum LastSeen {
    /// Each identity's latest request since then. Who is missing made none, unless there is a doubt.
    Known {
        since: Timestamp,
        latest: BTreeMap<Uid, Timestamp>,
        doubt: Option<String>,
    },
    /// It cannot tell.
    NotAvailable(String),
}

impl LastSeen {
    pub(super) fn of(&self, uid: Uid) -> Option<Timestamp> {
        match self {
            LastSeen::Known { latest, .. } => latest.get(&uid).copied(),
            LastSeen::NotAvailable(_) => None,
        }
    }

    /// Whether the log reaches back so many days, and lacks nothing.
    pub(super) fn covers(&self, days: u16, now: Timestamp) -> bool {
        match self {
            LastSeen::Known { since, doubt, .. } => doubt.is_none() && *since <= before(days, now),
            LastSeen::NotAvailable(_) => false,
        }
    }

    /// Never guessed: who was not seen in a log that is too short may have been before.
    pub(super) fn dormancy(&self, uid: Uid, days: u16, now: Timestamp) -> Dormancy {
        if self.of(uid).is_some_and(|seen| seen > before(days, now)) {
            return Dormancy::InUse;
        }
        match self.covers(days, now) {
            true => Dormancy::Dormant,
            false => Dormancy::Unknown,
        }
    }
}

fn before(days: u16, now: Timestamp) -> Timestamp {
    now.checked_sub(SignedDuration::from_hours(24 * i64::from(days)))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;

    #[test]
    fn nobody_is_called_dormant_by_a_log_that_is_too_short() {
        let now: Timestamp = "2026-04-01T00:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let known = |since: &str, seen: Option<&str>| LastSeen::Known {
            since: at(since),
            latest: seen.map(|seen| (uid(100), at(seen))).into_iter().collect(),
            doubt: None,
        };
        let dormancy = |last_seen: &LastSeen| last_seen.dormancy(uid(100), 30, now);
        let (long, short) = ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z");
        assert_eq!(dormancy(&known(long, None)), Dormancy::Dormant);
        assert_eq!(dormancy(&known(short, None)), Dormancy::Unknown);
        assert_eq!(dormancy(&known(short, Some("2026-03-31T00:00:00Z"))), Dormancy::InUse);
        assert_eq!(dormancy(&known("2026-01-01T00:00:00Z", Some(long))), Dormancy::Dormant);
        let doubtful = |seen: Option<&str>| match known("2026-01-01T00:00:00Z", seen) {
            LastSeen::Known { since, latest, .. } => LastSeen::Known {
                since,
                latest,
                doubt: Some("a gap".into()),
            },
            other => other,
        };
        assert_eq!(dormancy(&doubtful(None)), Dormancy::Unknown);
        assert_eq!(dormancy(&doubtful(Some("2026-03-31T00:00:00Z"))), Dormancy::InUse);
        assert_eq!(dormancy(&LastSeen::NotAvailable("x".into())), Dormancy::Unknown);
    }
}

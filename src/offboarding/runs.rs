//! How many offboardings may begin to remove something in an hour: one bad commit must not offboard a company.

use super::{
    facts::Facts,
    outcome::{self, Blocked, Interrupted, Requeue},
    watched::Watched,
};
use crate::api::{ConditionStatus as Is, ConditionType as Condition, Reason};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Api, Client, ResourceExt};
use std::{collections::BTreeMap, time::Duration};

/// The limit, and when runs began lately.
#[derive(Debug)]
pub struct RunLimit {
    per_hour: u16,
    /// `None` until the first is about to begin.
    lately: tokio::sync::Mutex<Option<Runs>>,
}

impl RunLimit {
    pub fn new(per_hour: u16) -> Self {
        RunLimit {
            per_hour,
            lately: tokio::sync::Mutex::default(),
        }
    }

    /// Asked before the first change of a run.
    ///
    /// # Errors
    /// The hold, if as many runs as may have begun in the last hour; or when it is not known how many have.
    pub async fn begin(&self, client: &Client, facts: &Facts) -> Result<(), Interrupted> {
        let (now, limit) = (facts.now, self.per_hour);
        let mut runs = self.lately.lock().await;
        let runs = match &mut *runs {
            Some(runs) => runs,
            // After a restart, or a change of the leader: the statuses know.
            none => none.insert(begun(client).await?),
        };
        let Err(next) = runs.begin(&facts.object_uid, now, usize::from(limit)) else {
            return Ok(());
        };
        let wait = next.duration_since(now).unsigned_abs() + Duration::from_millis(50);
        let shown = Timestamp::from_second(next.as_second() + 1).unwrap_or(next);
        let message = format!(
            "{limit} offboardings have begun to remove access within the last hour, which is the limit (--new-runs-per-hour, chart value \
             operator.newRunsPerHour). This one begins at {shown} or later. {} If you did not expect so many (a bad commit, say), \
             stop them now: suspend them, or scale the operator to 0.",
            facts.so_far()
        );
        let blocked = Blocked::new(Reason::RunLimitReached, Requeue::After(wait), message);
        Err(blocked.about(Condition::Approved, Is::False).into())
    }
}

/// The runs that began lately, as the statuses of all objects tell.
async fn begun(client: &Client) -> Result<Runs, Interrupted> {
    let api: Api<Watched> = Api::all(client.clone());
    let listed = api.list(&kube::api::ListParams::default()).await;
    let objects = listed.map_err(|e| outcome::api_server(&e, "Listing the UserOffboardings failed"))?;
    let began = objects
        .iter()
        .filter_map(|object| Some((object.uid()?, object.started_at()?)));
    Ok(began.collect())
}

/// The hour in which runs are counted.
const LATELY: SignedDuration = SignedDuration::from_hours(1);

/// When runs began lately, by the object's `metadata.uid`.
#[derive(Debug, Default)]
struct Runs(BTreeMap<String, Timestamp>);

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
    fn begin(&mut self, object_uid: &str, now: Timestamp, limit: usize) -> Result<(), Timestamp> {
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

//! After the end: is it still the end? Asked of the index at once, and of ACK once a day.

use super::{purge::RESTORABLE_FOR, run::Run};
use crate::{
    api::{CertState, ConditionType, KubeconfigPolicy, UserOffboarding, conditions},
    rbac::{Match, subject::Leaver},
};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::Timestamp;
use kube::{ResourceExt, runtime::controller::Action};
use std::time::{Duration, Instant};

/// What to do about an object that is complete and unchanged: wait. `None` if there is something to look into.
///
/// After a restart this makes no call to the cloud before the next poll is due.
pub(super) async fn still_complete(run: &Run, object: &UserOffboarding, uid: Uid) -> Option<Action> {
    let status = object.status.as_ref()?;
    let is_true = |type_| conditions::find(&status.conditions, type_).is_some_and(|c| c.status == "True");
    let completed = status.completed_at.as_ref()?.0;
    let complete = is_true(ConditionType::Offboarded)
        && is_true(ConditionType::Ready)
        && status.observed_generation == object.metadata.generation;
    if !complete || !run.bindings.index().find(uid, Match::User).is_empty() {
        return None;
    }
    let suffixed = run.bindings.index().find(uid, Match::OtherSuffix);
    if !suffixed.is_empty() {
        let names = &object.spec.names;
        let found = run
            .bindings
            .read(&Leaver::new(uid, &names.include, &names.ignore), suffixed)
            .await;
        if found.map_or(true, |found| {
            found.iter().any(|b| b.names_leaver() || !b.undecided.is_empty())
        }) {
            return None;
        }
    }
    let restorable = status
        .kubeconfig
        .as_ref()
        .and_then(|k| k.restorable_until.as_ref())
        .map(|t| t.0);
    let end = restorable.or_else(|| completed.checked_add(RESTORABLE_FOR).ok())?;
    let now = run.clock.now();
    if object.spec.kubeconfig == KubeconfigPolicy::Keep || now > end {
        return Some(Action::await_change());
    }
    let object_uid = object.uid().unwrap_or_default();
    let interval = run.settings.poll_interval;
    let next = run
        .retries
        .next_poll(&object_uid, || until_next(completed, now, interval));
    if let Some(wait) = next
        .checked_duration_since(Instant::now())
        .filter(|wait| !wait.is_zero())
    {
        return Some(Action::requeue(wait));
    }
    match run.cluster.kubeconfig_state(uid).await {
        Ok(CertState::Unexpired | CertState::Expired) => None,
        Ok(_) => {
            run.retries.polled(&object_uid);
            Some(Action::requeue(interval))
        }
        Err(trouble) => {
            tracing::warn!(%uid, message = trouble.message, "checking for a reissued kubeconfig failed");
            let wait = run
                .retries
                .backoff(&object_uid)
                .max(trouble.retry_after.unwrap_or_default());
            Some(Action::requeue(wait))
        }
    }
}

/// The time to the next whole interval since the completion: polls keep their hour over restarts.
fn until_next(completed: Timestamp, now: Timestamp, interval: Duration) -> Duration {
    let since = now.duration_since(completed).unsigned_abs();
    let into = since.as_millis().checked_rem(interval.as_millis()).unwrap_or_default();
    interval.saturating_sub(Duration::from_millis(into as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_keep_their_hour() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let day = Duration::from_secs(86_400);
        assert_eq!(until_next(at(0), at(0), day), day);
        assert_eq!(
            until_next(at(0), at(86_400 * 3 + 100), day),
            Duration::from_secs(86_300)
        );
    }
}

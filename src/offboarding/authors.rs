//! Beside the job: who asked for it, and who approved it. Asked of the audit log once it can have the records, and until it does; nothing
//! waits for the answer, and nothing is decided by it.

use super::run::Run;
use crate::{
    api::{ApproverStatus, AuthorStatus, UserOffboarding, UserOffboardingStatus},
    sources::activity::authors::{Author, Authors, Written},
    status_writer::{NotWritten, StatusWriter},
    sync::lock,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, ResourceExt};
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long a record takes at first: the API server writes it at once, the collector sends it within seconds, and SLS indexes it in three.
const FIRST: Duration = Duration::from_secs(15);
/// The longest wait between two questions.
const LONGEST: Duration = Duration::from_secs(3600);
/// What is older than this is not asked about: the log has it, or never will.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// How long the answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is not known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unknown {
    request: bool,
    digest: Option<String>,
}

impl Unknown {
    /// What may still be found; `None` if that is nothing.
    fn of(object: &UserOffboarding, now: Timestamp) -> Option<Self> {
        let is_late = |time: Option<&Time>| time.is_some_and(|time| now.duration_since(time.0) < LATELY);
        let status = object.status.as_ref()?;
        let approval = status.approved_by.as_ref().filter(|approval| approval.user.is_none());
        let approved = approval.filter(|_| is_late(status.started_at.as_ref()));
        let unknown = Unknown {
            request: status.requested_by.is_none() && is_late(object.metadata.creation_timestamp.as_ref()),
            digest: approved.map(|approval| approval.digest.clone()),
        };
        (unknown.request || unknown.digest.is_some()).then_some(unknown)
    }
}

/// When the log was asked about which object, and for what; by `metadata.uid`.
#[derive(Debug, Default)]
pub struct Asked(Mutex<HashMap<String, Attempts>>);

#[derive(Debug)]
struct Attempts {
    unknown: Unknown,
    wait: Duration,
    next: Instant,
}

impl Asked {
    /// How long to wait before the next question; zero: it is time. Then the time of the one after it begins.
    fn wait(&self, object_uid: &str, unknown: &Unknown, first: Duration) -> Duration {
        let now = Instant::now();
        let mut all = lock(&self.0);
        let attempts = all.entry(object_uid.to_owned()).or_insert_with(|| Attempts {
            unknown: unknown.clone(),
            wait: first,
            next: now + first,
        });
        if attempts.unknown != *unknown {
            // Something new, or less.
            (attempts.unknown, attempts.wait) = (unknown.clone(), first);
            attempts.next = now + first;
        }
        let left = attempts.next.saturating_duration_since(now);
        if left.is_zero() {
            attempts.wait = (attempts.wait * 2).min(LONGEST);
            attempts.next = now + attempts.wait;
        }
        left
    }

    /// How long until the next question.
    fn next(&self, object_uid: &str) -> Option<Duration> {
        let all = lock(&self.0);
        Some(all.get(object_uid)?.next.saturating_duration_since(Instant::now()))
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object_uid: &str) {
        lock(&self.0).remove(object_uid);
    }

    pub fn forget_all_but(&self, alive: &HashSet<String>) {
        lock(&self.0).retain(|uid, _| alive.contains(uid));
    }
}

/// Asks, if it is time to, and writes down what is found. Says when to ask again; `None` if there is nothing more to ask.
pub(super) async fn learn(run: &Run, name: &str, object_uid: &str) -> Option<Duration> {
    if !run.settings.approval_policy {
        return None;
    }
    let api: Api<UserOffboarding> = Api::all(run.client.clone());
    // As it was written a moment ago.
    let object = api.get_opt(name).await.ok()??;
    if object.is_plan() || object.uid().as_deref() != Some(object_uid) || object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let now = run.clock.now();
    let unknown = Unknown::of(&object, now)?;
    let first = FIRST.min(run.settings.recheck_interval);
    let wait = run.authors.wait(object_uid, &unknown, first);
    if !wait.is_zero() {
        return Some(wait);
    }
    let written = Written {
        object_uid,
        created: object.metadata.creation_timestamp.as_ref()?.0,
        request: unknown.request,
        digest: unknown.digest.as_deref(),
    };
    let asked = tokio::time::timeout(PATIENCE, run.cluster.authors(&written, now)).await;
    match asked {
        Ok(Ok(found)) => write(run, object, found).await,
        Ok(Err(doubt)) => {
            tracing::debug!(
                name,
                message = doubt.message,
                "the audit log does not say who asked for it or approved it"
            );
        }
        Err(_) => tracing::debug!(name, "the audit log does not answer who asked for it or approved it"),
    }
    run.authors.next(object_uid)
}

async fn write(run: &Run, object: UserOffboarding, found: Authors) {
    let name = object.name_any();
    let mut writer = StatusWriter::new(object);
    let mut status = writer.written().clone();
    take(&mut status, found);
    match writer
        .write(&run.client, &status, || run.leadership.permit_report())
        .await
    {
        // What changed meanwhile is looked at by itself, and asked about again.
        Ok(_) | Err(NotWritten::Superseded | NotWritten::NotPermitted) => {}
        Err(NotWritten::Api(error)) => {
            tracing::warn!(name, %error, "cannot write who asked for it and who approved it")
        }
    }
}

fn take(status: &mut UserOffboardingStatus, found: Authors) {
    let as_reported = |Author { user, through, time }| AuthorStatus {
        user,
        through,
        time: Time(time),
    };
    if status.requested_by.is_none() {
        status.requested_by = found.requested.map(as_reported);
    }
    if let (Some(approval), Some(author)) = (&mut status.approved_by, found.approved) {
        *approval = ApproverStatus {
            digest: std::mem::take(&mut approval.digest),
            user: Some(author.user),
            through: author.through,
            time: Some(Time(author.time)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(status: Value) -> UserOffboarding {
        serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding",
            "metadata": {"name": "left", "creationTimestamp": "2026-01-01T12:00:00Z"},
            "spec": {"uid": "100"}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn what_is_known_or_old_is_not_asked() {
        let at = |time: &str| time.parse().unwrap();
        let asked = |status: Value, now: &str| Unknown::of(&object(status), at(now)).map(|u| (u.request, u.digest));
        let requested = json!({"user": "alice", "time": "2026-01-01T12:00:00Z"});
        let (soon, late) = ("2026-01-01T13:00:00Z", "2026-01-03T13:00:00Z");
        assert_eq!(asked(json!({}), soon), Some((true, None)));
        assert_eq!(asked(json!({}), late), None);
        assert_eq!(asked(json!({"requestedBy": requested}), soon), None);
        let approved =
            json!({"requestedBy": requested, "startedAt": "2026-01-03T12:00:00Z", "approvedBy": {"digest": "d"}});
        assert_eq!(asked(approved, late), Some((false, Some("d".to_owned()))));
        let known = json!({"requestedBy": requested, "startedAt": "2026-01-03T12:00:00Z", "approvedBy": {"digest": "d", "user": "bob"}});
        assert_eq!(asked(known, late), None);
    }

    #[test]
    fn each_question_waits_longer_and_a_new_one_does_not() {
        let (asked, zero) = (Asked::default(), Duration::ZERO);
        let unknown = |digest: Option<&str>| Unknown {
            request: true,
            digest: digest.map(str::to_owned),
        };
        let first = Duration::from_millis(1);
        assert!(asked.wait("u", &unknown(None), Duration::from_secs(15)) > Duration::from_secs(14));
        assert!(asked.wait("u", &unknown(Some("d")), Duration::from_secs(15)) > Duration::from_secs(14));
        assert_eq!(asked.wait("v", &unknown(None), zero), zero);
        assert_eq!(asked.wait("w", &unknown(None), first).as_nanos() > 0, true);
        asked.forget("u");
        assert_eq!(asked.next("u"), None);
    }
}

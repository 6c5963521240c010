//! Beside the job: who asked for an offboarding, and who approved it. The audit log is asked once for all objects of which that is not known,
//! when it can have the records, and until it does. No offboarding waits for the answer, and none is decided by it.

use super::{run::Run, watched::Watched};
use crate::{
    api::{AuthorStatus, UserOffboarding, UserOffboardingStatus},
    sources::activity::authors::{Author, Authors},
    status_writer::{Adopt, NotWritten, StatusWriter},
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, ResourceExt, runtime::reflector::Store};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a record takes: the API server writes it at once, the collector sends it within seconds, and SLS indexes it in three.
const FIRST: Duration = Duration::from_secs(15);
/// The longest wait between two questions about an object.
const LONGEST: Duration = Duration::from_secs(3600);
/// What is older than this is not asked about: the log has it, or never will.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// How long the answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is not known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unknown {
    request: bool,
    /// The digest of the plan that was approved, and when a run began by it.
    approval: Option<(String, Timestamp)>,
}

impl Unknown {
    /// What may still be found; `None` if that is nothing.
    fn of(object: &Watched, now: Timestamp) -> Option<Self> {
        let is_recent = |time: Option<Timestamp>| time.is_some_and(|time| now.duration_since(time) < LATELY);
        let status = &object.status;
        let approval = status.approved_by.as_ref().filter(|approval| approval.user.is_none());
        let approval = approval.and_then(|approval| Some((approval.digest.clone(), approval.since.parse().ok()?)));
        let unknown = Unknown {
            request: status.requested_by.is_none() && is_recent(created(object)),
            approval: approval.filter(|(_, since)| is_recent(Some(*since))),
        };
        let is_any = unknown.request || unknown.approval.is_some();
        (is_any && !object.is_plan() && object.metadata.deletion_timestamp.is_none()).then_some(unknown)
    }

    /// Whether the answer has all of it.
    fn is_in(&self, found: &Authors, object_uid: &str) -> bool {
        let is_settled = |(digest, since): &(String, Timestamp)| found.is_approval_settled(object_uid, digest, *since);
        (!self.request || found.requested(object_uid).is_some()) && self.approval.as_ref().is_none_or(is_settled)
    }
}

fn created(object: &Watched) -> Option<Timestamp> {
    Some(object.metadata.creation_timestamp.as_ref()?.0)
}

/// When the log is to be asked about which object, by `metadata.uid`.
#[derive(Debug)]
struct Agenda {
    first: Duration,
    asked: HashMap<String, Attempts>,
}

#[derive(Debug)]
struct Attempts {
    unknown: Unknown,
    wait: Duration,
    next: Instant,
}

impl Attempts {
    /// The first question comes after so long.
    fn anew(unknown: &Unknown, first: Duration, now: Instant) -> Self {
        Attempts {
            unknown: unknown.clone(),
            wait: first,
            next: now + first,
        }
    }
}

impl Agenda {
    /// Whether it is time to ask about the object. Then the time to the next question begins, which is twice as long.
    fn is_due(&mut self, object_uid: &str, unknown: &Unknown, now: Instant) -> bool {
        let anew = || Attempts::anew(unknown, self.first, now);
        let attempts = self.asked.entry(object_uid.to_owned()).or_insert_with(anew);
        if attempts.unknown != *unknown {
            *attempts = anew();
        }
        let is_due = attempts.next <= now;
        if is_due {
            attempts.wait = (attempts.wait * 2).min(LONGEST);
            attempts.next = now + attempts.wait;
        }
        is_due
    }

    /// Forgets objects that are gone, and those of which all is known.
    fn forget_all_but(&mut self, open: &HashSet<String>) {
        self.asked.retain(|uid, _| open.contains(uid));
    }
}

/// Asks for as long as it is polled.
pub(crate) async fn keep_asking(run: &Run, known: &Store<Watched>) {
    if !run.settings.approval_policy {
        // No record is annotated.
        return std::future::pending().await;
    }
    // Whoever has it look more often waits for records less long, too.
    let first = FIRST.min(run.settings.recheck_interval * 5);
    let mut agenda = Agenda {
        first,
        asked: HashMap::new(),
    };
    let (mut asked_at, mut is_told) = (None::<Instant>, false);
    loop {
        tokio::time::sleep(first).await;
        // However many objects there are.
        if asked_at.is_some_and(|at| at.elapsed() < first * 2) {
            continue;
        }
        let now = run.clock.now();
        let open: Vec<(Arc<Watched>, Unknown)> = known
            .state()
            .into_iter()
            .filter_map(|object| Some((object.clone(), Unknown::of(&object, now)?)))
            .collect();
        agenda.forget_all_but(&open.iter().filter_map(|(object, _)| object.uid()).collect());
        let due: Vec<_> = open
            .into_iter()
            .filter(|(object, unknown)| {
                let uid = object.uid().unwrap_or_default();
                agenda.is_due(&uid, unknown, Instant::now())
            })
            .collect();
        let Some(since) = due.iter().filter_map(|(object, _)| created(object)).min() else {
            continue;
        };
        let has_all = |found: &Authors| {
            due.iter()
                .all(|(object, unknown)| unknown.is_in(found, &object.uid().unwrap_or_default()))
        };
        asked_at = Some(Instant::now());
        match tokio::time::timeout(PATIENCE, run.cluster.authors(since, now, has_all)).await {
            Ok(Ok(found)) => {
                is_told = false;
                for (object, unknown) in &due {
                    write(run, object, unknown, &found).await;
                }
            }
            Ok(Err(doubt)) => tell(&mut is_told, &doubt.message),
            Err(_) => tell(&mut is_told, &format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }
}

/// Once, until it answers: it is asked again and again.
fn tell(is_told: &mut bool, message: &str) {
    let what = "the audit log does not say who asked for offboardings and who approved them; status.requestedBy and approvedBy lack it";
    match std::mem::replace(is_told, true) {
        false => tracing::warn!(message, "{what}"),
        true => tracing::debug!(message, "{what}"),
    }
}

/// Writes what was found of an object into its status. What fails is found again the next time.
async fn write(run: &Run, object: &Watched, unknown: &Unknown, found: &Authors) {
    let object_uid = object.uid().unwrap_or_default();
    let requested = found.requested(&object_uid).filter(|_| unknown.request);
    let approval = unknown.approval.as_ref();
    let approved = approval.and_then(|(digest, since)| {
        let author = found.approved(&object_uid, digest, *since)?;
        Some((digest.as_str(), *since, author))
    });
    if requested.is_none() && approved.is_none() {
        return;
    }
    let name = object.name_any();
    let api: Api<UserOffboarding> = Api::all(run.client.clone());
    let live = match api.get_opt(&name).await {
        Ok(live) => live.filter(|live| live.uid() == object.uid()),
        Err(error) => return tracing::warn!(name, %error, "cannot read who asked for it and who approved it"),
    };
    let Some(live) = live else { return };
    let mut writer = StatusWriter::new(live);
    let mut status = writer.written().clone();
    take(&mut status, requested, approved);
    let written = writer.write(&run.client, &status, || run.leadership.permit_report());
    if let Err(NotWritten::Api(error)) = written.await {
        tracing::warn!(name, %error, "cannot write who asked for it and who approved it");
    }
}

fn take(status: &mut UserOffboardingStatus, requested: Option<&Author>, approved: Option<(&str, Timestamp, &Author)>) {
    if let (None, Some(author)) = (&status.requested_by, requested) {
        status.requested_by = Some(AuthorStatus {
            user: author.user.clone(),
            through: author.through.clone(),
            time: Time(author.time),
        });
    }
    if let (Some(approval), Some((digest, since, author))) = (&mut status.approved_by, approved)
        && approval.digest == digest
        && is_same(approval.since.0, since)
    {
        approval.user = Some(author.user.clone());
        approval.through = author.through.clone();
        approval.time = Some(Time(author.time));
    }
}

/// Whether it is the same time, as it is stored: in seconds.
fn is_same(one: Timestamp, other: Timestamp) -> bool {
    one.as_second() == other.as_second()
}

/// What is written here while a reconcile is under way is kept by its own writes.
impl Adopt for UserOffboardingStatus {
    fn adopt(&mut self, live: &Self) {
        if self.requested_by.is_none() {
            self.requested_by.clone_from(&live.requested_by);
        }
        if let (Some(own), Some(other)) = (&mut self.approved_by, &live.approved_by)
            && own.digest == other.digest
            && is_same(own.since.0, other.since.0)
            && own.user.is_none()
        {
            own.clone_from(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(status: Value) -> Watched {
        serde_json::from_value(json!({
            "metadata": {"name": "left", "uid": "u", "creationTimestamp": "2026-01-01T12:00:00Z"},
            "spec": {"uid": "100"}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn what_is_known_or_old_is_not_asked() {
        let at = |time: &str| time.parse().unwrap();
        let asked = |status: Value, now: &str| {
            let unknown = Unknown::of(&object(status), at(now))?;
            Some((unknown.request, unknown.approval.map(|(digest, _)| digest)))
        };
        let requested = json!({"user": "alice", "time": "2026-01-01T12:00:00Z"});
        let (soon, late) = ("2026-01-01T13:00:00Z", "2026-01-03T13:00:00Z");
        assert_eq!(asked(json!({}), soon), Some((true, None)));
        assert_eq!(asked(json!({}), late), None);
        assert_eq!(asked(json!({"requestedBy": requested}), soon), None);
        let approved =
            |by: Value| json!({"requestedBy": requested, "startedAt": "2026-01-01T12:00:00Z", "approvedBy": by});
        let since = "2026-01-03T12:00:00Z";
        assert_eq!(
            asked(approved(json!({"digest": "d", "since": since})), late),
            Some((false, Some("d".to_owned()))),
            "a run may have begun long before"
        );
        assert_eq!(
            asked(approved(json!({"digest": "d", "since": since, "user": "bob"})), late),
            None
        );
    }

    #[test]
    fn each_question_waits_longer_and_a_new_one_does_not() {
        let mut agenda = Agenda {
            first: Duration::from_secs(15),
            asked: HashMap::new(),
        };
        let unknown = |digest: Option<&'static str>| Unknown {
            request: true,
            approval: digest.map(|digest| (digest.to_owned(), Timestamp::UNIX_EPOCH)),
        };
        let start = Instant::now();
        let mut due = |digest, after| agenda.is_due("u", &unknown(digest), start + Duration::from_secs(after));
        assert!(!due(None, 0), "the record is not there yet");
        assert!(due(None, 15) && !due(None, 44) && due(None, 45) && !due(None, 104));
        assert!(!due(Some("d"), 105) && due(Some("d"), 120), "somebody approved it");
        agenda.forget_all_but(&HashSet::new());
        assert!(agenda.asked.is_empty());
    }

    #[test]
    fn the_approval_of_another_plan_is_not_taken_for_this_ones() {
        let author = Author {
            user: "bob".into(),
            through: None,
            time: Timestamp::UNIX_EPOCH,
        };
        let mut status: UserOffboardingStatus = serde_json::from_value(
            json!({"approvedBy": {"digest": "now", "since": "2026-01-03T12:00:00Z"}, "conditions": []}),
        )
        .unwrap();
        let since: Timestamp = "2026-01-03T12:00:00Z".parse().unwrap();
        take(&mut status, None, Some(("before", since, &author)));
        take(&mut status, None, Some(("now", Timestamp::UNIX_EPOCH, &author)));
        assert_eq!(status.approved_by.as_ref().unwrap().user, None);
        take(&mut status, Some(&author), Some(("now", since, &author)));
        assert_eq!(status.approved_by.as_ref().unwrap().user.as_deref(), Some("bob"));
        assert_eq!(status.requested_by.as_ref().unwrap().user, "bob");

        // A reconcile that has read the object before.
        let own = |digest: &str| -> UserOffboardingStatus {
            let approval = json!({"digest": digest, "since": "2026-01-03T12:00:00Z"});
            serde_json::from_value(json!({"approvedBy": approval, "conditions": []})).unwrap()
        };
        let mut same = own("now");
        same.adopt(&status);
        assert_eq!(same, status);
        let mut another = own("next");
        another.adopt(&status);
        assert_eq!(another.approved_by.unwrap().user, None);
    }
}

//! Is the identity still in use? What the audit log can prove, and what it cannot.
//!
//! "Inactive" is a claim about an absence, so everything that would make the absence meaningless is asked first:
//! [`coverage`] asks whether the log covers the window without a hole, [`search`] searches it, [`audit_event`] tells a request *of*
//! the identity from a record *about* it, and [`histogram`] says how many records there are to be found. What uses the identity, of
//! one that is active, [`usage`] lists for people; it decides nothing. [`last_seen`] asks of everybody at once, and [`authors`] who
//! asked for an offboarding and who approved it.

mod answer;
pub(crate) mod audit_event;
pub(crate) mod audit_log;
pub(crate) mod authors;
pub(crate) mod coverage;
mod day;
mod histogram;
pub(crate) mod last_seen;
mod recent;
mod search;
mod settled_days;
mod usage;
pub(crate) mod window;

use crate::api::{IdentityState, IdentityStatus, Names, UsageStatus};
use alibaba_cloud::Uid;
pub(crate) use answer::{Activity, Answer};
use audit_event::{Hit, Whose};
use audit_log::AuditLog;
use k8s_openapi::jiff::Timestamp;
use recent::AskedFor;
use std::collections::BTreeSet;
use window::DAY;
pub(crate) use window::{Inconclusive, LogstoreRef, Window, last};

/// What is asked of the log.
#[derive(Debug)]
pub struct Question<'a> {
    pub uid: Uid,
    pub window_days: u16,
    /// Which names are the identity's own, and which are not.
    pub names: &'a Names,
    /// The names under which it is known to be bound, or may be.
    pub in_use: BTreeSet<&'a str>,
    /// Whether it has more: of a binding with thousands of them, not all are kept.
    pub has_more_names: bool,
    /// Who it is, if that is known: a request that RAM had deleted the identity before is an incident.
    pub identity: Option<IdentityStatus>,
    /// When the window ends.
    pub now: Timestamp,
}

/// How many seconds before now the window ends in which an absence is claimed: SLS takes up to 3 s to index a live
/// record. What it has indexed of those seconds counts all the same: a request is proof.
const INDEXING_LAG: i64 = 5;

/// How far records may be ahead of the operator's clock: SLS refuses whoever is further off.
const CLOCK_SKEW: i64 = 15 * 60;

/// The window of so many days that ends at `now`.
pub(crate) fn window(now: Timestamp, days: u16) -> Window {
    let to = now.as_second() - INDEXING_LAG;
    Window {
        from: to - i64::from(days) * DAY,
        to,
    }
}

/// Asks the audit log whether the identity made a request in the window. An answer that lets nothing begin may be some seconds
/// old: see [`RecentAnswers`].
pub(crate) async fn check(log: &AuditLog, question: &Question<'_>) -> Answer {
    let asked_for = || AskedFor {
        window_days: question.window_days,
        names: question.names.clone(),
        identity: question.identity.clone(),
    };
    if let Some(known) = log.recent_answers.get(question.uid, &asked_for()) {
        return known;
    }
    let answer = ask_anew(log, question).await;
    log.recent_answers.keep(question.uid, asked_for(), &answer);
    answer
}

async fn ask_anew(log: &AuditLog, question: &Question<'_>) -> Answer {
    let Question { uid, window_days, .. } = *question;
    let mut place = None;
    let outcome = ask(log, question, &mut place).await;
    let (activity, message, usage) = match outcome {
        Ok(Some((hit, usage))) => {
            let identity = question.identity.as_ref();
            let after = identity
                .map(|identity| after_deletion(identity, &hit))
                .unwrap_or_default();
            let message = format!("{}{after}", hit.describe(uid, window_days));
            (Activity::Active(Box::new(hit)), message, usage)
        }
        Ok(None) => {
            let message = format!("UID {uid} made no request in the last {}.", last(window_days));
            (Activity::Inactive, message, UsageStatus::default())
        }
        Err(doubt) => {
            let message = format!("Activity of UID {uid} is unknown: {}", doubt.message);
            let usage = usage::unavailable(&doubt.message);
            (Activity::Unknown(doubt), message, usage)
        }
    };
    Answer {
        activity,
        message,
        checked_at: question.now,
        window_days,
        place,
        usage,
    }
}

async fn ask(
    log: &AuditLog,
    question: &Question<'_>,
    place: &mut Option<LogstoreRef>,
) -> Result<Option<(Hit, UsageStatus)>, Inconclusive> {
    let window = window(question.now, question.window_days);
    let found = coverage::place(log).await?;
    let place = place.insert(found);
    let coverage::Examined { index, covered } = coverage::examine(log, place, window).await;
    let mut names = question.in_use.clone();
    names.extend(question.names.include.iter().map(String::as_str));
    let search = search::Asked {
        place,
        index: &index?,
        uid: question.uid,
        whose: Whose {
            uid: question.uid,
            ignored: question.names.ignore.clone(),
        },
        names,
        has_more_names: question.has_more_names,
        window,
        until: question.now.as_second() + CLOCK_SKEW,
    };
    match (search.latest(log).await, covered) {
        // A request is proof, whatever the log lacks elsewhere.
        (Ok(Some(hit)), _) => Ok(Some((hit, usage::ask(log, &search).await))),
        (_, Err(doubt)) | (Err(doubt), _) => Err(doubt),
        (Ok(None), Ok(())) => Ok(None),
    }
}

/// Whether a request at this time is one that RAM had deleted the identity before, as far as RAM still says when: not a
/// quiet leaver, but a kubeconfig that is still in use.
pub(crate) fn is_incident(identity: &IdentityStatus, seen: Timestamp) -> bool {
    let deleted = identity.state != IdentityState::Exists;
    deleted && identity.deleted_at.as_ref().is_none_or(|time| seen >= time.0)
}

/// What a request means if RAM does not have the identity any more.
fn after_deletion(identity: &IdentityStatus, hit: &Hit) -> String {
    let who = match &hit.made_by {
        None => "most likely the leaver still uses the kubeconfig".to_owned(),
        Some(user) => format!("{user} acted in its name"),
    };
    match (identity.state, &identity.deleted_at) {
        (IdentityState::Exists, _) => String::new(),
        (_, Some(time)) if !is_incident(identity, hit.time) => {
            format!(" RAM deleted the identity after that request, at {}.", time.0)
        }
        (_, Some(time)) => format!(
            " RAM had deleted the identity before that request, at {}: {who}. Treat this as an incident.",
            time.0
        ),
        (_, None) => format!(
            " Treat this as an incident: the identity is no longer in RAM, and RAM does not say when it was deleted. If it was deleted \
             before this request, {who}."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::identity::Identity;

    #[test]
    fn a_request_is_an_incident_unless_it_was_made_before_the_deletion() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let recycled = |deleted_at| Identity::Recycled {
            name: "leaver".into(),
            deleted_at,
        };
        let nowhere = Identity::Nowhere { name_belongs_to: None };
        let cases = [
            (Identity::User { name: "leaver".into() }, false, ""),
            (Identity::Role { name: "shared".into() }, false, ""),
            (
                recycled(Some(at(101))),
                false,
                " RAM deleted the identity after that request",
            ),
            (
                recycled(Some(at(100))),
                true,
                " RAM had deleted the identity before that request",
            ),
            (
                recycled(Some(at(99))),
                true,
                " RAM had deleted the identity before that request",
            ),
            (
                recycled(None),
                true,
                " Treat this as an incident: the identity is no longer in RAM",
            ),
            (
                nowhere,
                true,
                " Treat this as an incident: the identity is no longer in RAM",
            ),
        ];
        for (identity, incident, start) in cases {
            let status = identity.to_status();
            assert_eq!(is_incident(&status, at(100)), incident, "{identity:?}");
            for (made_by, who) in [
                (None, "most likely the leaver"),
                (Some("admin".to_owned()), "admin acted"),
            ] {
                let hit = Hit {
                    time: at(100),
                    audit_id: None,
                    verb: None,
                    client: None,
                    made_by,
                    impersonated: true,
                    other_name: None,
                };
                let text = after_deletion(&status, &hit);
                assert!(
                    text.starts_with(start) && (!start.is_empty() || text.is_empty()),
                    "{text}"
                );
                assert_eq!(text.contains(who) && text.contains("incident"), incident, "{text}");
            }
        }
    }
}

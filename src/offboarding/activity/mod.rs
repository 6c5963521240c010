//! Is the identity still in use? What the audit log can prove, and what it cannot.
//!
//! "Inactive" is a claim about an absence, so everything that would make the absence meaningless is asked first:
//! [`coverage`] asks whether the log covers the window without a hole, [`search`] searches it, [`record`] tells a request *of*
//! the identity from a record *about* it, and [`histogram`] says how many records there are to be found. What uses the identity, of
//! one that is active, [`usage`] lists for people; it decides nothing.

pub mod audit_event;
pub mod coverage;
pub mod histogram;
mod recent;
pub mod search;
pub mod usage;

use super::{context::Context, journal::names_in_use, observe::Facts, outcome::QueryError};
use crate::{
    api::{ActivityState, ActivityStatus, IdentityState, IdentityStatus, Reason, UsageStatus},
    rbac::subject,
};
use alibaba_cloud::error::{ApiError, ErrorKind};
use audit_event::{Hit, Whose};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
pub use recent::RecentAnswers;
use std::collections::BTreeSet;

/// How many seconds before now the window ends in which an absence is claimed: SLS takes up to 3 s to index a live
/// record. What it has indexed of those seconds counts all the same: a request is proof.
const INDEXING_LAG: i64 = 5;

/// How far records may be ahead of the operator's clock: SLS refuses whoever is further off.
const CLOCK_SKEW: i64 = 15 * 60;

const DAY: i64 = 86_400;

/// What the audit log says of the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// Inactive, Active or Unknown.
    pub state: ActivityState,
    /// The reason of `Inactive`.
    pub reason: Reason,
    /// What was seen, as a sentence.
    pub message: String,
    /// The latest request found.
    pub hit: Option<Hit>,
    /// When the log was asked.
    pub checked_at: Timestamp,
    /// The length of the window in days.
    pub window_days: u16,
    /// Which project and logstore were asked.
    pub place: Option<LogstoreRef>,
    /// A question that was not answered, where that is the reason.
    pub trouble: Option<QueryError>,
    /// What uses the identity.
    pub usage: UsageStatus,
}

/// Where the audit log is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogstoreRef {
    /// The SLS project.
    pub project: String,
    /// The logstore.
    pub logstore: String,
}

/// The window, in unix seconds: from (included) to (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its start.
    pub from: i64,
    /// Its end.
    pub to: i64,
}

impl Window {
    /// Its length in whole days.
    pub fn days(self) -> u16 {
        u16::try_from((self.to - self.from) / DAY).unwrap_or(u16::MAX)
    }
}

/// Why the log proves nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Inconclusive {
    /// The reason of `Inactive=Unknown`.
    pub reason: Reason,
    /// What was seen, and what to do about it.
    pub message: String,
    /// The question that was not answered, if that is it.
    pub trouble: Option<QueryError>,
}

impl Inconclusive {
    /// A doubt with its explanation.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Inconclusive {
            reason,
            message: message.into(),
            trouble: None,
        }
    }
}

impl From<ApiError> for Inconclusive {
    fn from(error: ApiError) -> Self {
        let unindexed = error.is_unindexed_field();
        let over_budget = error.kind == ErrorKind::Budget;
        let trouble = QueryError::from(error);
        let (reason, advice) = match (unindexed, over_budget) {
            (true, _) => (
                Reason::FieldNotIndexed,
                "Add this field to the logstore's index in the SLS console. The check then needs another whole window.",
            ),
            (_, true) => (Reason::CloudBudgetSpent, trouble.advice),
            _ => (Reason::QueryFailed, trouble.advice),
        };
        let space = if advice.is_empty() { "" } else { " " };
        let message = format!(
            "the operator cannot read the audit log. {}.{space}{advice}",
            trouble.message
        );
        Inconclusive {
            reason,
            message,
            trouble: Some(trouble),
        }
    }
}

/// The window of so many days that ends now.
pub fn window(days: u16) -> Window {
    window_until(Timestamp::now(), days)
}

fn window_until(now: Timestamp, days: u16) -> Window {
    let to = now.as_second() - INDEXING_LAG;
    Window {
        from: to - i64::from(days) * DAY,
        to,
    }
}

/// Asks the audit log whether the identity made a request in the window. An answer that lets nothing begin may be some seconds
/// old: see [`RecentAnswers`].
pub async fn check(ctx: &Context, facts: &Facts) -> Activity {
    if let Some(known) = ctx.recent_answers.get(facts) {
        return known;
    }
    let activity = ask_anew(ctx, facts).await;
    ctx.recent_answers.keep(facts, &activity);
    activity
}

async fn ask_anew(ctx: &Context, facts: &Facts) -> Activity {
    let window_days = facts.spec.activity_check.window_days;
    let window = window_until(facts.now, window_days);
    let mut place = None;
    let outcome = ask(ctx, facts, window, &mut place).await;
    let (state, reason, message, hit, trouble, usage) = match outcome {
        Ok(Some((hit, usage))) => (
            ActivityState::Active,
            Reason::ActiveInWindow,
            format!(
                "{}{}",
                hit.describe(&facts.uid, window_days),
                facts
                    .identity
                    .as_ref()
                    .map(|identity| after_deletion(&identity.to_status(), &hit))
                    .unwrap_or_default()
            ),
            Some(hit),
            None,
            usage,
        ),
        Ok(None) => {
            let message = format!("UID {} made no request in the last {}.", facts.uid, last(window_days));
            let none = UsageStatus::default();
            (ActivityState::Inactive, Reason::NoActivity, message, None, None, none)
        }
        Err(doubt) => {
            let message = format!("Activity of UID {} is unknown: {}", facts.uid, doubt.message);
            let usage = usage::unavailable(&doubt.message);
            (
                ActivityState::Unknown,
                doubt.reason,
                message,
                None,
                doubt.trouble,
                usage,
            )
        }
    };
    Activity {
        state,
        reason,
        message,
        hit,
        checked_at: facts.now,
        window_days,
        place,
        trouble,
        usage,
    }
}

async fn ask(
    ctx: &Context,
    facts: &Facts,
    window: Window,
    place: &mut Option<LogstoreRef>,
) -> Result<Option<(Hit, UsageStatus)>, Inconclusive> {
    let found = coverage::place(ctx).await?;
    let place = place.insert(found);
    let coverage::Examined { index, covered } = coverage::examine(ctx, place, window).await;
    let search = search::Asked {
        place,
        index: &index?,
        uid: &facts.uid,
        whose: Whose {
            uid: subject::key(&facts.uid),
            ignored: facts.spec.names.ignore.clone(),
        },
        names: names(facts),
        has_more_names: facts.record.has_more_names()
            || facts
                .bindings
                .iter()
                .any(|b| b.leaver_subjects as usize > b.names.len()),
        window,
        until: facts.now.as_second() + CLOCK_SKEW,
    };
    match (search.latest(ctx).await, covered) {
        // A request is proof, whatever the log lacks elsewhere.
        (Ok(Some(hit)), _) => Ok(Some((hit, usage::ask(ctx, &search).await))),
        (_, Err(doubt)) | (Err(doubt), _) => Err(doubt),
        (Ok(None), Ok(())) => Ok(None),
    }
}

/// Every name under which the identity is known to be bound, or that the spec says is its own, or may be.
fn names(facts: &Facts) -> BTreeSet<&str> {
    let mut names = names_in_use(facts);
    names.extend(facts.spec.names.include.iter().map(String::as_str));
    names
}

/// A second as it is shown.
fn timestamp(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |t| t.to_string())
}

/// Whether a request at this time is one that RAM had deleted the identity before, as far as RAM still says when: not a
/// quiet leaver, but a kubeconfig that is still in use.
pub fn is_incident(identity: &IdentityStatus, seen: Timestamp) -> bool {
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
            " RAM no longer knows the identity, nor when it was deleted. If that was before this request, {who}. Treat this as an \
             incident."
        ),
    }
}

/// `day`, `7 days`: what comes after "the last".
pub fn last(count: u16) -> String {
    match count {
        1 => "day".to_owned(),
        _ => days(count),
    }
}

/// `1 day`, `7 days`.
pub fn days(count: u16) -> String {
    format!("{count} day{}", if count == 1 { "" } else { "s" })
}

impl Activity {
    /// How it is reported.
    pub fn to_status(&self) -> ActivityStatus {
        let hit = self.hit.as_ref();
        ActivityStatus {
            state: self.state,
            window_days: self.window_days,
            checked_at: Time(self.checked_at),
            last_seen: hit.map(|h| Time(h.time)),
            last_audit_id: hit.and_then(|h| h.audit_id.clone()),
            verb: hit.and_then(|h| h.verb.clone()),
            source_ip: hit.and_then(|h| h.source_ip.clone()),
            user_agent: hit.and_then(|h| h.user_agent.clone()),
            project: self.place.as_ref().map(|p| p.project.clone()),
            logstore: self.place.as_ref().map(|p| p.logstore.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offboarding::identity::Identity;

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
            (recycled(None), true, " RAM no longer knows the identity"),
            (nowhere, true, " RAM no longer knows the identity"),
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
                    source_ip: None,
                    user_agent: None,
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

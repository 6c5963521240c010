//! Is the identity still in use? What the audit log can prove, and what it cannot.
//!
//! "Inactive" is a claim about an absence, so everything that would make the absence meaningless is asked first:
//! [`coverage`] asks whether the log covers the window without a hole, [`search`] searches it, [`audit_event`] tells a request *of*
//! the identity from a record *about* it, and [`histogram`] says how many records there are to be found. What uses the identity, of
//! one that is active, [`usage`] lists for people; it decides nothing.

mod answer;
pub mod audit_event;
pub mod coverage;
pub mod day;
pub mod histogram;
pub mod recent;
pub mod search;
pub mod usage;
pub mod window;

use super::{context::Context, identity::Identity, observe::Facts};
use crate::api::{ActivityState, IdentityState, IdentityStatus, Reason, UsageStatus};
pub use answer::Activity;
use audit_event::{Hit, Whose};
use k8s_openapi::jiff::Timestamp;
use recent::Question;
pub use recent::RecentAnswers;
use std::collections::BTreeSet;
use window::DAY;
pub use window::{Inconclusive, LogstoreRef, Window, days, last};

/// How many seconds before now the window ends in which an absence is claimed: SLS takes up to 3 s to index a live
/// record. What it has indexed of those seconds counts all the same: a request is proof.
const INDEXING_LAG: i64 = 5;

/// How far records may be ahead of the operator's clock: SLS refuses whoever is further off.
const CLOCK_SKEW: i64 = 15 * 60;

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
    if let Some(known) = ctx.recent_answers.get(facts.uid, &question(facts)) {
        return known;
    }
    let activity = ask_anew(ctx, facts).await;
    ctx.recent_answers.keep(facts.uid, question(facts), &activity);
    activity
}

fn question(facts: &Facts) -> Question {
    Question {
        window_days: facts.spec.activity_check.window_days,
        names: facts.spec.names.clone(),
        identity: facts.identity.as_ref().ok().map(Identity::to_status),
    }
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
                hit.describe(facts.uid, window_days),
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
        uid: facts.uid,
        whose: Whose {
            uid: facts.uid,
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
    let mut names = facts.names_in_use();
    names.extend(facts.spec.names.include.iter().map(String::as_str));
    names
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
            " Treat this as an incident: the identity is no longer in RAM, and RAM does not say when it was deleted. If it was deleted \
             before this request, {who}."
        ),
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

//! Is the identity still in use? What the audit log can prove, and what it cannot.
//!
//! "Inactive" is a claim about an absence, so everything that would make the absence meaningless is asked first:
//! [`coverage`] asks whether the log covers the window without a hole, [`search`] searches it, and [`record`] tells a
//! request *of* the identity from a record *about* it.

pub mod coverage;
pub mod record;
pub mod search;

use super::{context::Context, hold::Trouble, observe::Facts, record::names_in_use};
use crate::{
    alibaba::error::ApiError,
    api::{ActivityState, ActivityStatus, Reason},
    rbac::subject,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use record::Hit;

/// How many seconds before now the window ends in which an absence is claimed: SLS takes up to 3 s to index a live
/// record. What it has indexed of those seconds counts all the same: a request is proof.
const INDEXING_LAG: i64 = 5;

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
    pub place: Option<Place>,
    /// A question that was not answered, where that is the reason.
    pub trouble: Option<Trouble>,
}

/// Where the audit log is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
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

/// Why the log proves nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// The reason of `Inactive=Unknown`.
    pub reason: Reason,
    /// What was seen, and what to do about it.
    pub message: String,
    /// The question that was not answered, if that is it.
    pub trouble: Option<Trouble>,
}

impl Doubt {
    /// A doubt with its explanation.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Doubt {
            reason,
            message: message.into(),
            trouble: None,
        }
    }
}

impl From<ApiError> for Doubt {
    fn from(error: ApiError) -> Self {
        let reason = match error.is_unindexed_field() {
            true => Reason::FieldNotIndexed,
            false => Reason::QueryFailed,
        };
        let trouble = Trouble::from(error);
        let space = if trouble.advice.is_empty() { "" } else { " " };
        let message = format!(
            "the audit log could not be asked: {}.{space}{}",
            trouble.message, trouble.advice
        );
        Doubt {
            reason,
            message,
            trouble: Some(trouble),
        }
    }
}

/// Asks the audit log whether the identity made a request in the window.
pub async fn check(ctx: &Context, facts: &Facts) -> Activity {
    let window_days = facts.spec.activity_check.window_days;
    let to = facts.now.as_second() - INDEXING_LAG;
    let window = Window {
        from: to - i64::from(window_days) * 86_400,
        to,
    };
    let mut place = None;
    let outcome = ask(ctx, facts, window, &mut place).await;
    let (state, reason, message, hit, trouble) = match outcome {
        Ok(Some(hit)) => (
            ActivityState::Active,
            Reason::ActiveInWindow,
            hit.describe(&facts.uid, window_days),
            Some(hit),
            None,
        ),
        Ok(None) => {
            let message = format!("UID {} made no request in the last {}.", facts.uid, days(window_days));
            (ActivityState::Inactive, Reason::NoActivity, message, None, None)
        }
        Err(doubt) => {
            let message = format!(
                "Nobody can tell whether UID {} was active: {}",
                facts.uid, doubt.message
            );
            (ActivityState::Unknown, doubt.reason, message, None, doubt.trouble)
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
    }
}

async fn ask(ctx: &Context, facts: &Facts, window: Window, place: &mut Option<Place>) -> Result<Option<Hit>, Doubt> {
    let found = coverage::place(ctx).await?;
    let place = place.insert(found);
    let (index, covered) = tokio::join!(coverage::index(ctx, place), coverage::covers(ctx, place, window));
    let index = index?;
    let names = names_in_use(&facts.bindings, &facts.record, subject::key(&facts.uid));
    let until_now = Window {
        // The second that has begun included.
        to: facts.now.as_second() + 1,
        ..window
    };
    let hit = search::latest(ctx, place, &index, &facts.uid, &names, until_now).await;
    match (hit, covered) {
        // A request is proof, whatever the log lacks elsewhere.
        (Ok(Some(hit)), _) => Ok(Some(hit)),
        (_, Err(doubt)) | (Err(doubt), _) => Err(doubt),
        (Ok(None), Ok(())) => Ok(None),
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

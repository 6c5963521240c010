//! What the audit log says.

use super::{
    audit_event::Hit,
    window::{Inconclusive, LogstoreRef},
};
use crate::{
    api::{ActivityState, ActivityStatus, Reason, UsageStatus},
    sources::query_error::QueryError,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

/// Whether the identity made a request in the window.
#[derive(Clone, Debug, PartialEq)]
pub enum Activity {
    /// It made none: the log covers the window without a hole, and the search found nothing.
    Inactive,
    /// It made this one, the latest that was found.
    Active(Box<Hit>),
    /// The log proves neither.
    Unknown(Inconclusive),
}

/// What the audit log says of the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Whether the identity is active.
    pub activity: Activity,
    /// What was seen, as a sentence.
    pub message: String,
    /// When the log was asked.
    pub checked_at: Timestamp,
    pub window_days: u16,
    /// Which project and logstore were asked.
    pub place: Option<LogstoreRef>,
    /// What uses the identity.
    pub usage: UsageStatus,
}

impl Activity {
    /// The API's word for it.
    pub fn state(&self) -> ActivityState {
        match self {
            Activity::Inactive => ActivityState::Inactive,
            Activity::Active(_) => ActivityState::Active,
            Activity::Unknown(_) => ActivityState::Unknown,
        }
    }

    /// The reason of the condition `Inactive`.
    pub fn reason(&self) -> Reason {
        match self {
            Activity::Inactive => Reason::NoActivity,
            Activity::Active(_) => Reason::ActiveInWindow,
            Activity::Unknown(doubt) => doubt.reason,
        }
    }

    pub fn hit(&self) -> Option<&Hit> {
        match self {
            Activity::Active(hit) => Some(hit),
            Activity::Inactive | Activity::Unknown(_) => None,
        }
    }

    /// The question that was not answered, where that is why it is unknown.
    pub fn unanswered(&self) -> Option<&QueryError> {
        match self {
            Activity::Unknown(doubt) => doubt.unanswered.as_ref(),
            Activity::Inactive | Activity::Active(_) => None,
        }
    }
}

impl Answer {
    /// How it is reported.
    pub fn to_status(&self) -> ActivityStatus {
        let hit = self.activity.hit();
        ActivityStatus {
            state: self.activity.state(),
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

//! What the audit log says.

use super::{audit_event::Hit, window::LogstoreRef};
use crate::{
    api::{ActivityState, ActivityStatus, Reason, UsageStatus},
    offboarding::outcome::QueryError,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

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

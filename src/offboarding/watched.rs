//! The objects as the watch keeps them between reconciles: no more than what wakes, counts and queues them needs.

use super::peers::Peer;
use crate::api::{ConditionType, PLAN_LABEL, UserOffboarding};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, core::ObjectMeta};
use serde::{Deserialize, de::IgnoredAny};

/// What is kept of each object between reconciles: each of these reads the whole object anew.
///
/// An object whose spec or status this version cannot read does not break the watch of all others: every word is a string here.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "UserOffboarding")]
pub(crate) struct Watched {
    pub(crate) metadata: ObjectMeta,
    pub spec: WatchedSpec,
    #[serde(default)]
    pub(crate) status: WatchedStatus,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WatchedSpec {
    pub uid: String,
    /// The rest, for those who work on the same UID: it is read when they ask.
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WatchedStatus {
    pub(crate) waiting_since: Option<String>,
    pub(crate) unfinished_since: Option<String>,
    observed_generation: Option<i64>,
    started_at: Option<String>,
    /// Only whether it is there.
    pub(crate) requested_by: Option<IgnoredAny>,
    pub(crate) approved_by: Option<WatchedApproval>,
    pub(crate) identity: Option<WatchedState>,
    pub(crate) conditions: Vec<WatchedCondition>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WatchedApproval {
    pub(crate) digest: String,
    #[serde(default)]
    pub(crate) since: String,
    #[serde(default)]
    pub(crate) user: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WatchedState {
    #[serde(default)]
    pub(crate) state: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct WatchedCondition {
    #[serde(rename = "type")]
    pub(crate) type_: String,
    pub(crate) status: String,
    pub(crate) reason: String,
}

impl Watched {
    /// What it asks for, if it is about this UID and is not being deleted, with its `metadata.uid`. One whose spec this version
    /// cannot read asks for nothing.
    pub(crate) fn peer(&self, uid: Uid) -> Option<(String, Peer)> {
        if self.spec.uid.parse() != Ok(uid) || self.metadata.deletion_timestamp.is_some() || self.is_plan() {
            return None;
        }
        let mut spec = self.spec.rest.clone();
        spec.insert("uid".to_owned(), uid.to_string().into());
        let peer = Peer {
            name: self.metadata.name.clone()?,
            spec: serde_json::from_value(spec.into()).ok()?,
        };
        Some((self.metadata.uid.clone()?, peer))
    }

    /// Whether it was made only to show a plan, as [`UserOffboarding::is_plan`].
    pub(crate) fn is_plan(&self) -> bool {
        let labels = self.metadata.labels.as_ref();
        let is_dry_run = self.spec.rest.get("mode").is_some_and(|mode| mode == "DryRun");
        let is_suspended = self.spec.rest.get("suspend").is_some_and(|suspend| suspend == true);
        is_dry_run && !is_suspended && labels.is_some_and(|labels| labels.contains_key(PLAN_LABEL))
    }

    /// Whether its status was written, and lacks what the operator always writes into it.
    pub(crate) fn has_lost_its_conditions(&self) -> bool {
        // Before its first visit, it is -1.
        let was_written = self
            .status
            .observed_generation
            .is_some_and(|generation| generation >= 0);
        was_written && self.condition(ConditionType::Ready).is_none()
    }

    /// When its current run, or its last one, began.
    pub(crate) fn started_at(&self) -> Option<Timestamp> {
        self.status.started_at.as_ref()?.parse().ok()
    }

    pub(crate) fn condition(&self, type_: ConditionType) -> Option<&WatchedCondition> {
        self.status.conditions.iter().find(|c| c.type_ == type_.as_str())
    }

    pub(crate) fn is(&self, type_: ConditionType, status: &str) -> bool {
        self.condition(type_).is_some_and(|c| c.status == status)
    }
}

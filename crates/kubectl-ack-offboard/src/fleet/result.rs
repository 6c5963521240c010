//! What came of a verb in every cluster: the one model behind the live table, the report file and each of its formats.

use crate::{
    exit::{Exit, Failure, NotCovered},
    offboarding::{self, State, condition},
    output::clean,
};
use ack_offboarding_operator::api::{ConditionType, Reason, UserOffboarding, scan::Finding};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What came of a verb in all clusters that were asked for. As JSON, it is the report file: `kind: FleetReport`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FleetReport {
    /// The verb, such as `scan`.
    pub(crate) verb: String,
    /// The UID that it was about, if it was about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    /// When the last cluster had ended.
    pub(crate) made_at: Timestamp,
    /// The version of the plugin.
    pub(crate) plugin: String,
    /// Every cluster that was asked for, in the order in which they were named.
    pub(crate) clusters: Vec<ClusterResult>,
}

/// How the verb ended in one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClusterResult {
    /// The context, or the name that ACK has for the cluster. Unique in a report.
    pub(crate) name: String,
    /// ACK's ID of it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster_id: Option<String>,
    /// Its region, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// How it ended.
    pub(crate) ended: Ended,
    /// Why it is not covered, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_covered: Option<NotCovered>,
    /// Why it is held, failed or not covered, and what to do about it; of one that is done, what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// How long it took, in milliseconds.
    pub(crate) took_ms: u64,
    /// How many kubeconfigs ACK issued to the caller for it, or may have issued where its answer was lost.
    #[serde(default)]
    pub(crate) kubeconfigs_issued: u32,
    /// What ACK says of the UID's own kubeconfig for it, where the verb is about a UID and ACK was asked: `Unexpired`, `Removed`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kubeconfig: Option<String>,
    /// What offboarding would do there, in the form of the kind `Plan`; of a verb that plans only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<Value>,
    /// When its scan was made; of a scan only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scanned_at: Option<Timestamp>,
    /// What its scan leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gaps: Vec<Gap>,
    /// Who has access there, worst first; of a scan only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
    /// Its offboardings, where the verb shows or makes some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) offboardings: Vec<Offboarding>,
}

/// How a verb ended in a cluster, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Ended {
    /// It did what was asked.
    Done,
    /// Something waits for a person, or for time.
    Held,
    /// Nothing was asked of it: no operator, not reachable, no rights, no API server in its state, another account.
    NotCovered,
    /// It went wrong.
    Failed,
}

/// What a scan leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Gap {
    /// More was found than a scan has room for. The worst is in it.
    Truncated,
    /// It looks for identities that are gone or dormant only, and everybody was asked for.
    GoneOnly,
    /// The scan after it failed.
    Outdated,
    /// Something was not answered, which the message names.
    NotAsked,
}

impl Gap {
    /// The words for it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Gap::Truncated => "more was found than a scan has room for: only the worst is here",
            Gap::GoneOnly => "the scan looks for identities that are gone or dormant only (spec.include)",
            Gap::NotAsked => "something could not be asked, which the cluster's message names",
            Gap::Outdated => "a later scan failed, so what is here is older than it could be",
        }
    }
}

/// One offboarding in one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Offboarding {
    /// The UserOffboarding.
    pub(crate) name: String,
    /// Whom it offboards.
    pub(crate) uid: String,
    /// The name that the identity has, or had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    /// The reason of its condition Ready; empty before the operator's first word.
    pub(crate) state: String,
    /// Whether the access was verified as gone.
    pub(crate) offboarded: bool,
    /// How many bindings its plan has, and how many are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) planned: Option<u32>,
    /// How many bindings were removed.
    pub(crate) removed: u32,
    /// What is left to approve, if its plan waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// Why it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What the operator says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

impl FleetReport {
    /// The exit code: the worst of all clusters.
    pub(crate) fn exit(&self) -> Exit {
        let of = |cluster: &ClusterResult| match cluster.ended {
            Ended::Failed => Exit::Failed,
            Ended::Held | Ended::NotCovered => Exit::Found,
            Ended::Done => Exit::Done,
        };
        self.clusters.iter().map(of).max().unwrap_or(Exit::Done)
    }
}

impl ClusterResult {
    /// One that has not been asked yet. If nobody ever does, that is how it ended.
    pub(crate) fn waiting(name: &str, cluster_id: Option<&str>, region: Option<&str>) -> Self {
        ClusterResult {
            name: name.to_owned(),
            cluster_id: cluster_id.map(str::to_owned),
            region: region.map(str::to_owned),
            ended: Ended::NotCovered,
            not_covered: Some(NotCovered::Interrupted),
            message: Some("interrupted before its turn: nothing was asked of it.".to_owned()),
            took_ms: 0,
            kubeconfigs_issued: 0,
            kubeconfig: None,
            plan: None,
            scanned_at: None,
            gaps: Vec::new(),
            findings: Vec::new(),
            offboardings: Vec::new(),
        }
    }

    /// As it ended, and why or with what.
    pub(crate) fn end(&mut self, ended: Ended, message: impl Into<String>) {
        self.ended = ended;
        self.not_covered = None;
        self.message = Some(message.into());
    }

    /// As the failure says.
    pub(crate) fn fail(&mut self, failure: Failure) {
        let ended = match (failure.not_covered, failure.exit) {
            (Some(_), _) => Ended::NotCovered,
            (None, Exit::Found | Exit::Deadline) => Ended::Held,
            (None, _) => Ended::Failed,
        };
        let message = match failure.not_covered {
            Some(NotCovered::Interrupted) => "interrupted before its answer: nothing was changed there.".to_owned(),
            _ => failure.message,
        };
        self.end(ended, message);
        self.not_covered = failure.not_covered;
    }

    /// What ACK says of the UID's kubeconfig for it, if there may be one.
    pub(crate) fn kubeconfig_left(&self) -> Option<&str> {
        let state = self.kubeconfig.as_deref();
        state.filter(|state| !matches!(*state, "Unissued" | "Removed"))
    }

    /// How it ended, in words: `not covered (no operator)`.
    pub(crate) fn words(&self) -> String {
        match (self.ended, self.not_covered) {
            (Ended::Done, _) => "done".to_owned(),
            (Ended::Held, _) => "held".to_owned(),
            (Ended::Failed, _) => "failed".to_owned(),
            (Ended::NotCovered, Some(why)) => format!("not covered ({})", why.words()),
            (Ended::NotCovered, None) => "not covered".to_owned(),
        }
    }
}

impl Offboarding {
    /// What the object says.
    pub(crate) fn of(object: &UserOffboarding) -> Self {
        let status = offboarding::status(object);
        let state = State::of(object);
        let waits = state == State::Known(Reason::AwaitingApproval);
        let offboarded = condition(object, ConditionType::Offboarded);
        Offboarding {
            name: object.name_any(),
            uid: object.spec.uid.clone(),
            identity: offboarding::identity_name(object),
            state: state.word().to_owned(),
            offboarded: offboarded.is_some_and(|condition| condition.status == "True"),
            planned: status.plan.as_ref().map(|plan| plan.total),
            removed: status.removed.unwrap_or_default().total,
            digest: status.plan.as_ref().filter(|_| waits).map(|plan| plan.digest.clone()),
            reason: object.spec.reason.clone(),
            message: condition(object, ConditionType::Ready).map(|ready| clean(&ready.message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(failure: Failure) -> (Ended, String) {
        let mut result = ClusterResult::waiting("a", None, None);
        result.fail(failure);
        (result.ended, result.words())
    }

    #[test]
    fn a_failure_says_how_a_cluster_ended() {
        let words = |failure| ended(failure).1;
        assert_eq!(words(Failure::new("x")), "failed");
        assert_eq!(words(Failure::found("x")), "held");
        assert_eq!(words(Failure::deadline("x")), "held");
        let gone = Failure::new("x").because(NotCovered::NoOperator);
        assert_eq!(words(gone), "not covered (no operator)");
        assert_eq!(words(Failure::interrupted()), "not covered (interrupted)");
    }

    #[test]
    fn the_worst_cluster_gives_the_exit_code() {
        let report = |all: &[Ended]| FleetReport {
            verb: "scan".to_owned(),
            uid: None,
            made_at: Timestamp::UNIX_EPOCH,
            plugin: "1".to_owned(),
            clusters: all
                .iter()
                .map(|ended| ClusterResult {
                    ended: *ended,
                    ..ClusterResult::waiting("a", None, None)
                })
                .collect(),
        };
        assert_eq!(report(&[Ended::Done]).exit(), Exit::Done);
        assert_eq!(report(&[Ended::Done, Ended::Held]).exit(), Exit::Found);
        assert_eq!(report(&[Ended::NotCovered, Ended::Done]).exit(), Exit::Found);
        assert_eq!(report(&[Ended::Held, Ended::Failed, Ended::Done]).exit(), Exit::Failed);
    }
}

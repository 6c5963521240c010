//! What came of a verb in every cluster: the one model behind the live table, the report file and each of its formats.

use ack_offboarding_operator::api::scan::Finding;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// Why it is held, failed or not covered, and what to do about it; of one that is done, what was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// How long it took, in milliseconds.
    pub(crate) took_ms: u64,
    /// How many kubeconfigs ACK issued to the caller for it.
    #[serde(default)]
    pub(crate) kubeconfigs_issued: u32,
    /// When its scan was made; of a scan only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scanned_at: Option<Timestamp>,
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

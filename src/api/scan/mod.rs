//! `PermissionScan`: who still has access to the cluster.
//!
//! Doc comments of fields are what `kubectl explain` prints.

// The derive macro repeats the struct in a scope of its own, where `pub` reaches nobody.
#![allow(unreachable_pub)]
// Each printer column has a type of its own; the lint takes them for one attribute written several times.
#![allow(clippy::duplicated_attributes)]

mod conditions;
mod interval;
mod status;

pub use conditions::{ScanCondition, ScanReason, set as set_scan_condition};
pub use status::{
    Access, AccountType, Dormancy, Finding, FindingBinding, FindingState, LastSeenStatus, PermissionScanStatus,
    ScanCounts,
};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The annotation that asks for a scan now; each value asks once.
pub const SCAN_REQUESTED: &str = "ack-offboarding.io/scan-requested";

/// The label of a UserOffboarding that a scan proposed: the scan's name.
pub const SCAN_LABEL: &str = "ack-offboarding.io/scan";

/// How many findings a status has room for.
pub const FINDINGS_AT_MOST: usize = 500;

/// What to look for, and how often.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "ack-offboarding.io",
    version = "v1alpha1",
    kind = "PermissionScan",
    plural = "permissionscans",
    singular = "permissionscan",
    shortname = "pscan",
    validation = Rule::new("self.metadata.name.size() <= 63").message("the name of a PermissionScan is a label of what it proposes: at most 63 characters"),
    category = "ack",
    status = "PermissionScanStatus",
    derive = "PartialEq",
    doc = "Reports which RAM identities still have access to this ACK cluster: those that are deleted, in the recycle bin or frozen, and on request those that are dormant, or all.",
    printcolumn(
        name = "STATE",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "Whether the last scan was complete, or what blocks it"
    ),
    printcolumn(
        name = "FINDINGS",
        type_ = "integer",
        json_path = ".status.counts.findings",
        description = "How many identities still have access and should be looked at"
    ),
    printcolumn(
        name = "DELETED",
        type_ = "integer",
        json_path = ".status.counts.deleted",
        description = "How many of the identities with access are deleted"
    ),
    printcolumn(
        name = "ADMINS",
        type_ = "integer",
        json_path = ".status.counts.clusterAdmins",
        description = "How many findings are cluster-admin"
    ),
    printcolumn(
        name = "LAST SCAN",
        type_ = "date",
        json_path = ".status.lastScanTime",
        description = "How long ago the last complete scan was"
    ),
    printcolumn(
        name = "NEXT SCAN",
        type_ = "string",
        json_path = ".status.nextScanTime",
        priority = 1,
        description = "When the next scan is due"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PermissionScanSpec {
    /// How often to scan: hours, minutes and seconds, as in 24h or 1h30m; at least 5m, at most 8760h.
    #[serde(default = "interval::default")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.matches('^([0-9]{1,4}h)?([0-9]{1,4}m)?([0-9]{1,4}s)?$') && self != '' && duration(self) >= duration('5m') && duration(self) <= duration('8760h')").message("interval must be a time of at least 5m and at most 8760h, written in hours, minutes and seconds, as in 24h or 1h30m"))]
    pub interval: String,

    /// Which identities are findings. Deleted: those with access that are deleted, in the recycle bin, frozen, or of
    /// which that is unknown. Dormant: also those that made no request for dormantDays. All: everybody with access.
    #[serde(default)]
    pub include: Include,

    /// After how many days without a request an identity is dormant.
    #[serde(default = "dormant_days")]
    #[schemars(range(min = 1, max = 365))]
    pub dormant_days: u16,

    /// Report shows the findings here. Propose also creates a UserOffboarding for each deleted identity, which waits
    /// for approval; it needs the chart's value scan.propose.
    #[serde(default)]
    pub on_finding: OnFinding,

    /// How many proposed UserOffboardings may be open at a time.
    #[serde(default = "max_proposals")]
    #[schemars(range(min = 1, max = 100))]
    pub max_proposals: u16,

    /// Stops scanning and proposing. The last findings stay.
    #[serde(default)]
    pub suspend: bool,
}

impl PermissionScanSpec {
    /// How often to scan. What the CRD would refuse counts as a day.
    pub fn interval(&self) -> Duration {
        interval_of(&self.interval)
    }
}

/// An interval as a PermissionScan has it; a day, if it is none.
pub(crate) fn interval_of(text: &str) -> Duration {
    interval::parse(text).unwrap_or(interval::A_DAY)
}

fn dormant_days() -> u16 {
    90
}

fn max_proposals() -> u16 {
    10
}

/// Which identities are findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum Include {
    /// Those that are deleted, in the recycle bin, frozen, or of which that is unknown.
    #[default]
    Deleted,
    /// Also those that made no request for a time.
    Dormant,
    /// Everybody with access.
    All,
}

/// What to do about a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum OnFinding {
    /// Show it.
    #[default]
    Report,
    /// Also create a UserOffboarding that waits for approval.
    Propose,
}

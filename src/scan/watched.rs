//! The objects as the watch keeps them between scans: no more than what wakes and counts them needs.

use crate::api::{
    PermissionScan,
    scan::{SCAN_REQUESTED, ScanCondition, interval_of},
};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, core::ObjectMeta};
use serde::Deserialize;
use std::time::Duration;

/// One that is scanned by. A spec or status that this version cannot read does not break the watch of the others.
#[derive(Clone, Debug, Deserialize, Resource)]
#[resource(inherit = "PermissionScan")]
pub(crate) struct WatchedScan {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: WatchedScanSpec,
    #[serde(default)]
    status: WatchedScanStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WatchedScanSpec {
    suspend: bool,
    interval: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WatchedScanStatus {
    observed_generation: Option<i64>,
    last_scan_time: Option<String>,
    counts: Option<WatchedCounts>,
    conditions: Vec<WatchedType>,
}

/// How many identities with access there are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WatchedCounts {
    pub(crate) active: u32,
    pub(crate) frozen: u32,
    pub(crate) recycle_bin: u32,
    pub(crate) deleted: u32,
    pub(crate) root: u32,
    pub(crate) unknown: u32,
    pub(crate) without_offboarding: u32,
}

#[derive(Clone, Debug, Deserialize)]
struct WatchedType {
    #[serde(rename = "type")]
    type_: String,
}

impl WatchedScan {
    /// What the annotation asks for; each value asks once.
    pub(crate) fn requested(&self) -> Option<&str> {
        requested(&self.metadata)
    }

    /// Whether its status was written, and lacks what the operator always writes into it.
    pub(crate) fn has_lost_its_conditions(&self) -> bool {
        let was_written = self.status.observed_generation.is_some_and(|seen| seen >= 0);
        let ready = ScanCondition::Ready.as_str();
        was_written && !self.status.conditions.iter().any(|c| c.type_ == ready)
    }

    /// Whether it is to stop.
    pub(crate) fn is_suspended(&self) -> bool {
        self.spec.suspend
    }

    /// How often it scans.
    pub(crate) fn interval(&self) -> Duration {
        interval_of(self.spec.interval.as_deref().unwrap_or_default())
    }

    /// When its last whole scan was.
    pub(crate) fn last_scan(&self) -> Option<Timestamp> {
        self.status.last_scan_time.as_ref()?.parse().ok()
    }

    /// What its last whole scan counted.
    pub(crate) fn counts(&self) -> Option<WatchedCounts> {
        self.status.counts
    }
}

/// The value of the annotation that asks for a scan now. What is longer than a status remembers asks for nothing.
pub(crate) fn requested(metadata: &ObjectMeta) -> Option<&str> {
    let value = metadata.annotations.as_ref()?.get(SCAN_REQUESTED)?;
    (!value.is_empty() && value.chars().count() <= 256).then_some(value.as_str())
}

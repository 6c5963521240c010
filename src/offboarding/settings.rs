//! What the flow must be told.

use crate::rbac::barrier_bindings::BarrierNames;
use std::time::Duration;

/// Settings as the flow needs them: complete.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ACK cluster.
    pub cluster_id: String,
    /// The account that it belongs to.
    pub account_id: String,
    /// The operator's namespace.
    pub namespace: String,
    /// The two barrier bindings.
    pub barrier: BarrierNames,
    /// UIDs that are never offboarded.
    pub protected_uids: Vec<String>,
    /// Whether the approval policy is installed: it tells the audit log who approved what.
    pub approval_policy: bool,
    /// Whether subjects may be removed from shared bindings.
    pub remove_subjects: bool,
    /// How many ConfigMaps are written as backups of one object in 24 hours.
    pub backups_per_day: u16,
    /// The most calls to Alibaba Cloud in a minute.
    pub cloud_calls_per_minute: u32,
    /// How many offboardings may begin to remove access in an hour.
    pub new_runs_per_hour: u16,
    /// How often something that waits is looked at again.
    pub recheck_interval: Duration,
    /// How often ACK is asked after the end.
    pub poll_interval: Duration,
    /// The first wait after a failure.
    pub backoff_first: Duration,
    /// The longest wait after a failure.
    pub backoff_longest: Duration,
}

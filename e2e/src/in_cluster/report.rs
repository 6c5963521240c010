//! What was observed, as JSON.

use std::path::Path;

use serde::Serialize;

/// What was observed; `None` where the run did not get to it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The pods that were Ready after `helm install`.
    pub(super) pods_ready: Option<usize>,
    /// The leaver's object became `Offboarded=True`.
    pub(super) offboarded: bool,
    /// The HTTP status that the leaver's certificate got after.
    pub(super) leaver_after: Option<u16>,
    /// From the leader's kill to the moment at which another process held the Lease.
    pub(super) failover_s: Option<f64>,
    /// What the operator must not be able to do, and was tried with its token.
    pub(super) refusals_tried: Option<usize>,
    /// How much of that the API server refused.
    pub(super) refused: Option<usize>,
    /// The image's layers, not compressed.
    pub(super) image_mib: Option<f64>,
    /// The larger of the pods' resident sets before there was anything to do.
    pub(super) idle_rss_mib: Option<f64>,
    /// The longest time from the start of a pod's container to its readiness, which Kubernetes tells in whole seconds.
    pub(super) ready_s: Option<f64>,
    /// How long `doctor` took, on a sound installation.
    pub(super) doctor_s: Option<f64>,
    /// How `kubectl ack-offboard doctor` ended, run by an administrator.
    pub(super) plugin_doctor: Option<i32>,
}

impl Report {
    /// Writes it as JSON.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        crate::write_report(self, path)
    }
}

/// Bytes as MiB, with one decimal.
pub(super) fn mib(bytes: u64) -> f64 {
    tenths(bytes as f64 / f64::from(1 << 20))
}

/// With one decimal.
pub(super) fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_exactly_the_documented_keys() {
        let report = serde_json::to_value(Report::default()).unwrap();
        let mut keys: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        let documented = [
            "doctor_s",
            "failover_s",
            "idle_rss_mib",
            "image_mib",
            "leaver_after",
            "offboarded",
            "plugin_doctor",
            "pods_ready",
            "ready_s",
            "refusals_tried",
            "refused",
        ];
        assert_eq!(keys, documented);
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(mib(17_297_920), 16.5);
    }
}

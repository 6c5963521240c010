//! What the demo observed, and whether it is what it should be.

use std::path::Path;

use serde::Serialize;

/// What was observed; `None` where the demo did not get to it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The leaver's object became `Offboarded=True`.
    pub(super) offboarded: bool,
    /// The HTTP status that the leaver's certificate got before: 200, or the first that was not.
    pub(super) leaver_before: Option<u16>,
    /// And after: 403, or the first that was not.
    pub(super) leaver_after: Option<u16>,
    /// The HTTP status of the colleague after.
    pub(super) colleague_after: Option<u16>,
    /// Ready's reason of the one who is still active.
    pub(super) active_leaver_state: Option<String>,
    /// Ready's reason of the object whose name does not match.
    pub(super) mismatch_state: Option<String>,
    /// The deleted bindings were back, and the leaver's access with them.
    pub(super) restored: bool,
    /// From the API server's answer to the create to the watch event with `Offboarded=True`.
    pub(super) apply_to_offboarded_ms: Option<u64>,
}

impl Report {
    /// Writes it as JSON.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        crate::write_report(self, path)
    }
}

/// `wanted`, or the first status that differs from it.
pub(super) fn all(statuses: &[u16], wanted: u16) -> Option<u16> {
    statuses
        .iter()
        .copied()
        .find(|status| *status != wanted)
        .or_else(|| statuses.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_that_differs_is_the_one_reported() {
        assert_eq!(all(&[200, 403, 200], 200), Some(403));
        assert_eq!(all(&[200, 200], 200), Some(200));
        assert_eq!(all(&[], 200), None);
    }

    #[test]
    fn the_report_has_exactly_the_documented_keys() {
        let report = serde_json::to_value(Report::default()).unwrap();
        let mut keys: Vec<_> = report.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        let documented = [
            "active_leaver_state",
            "apply_to_offboarded_ms",
            "colleague_after",
            "leaver_after",
            "leaver_before",
            "mismatch_state",
            "offboarded",
            "restored",
        ];
        assert_eq!(keys, documented);
    }
}

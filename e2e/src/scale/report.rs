//! The figures, and the bars they must stay under.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use serde::Serialize;

use super::process::Kib;

/// Resident memory once the index is complete.
const RSS_BAR_MIB: u64 = 48;
/// The median time from applied to offboarded.
const P50_BAR_MS: u64 = 500;

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bindings: u32,
    bare_list_ms: u64,
    sync_ms: u64,
    rss_mib: u64,
    peak_mib: u64,
    apply_to_offboarded_ms: Percentiles,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: u64,
    p95: u64,
}

impl Report {
    /// Of these measurements.
    pub(super) fn new(
        bindings: u32,
        bare_list: Duration,
        sync: Duration,
        rss: Kib,
        peak: Kib,
        times: &[Duration],
    ) -> Self {
        let mut times: Vec<_> = times.iter().map(|time| millis(*time)).collect();
        times.sort_unstable();
        Report {
            bindings,
            bare_list_ms: millis(bare_list),
            sync_ms: millis(sync),
            rss_mib: rss.mib(),
            peak_mib: peak.mib(),
            apply_to_offboarded_ms: Percentiles {
                p50: percentile(&times, 50),
                p95: percentile(&times, 95),
            },
        }
    }

    /// Prints the JSON to standard output, and how the figures stand to their bars to standard error.
    pub(super) fn print(&self) {
        let verdict = |met| if met { "ok" } else { "MISSED" };
        let (rss, p50) = (self.rss_mib, self.apply_to_offboarded_ms.p50);
        eprintln!(
            "memory {rss} MiB, which should be less than {RSS_BAR_MIB}: {}",
            verdict(rss < RSS_BAR_MIB)
        );
        eprintln!(
            "p50 {p50} ms, which should be less than {P50_BAR_MS}: {}",
            verdict(p50 < P50_BAR_MS)
        );
        println!("{}", self.json());
    }

    /// Writes the JSON.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, self.json() + "\n").with_context(|| format!("cannot write the report {}", path.display()))
    }

    /// Whether memory and the median stay under their bars.
    pub(super) fn meets_its_bars(&self) -> bool {
        self.rss_mib < RSS_BAR_MIB && self.apply_to_offboarded_ms.p50 < P50_BAR_MS
    }

    fn json(&self) -> String {
        // Numbers and fixed keys: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// By nearest rank, of a sorted list.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let times: Vec<u64> = (1..=20).collect();
        assert_eq!((percentile(&times, 50), percentile(&times, 95)), (10, 19));
        assert_eq!(
            (percentile(&[7], 50), percentile(&[7], 95), percentile(&[], 50)),
            (7, 7, 0)
        );
    }
}

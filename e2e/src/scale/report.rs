//! The figures, and the bars they must stay under.

use std::{fs, path::Path, time::Duration};

use anyhow::Context;
use serde::Serialize;

use super::{
    many::Many,
    process::Kib,
    scan::{Direct, RamTool, Warm},
};

/// Resident memory once the index is complete.
const RSS_BAR_MIB: u64 = 48;
/// The median time from applied to offboarded, as a ratio to that in a cluster without other bindings.
const P50_BAR: f64 = 2.5;
/// The time for one leaver with very many bindings, as a ratio to a bare client that makes the same requests.
const MANY_BAR: f64 = 1.5;
/// `scan --direct`, as a ratio to a bare client that lists the same.
const DIRECT_BAR: f64 = 1.3;
/// The plugin's memory, at its peak.
const DIRECT_BAR_MIB: u64 = 64;

/// Scans of everybody who has access.
#[derive(Debug, Serialize)]
pub(super) struct Scans {
    pub(super) direct: Direct,
    /// By the operator, whose index is complete.
    pub(super) warm: Warm,
    /// The operator's memory at its peak, this scan and a first one included.
    pub(super) operator_peak_mib: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ram_tool: Option<RamTool>,
}

/// What was measured.
pub(super) struct Measured {
    pub(super) bindings: u32,
    pub(super) bare_list: Duration,
    pub(super) sync: Duration,
    pub(super) rss: Kib,
    pub(super) peak: Kib,
    /// Of each leaver, among all these bindings.
    pub(super) times: Vec<Duration>,
    /// Of each leaver, without other bindings.
    pub(super) empty: Vec<Duration>,
    pub(super) many: Option<Many>,
    pub(super) scans: Scans,
}

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bindings: u32,
    bare_list_ms: u64,
    sync_ms: u64,
    rss_mib: u64,
    peak_mib: u64,
    apply_to_offboarded_ms: Percentiles,
    without_other_bindings_ms: Percentiles,
    #[serde(skip_serializing_if = "Option::is_none")]
    of_one_leaver: Option<Many>,
    scans: Scans,
}

#[derive(Debug, Serialize)]
struct Percentiles {
    p50: u64,
    p95: u64,
}

impl Percentiles {
    fn of(times: &[Duration]) -> Self {
        let mut times: Vec<_> = times.iter().map(|time| millis(*time)).collect();
        times.sort_unstable();
        Percentiles {
            p50: percentile(&times, 50),
            p95: percentile(&times, 95),
        }
    }
}

impl Report {
    /// Of these measurements.
    pub(super) fn new(measured: Measured) -> Self {
        Report {
            bindings: measured.bindings,
            bare_list_ms: millis(measured.bare_list),
            sync_ms: millis(measured.sync),
            rss_mib: measured.rss.mib(),
            peak_mib: measured.peak.mib(),
            apply_to_offboarded_ms: Percentiles::of(&measured.times),
            without_other_bindings_ms: Percentiles::of(&measured.empty),
            of_one_leaver: measured.many,
            scans: measured.scans,
        }
    }

    /// What is compared with a bar: what it is, the figure, and the bar that it must stay under.
    fn bars(&self) -> Vec<(String, f64, f64)> {
        let (p50, empty) = (self.apply_to_offboarded_ms.p50, self.without_other_bindings_ms.p50);
        let mut bars = vec![
            ("memory, in MiB".to_owned(), self.rss_mib as f64, RSS_BAR_MIB as f64),
            (
                format!("p50 of {p50} ms, as a ratio to {empty} ms without other bindings"),
                p50 as f64 / empty.max(1) as f64,
                P50_BAR,
            ),
        ];
        if let Some(many) = &self.of_one_leaver {
            let what = format!(
                "{} bindings of one leaver, in {} ms, as a ratio to {} ms of a bare client",
                many.bindings, many.offboarded_ms, many.bare_ms
            );
            bars.push((what, many.ratio(), MANY_BAR));
        }
        let Scans { direct, warm, .. } = &self.scans;
        bars.extend([
            (
                format!(
                    "scan --direct in {} ms, as a ratio to {} ms of a bare client",
                    direct.took_ms, direct.bare_ms
                ),
                direct.ratio(),
                DIRECT_BAR,
            ),
            (
                "memory of scan --direct, in MiB".to_owned(),
                direct.peak_mib as f64,
                DIRECT_BAR_MIB as f64,
            ),
            (
                "LISTs of bindings by the operator's scan".to_owned(),
                warm.lists as f64,
                1.0,
            ),
            (
                format!("GETs of bindings by the operator's scan, which shows {}", warm.findings),
                warm.gets as f64,
                (warm.findings + 1) as f64,
            ),
        ]);
        bars
    }

    /// Prints the JSON to standard output, and how the figures stand to their bars to standard error.
    pub(super) fn print(&self) {
        for (what, figure, bar) in self.bars() {
            let verdict = if figure < bar { "ok" } else { "MISSED" };
            eprintln!("{what}: {figure:.2}, which should be less than {bar}: {verdict}");
        }
        println!("{}", self.json());
    }

    /// Writes the JSON.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs::write(path, self.json() + "\n").with_context(|| format!("cannot write the report {}", path.display()))
    }

    /// Whether every figure stays under its bar.
    pub(super) fn meets_its_bars(&self) -> bool {
        self.bars().iter().all(|(_, figure, bar)| figure < bar)
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

//! What is not in a report, and why: clusters without a result, and what the scans of the others leave out.

use super::view::Cluster;
use crate::fleet::result::Gap;
use serde::Serialize;

/// Something that is not in the report.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Missing {
    /// Of which cluster, or clusters.
    pub(super) of: String,
    /// What, and why.
    pub(super) what: String,
}

/// All of it: cluster by cluster, then gap by gap.
pub(super) fn of(clusters: &[Cluster]) -> Vec<Missing> {
    let without = clusters.iter().filter(|cluster| cluster.is_missing);
    let mut all: Vec<_> = without
        .map(|cluster| Missing {
            of: match cluster.region.as_str() {
                "" => cluster.name.clone(),
                region => format!("{} ({region})", cluster.name),
            },
            what: why(cluster),
        })
        .collect();
    let scanned = || clusters.iter().filter(|cluster| !cluster.scanned_at.is_empty());
    for gap in [Gap::Truncated, Gap::GoneOnly, Gap::Outdated] {
        let with: Vec<_> = scanned().filter(|cluster| cluster.gaps.contains(&gap)).collect();
        let of = match with.len() {
            0 => continue,
            many if many > 1 && many == scanned().count() => format!("All {many} that were scanned"),
            _ => {
                let names = with.iter().map(|cluster| cluster.name.as_str());
                names.collect::<Vec<_>>().join(", ")
            }
        };
        all.push(Missing {
            of,
            what: gap.words().to_owned(),
        });
    }
    all
}

/// How a cluster ended, and what is known of it all the same: a kubeconfig works where no operator deals with it.
fn why(cluster: &Cluster) -> String {
    let mut why = match cluster.message.as_str() {
        "" => cluster.ended.clone(),
        message => format!("{}: {message}", cluster.ended),
    };
    if cluster.is_kubeconfig_left {
        if !why.ends_with('.') {
            why.push('.');
        }
        let state = &cluster.kubeconfig;
        why.push_str(&format!(" ACK says that the UID has a kubeconfig for it: {state}."));
    }
    why
}

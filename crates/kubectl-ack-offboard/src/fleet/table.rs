//! A report for people at a terminal: what was found or done, then how every cluster ended.

use super::{
    live::paint,
    result::{ClusterResult, Ended, FleetReport, Offboarding},
};
use crate::{
    offboarding::State,
    output::{self, Cell, Shown, clean},
    verbs::scan,
};
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;

/// How much of a message the table has, in characters; `-o wide` has all of it.
const SHORT: usize = 90;

impl Shown for FleetReport {
    const KIND: &'static str = "FleetReport";

    fn text(&self, wide: bool) -> String {
        let tables = [self.findings(wide), self.offboardings(wide), Some(self.ended(wide))];
        tables.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
    }

    fn names(&self) -> Vec<String> {
        self.clusters.iter().map(|cluster| cluster.name.clone()).collect()
    }
}

impl FleetReport {
    fn findings(&self, wide: bool) -> Option<String> {
        let now = Timestamp::now();
        let all = self.clusters.iter().flat_map(|cluster| {
            let row = move |finding| [vec![Cell::from(cluster.name.as_str())], scan::row(finding, now, wide)].concat();
            cluster.findings.iter().map(row)
        });
        let rows: Vec<_> = all.collect();
        (!rows.is_empty()).then(|| output::table([vec!["CLUSTER"], scan::header(wide)].concat(), rows))
    }

    fn offboardings(&self, wide: bool) -> Option<String> {
        let all = self.clusters.iter().flat_map(|cluster| {
            let row = move |one| offboarding(cluster, one, wide);
            cluster.offboardings.iter().map(row)
        });
        let rows: Vec<_> = all.collect();
        let mut header = vec!["CLUSTER", "NAME", "UID", "IDENTITY", "STATE", "PLANNED", "REMOVED"];
        if wide {
            header.extend(["REASON", "DIGEST", "MESSAGE"]);
        }
        (!rows.is_empty()).then(|| output::table(header, rows))
    }

    fn ended(&self, wide: bool) -> String {
        let has_regions = self.clusters.iter().any(|cluster| cluster.region.is_some());
        let has_kubeconfigs = self.clusters.iter().any(|cluster| cluster.kubeconfig.is_some());
        let mut header = vec!["CLUSTER"];
        if has_regions {
            header.push("REGION");
        }
        header.push("ENDED");
        if has_kubeconfigs {
            header.push("KUBECONFIG");
        }
        header.extend(["TOOK", "MESSAGE"]);
        let rows = self.clusters.iter().map(|cluster| {
            let mut row = vec![Cell::from(cluster.name.as_str())];
            if has_regions {
                row.push(cluster.region.clone().into());
            }
            row.push(Cell::painted(cluster.words(), paint(cluster.ended)));
            if has_kubeconfigs {
                row.push(cluster.kubeconfig.clone().into());
            }
            let took = Duration::from_millis(cluster.took_ms).as_secs_f32();
            row.extend([Cell::from(format!("{took:.1}s")), message(cluster, wide).into()]);
            row
        });
        output::table(header, rows)
    }

    /// What standard error says at the end: how many ended how, and by name which failed and which were not covered.
    pub(crate) fn remarks(&self) -> String {
        let count = |ended: Ended| self.clusters.iter().filter(|cluster| cluster.ended == ended).count();
        let counts = [
            (count(Ended::Done), "done"),
            (count(Ended::Held), "held"),
            (count(Ended::NotCovered), "not covered"),
            (count(Ended::Failed), "failed"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<_> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        let mut lines = vec![format!("{}: {}.", clusters(self.clusters.len()), counts.join(", "))];
        for (ended, word) in [(Ended::Failed, "Failed"), (Ended::NotCovered, "Not covered")] {
            let of = self.clusters.iter().filter(|cluster| cluster.ended == ended);
            lines.extend(of.map(|cluster| {
                let why = cluster.not_covered.map(|why| format!(" ({})", why.words()));
                let message = cluster.message.as_deref().map(clean).unwrap_or_default();
                let left = cluster.kubeconfig_left();
                let left = left.map(|state| format!(" ACK says that the UID has a kubeconfig for it: {state}."));
                format!(
                    "{word}: {}{}: {message}{}",
                    clean(&cluster.name),
                    why.unwrap_or_default(),
                    left.unwrap_or_default()
                )
            }));
        }
        match self.clusters.iter().map(|cluster| cluster.kubeconfigs_issued).sum() {
            0 => {}
            1 => lines.push("ACK issued 1 kubeconfig to you, for 15 minutes; it was kept in memory only.".to_owned()),
            many => lines.push(format!(
                "ACK issued {many} kubeconfigs to you, for 15 minutes each; they were kept in memory only."
            )),
        }
        lines.join("\n")
    }
}

/// `1 cluster`, `20 clusters`.
pub(crate) fn clusters(count: usize) -> String {
    match count {
        1 => "1 cluster".to_owned(),
        _ => format!("{count} clusters"),
    }
}

fn message(cluster: &ClusterResult, wide: bool) -> String {
    let message = cluster.message.as_deref().unwrap_or_default();
    match message.char_indices().nth(SHORT) {
        Some((at, _)) if !wide => format!("{}…", &message[..at]),
        _ => message.to_owned(),
    }
}

fn offboarding(cluster: &ClusterResult, one: &Offboarding, wide: bool) -> Vec<Cell> {
    let mut row = vec![
        cluster.name.as_str().into(),
        one.name.as_str().into(),
        one.uid.as_str().into(),
        one.identity.clone().into(),
        State::parse(&one.state).cell(),
        one.planned.map(|planned| planned.to_string()).into(),
        one.removed.to_string().into(),
    ];
    if wide {
        row.extend([
            Cell::from(one.reason.clone()),
            one.digest.clone().into(),
            one.message.clone().into(),
        ]);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Failure, NotCovered};

    fn report() -> FleetReport {
        let mut done = ClusterResult::waiting("prod-a", Some("c1"), Some("cn-hangzhou"));
        done.end(Ended::Done, "nobody was found");
        done.kubeconfigs_issued = 2;
        let mut failed = ClusterResult::waiting("prod-b", None, None);
        failed.fail(Failure::new("x".repeat(SHORT + 1)));
        let mut gone = ClusterResult::waiting("old", None, None);
        gone.fail(Failure::new("ACK says that it is deleting.").because(NotCovered::NoApiServer));
        gone.kubeconfig = Some("Unexpired".to_owned());
        FleetReport {
            verb: "scan".to_owned(),
            uid: None,
            made_at: Timestamp::UNIX_EPOCH,
            plugin: "1".to_owned(),
            clusters: vec![done, failed, gone],
        }
    }

    #[test]
    fn every_cluster_is_in_the_closing_table() {
        let text = anstream::adapter::strip_str(&report().text(false)).to_string();
        let lines: Vec<_> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(lines[0], "CLUSTER REGION ENDED KUBECONFIG TOOK MESSAGE");
        assert_eq!(lines[1], "prod-a cn-hangzhou done - 0.0s nobody was found");
        assert_eq!(lines[2], format!("prod-b - failed - 0.0s {}…", "x".repeat(SHORT)));
        assert!(
            lines[3].starts_with("old - not covered (no API server) Unexpired 0.0s ACK says"),
            "{text}"
        );
        assert!(report().text(true).contains(&"x".repeat(SHORT + 1)));
    }

    #[test]
    fn what_failed_and_what_was_not_covered_is_named() {
        let said = report().remarks();
        assert!(
            said.starts_with("3 clusters: 1 done, 1 not covered, 1 failed.\nFailed: prod-b: xx"),
            "{said}"
        );
        assert!(
            said.contains("\nNot covered: old (no API server): ACK says that it is deleting. ACK says that the UID has a kubeconfig for it: Unexpired."),
            "{said}"
        );
        assert!(said.contains("\nACK issued 2 kubeconfigs to you"), "{said}");
    }
}

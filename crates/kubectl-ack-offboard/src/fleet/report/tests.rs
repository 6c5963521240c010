//! The formats hold the same facts, and none takes a name for anything else.

mod gaps;

use super::{
    super::result::{ClusterResult, Ended, FleetReport, Offboarding},
    ReportFormat,
    csv::HEADER,
    render,
    view::View,
};
use crate::exit::NotCovered;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A name that each format could take for something else.
const HOSTILE: &str =
    "=1+1</script><img src=x onerror=alert(1)>|`*_[a](b)\"', https://a.example @b\u{202e}\nsecond line";

fn finding(uid: &str, state: &str, access: &str, name: &str) -> Value {
    json!({
        "uid": uid, "type": "RamUser", "name": name, "state": state, "dormant": "Unknown", "access": access,
        "bindings": [{"kind": "RoleBinding", "namespace": "team-a", "name": name, "roleRef": "ClusterRole/edit"}],
        "bindingsTotal": 2, "kubeconfig": "Unexpired", "lastSeen": "2026-01-05T09:12:44Z",
    })
}

fn cluster(name: &str, ended: Ended, findings: &[Value]) -> ClusterResult {
    let mut cluster = ClusterResult::waiting(name, Some("c0123"), Some("cn-hangzhou"));
    cluster.ended = ended;
    cluster.not_covered = (ended == Ended::NotCovered).then_some(NotCovered::NoApiServer);
    cluster.message = Some(format!("message of {name}"));
    if ended == Ended::Done {
        cluster.scanned_at = "2026-01-06T00:00:00Z".parse().ok();
    }
    cluster.findings = findings
        .iter()
        .map(|finding| serde_json::from_value(finding.clone()).unwrap())
        .collect();
    cluster
}

fn report() -> FleetReport {
    let mut first = cluster(
        "prod",
        Ended::Done,
        &[
            finding("100000000000000001", "Frozen", "Namespaced", "asleep"),
            finding("259083957089437690", "Deleted", "Namespaced", HOSTILE),
        ],
    );
    first.offboardings.push(Offboarding {
        name: "leaver".to_owned(),
        uid: "259083957089437690".to_owned(),
        identity: Some(HOSTILE.to_owned()),
        state: "AwaitingApproval".to_owned(),
        offboarded: false,
        planned: Some(2),
        removed: 0,
        digest: None,
        reason: Some("@TICKET-7".to_owned()),
        message: Some("It waits.".to_owned()),
    });
    let second = cluster(
        "test",
        Ended::Done,
        &[finding("259083957089437690", "Deleted", "ClusterAdmin", HOSTILE)],
    );
    let mut third = cluster(HOSTILE, Ended::NotCovered, &[]);
    third.kubeconfig = Some("Unexpired".to_owned());
    FleetReport {
        verb: "report".to_owned(),
        uid: None,
        made_at: "2026-01-06T00:00:01Z".parse().unwrap(),
        plugin: "0.1.0".to_owned(),
        clusters: vec![first, second, third],
    }
}

/// Facts, as `who in which cluster: what`, whatever they were read from.
type Facts = BTreeSet<String>;

fn expected() -> Facts {
    [
        "100000000000000001 in 0: namespaces",
        "259083957089437690 in 0: namespaces",
        "259083957089437690 in 1: cluster-admin",
        "cluster 0: done",
        "cluster 1: done",
        "cluster 2: not covered (no API server)",
        "offboarding leaver in 0: AwaitingApproval",
    ]
    .map(str::to_owned)
    .into()
}

fn rendered(format: ReportFormat) -> String {
    render(&report(), format).unwrap()
}

fn index(name: &str) -> usize {
    match name {
        "prod" => 0,
        "test" => 1,
        _ => 2,
    }
}

#[test]
fn the_view_has_the_worst_first() {
    let view = View::of(&report());
    let order: Vec<_> = view
        .identities
        .iter()
        .map(|one| (one.uid.as_str(), one.access, one.count))
        .collect();
    assert_eq!(
        order,
        [
            ("259083957089437690", "cluster-admin", 2),
            ("100000000000000001", "namespaces", 1)
        ]
    );
    let known: Vec<_> = view.identities[1]
        .cells
        .iter()
        .map(|cell| (cell.access, cell.is_known))
        .collect();
    assert_eq!(
        known,
        [("namespaces", true), ("", true), ("", false)],
        "held, nothing, and nobody looked"
    );
    let summary = &view.summary;
    assert_eq!((summary.gone, summary.gone_admins, summary.gone_left), (2, 1, 2));
    assert_eq!((summary.clusters, summary.done, summary.not_covered), (3, 2, 1));
}

/// What a person reads first in each of the two formats that count.
fn first_words(report: &FleetReport) -> [String; 2] {
    let page = render(report, ReportFormat::Html).unwrap();
    let cards = page.split("<ul class=\"summary\">").nth(1).unwrap();
    let markdown = render(report, ReportFormat::Markdown).unwrap();
    [
        cards.split("</ul>").next().unwrap().to_owned(),
        markdown.split("## Clusters").next().unwrap().to_owned(),
    ]
}

#[test]
fn where_nobody_looked_nobody_is_said_to_be_without_access() {
    let mut report = report();
    for cluster in &mut report.clusters {
        cluster.findings.clear();
    }
    // Two of three were scanned, and nobody was found there.
    for words in first_words(&report) {
        assert!(words.contains("the counts are of these"), "{words}");
        assert!(
            !words.contains("\"good\""),
            "no all-clear while a cluster is missing: {words}"
        );
    }
    // None was: one is held until its first scan.
    for cluster in &mut report.clusters {
        cluster.scanned_at = None;
    }
    report.clusters[0].ended = Ended::Held;
    assert!(View::of(&report).clusters.iter().all(|cluster| cluster.is_missing));
    for words in first_words(&report) {
        assert!(words.contains("nobody knows who has access"), "{words}");
        assert!(!words.contains("still with access"), "{words}");
    }
    // A verb that does not look says nothing of access at all.
    report.verb = "start".to_owned();
    for words in first_words(&report) {
        assert!(!words.contains("access"), "{words}");
    }
    assert!(
        render(&report, ReportFormat::Html)
            .unwrap()
            .contains("<h1>fleet start</h1>")
    );
}

#[test]
fn access_that_nothing_deals_with_is_said_in_words() {
    let mut report = report();
    let words = |report: &FleetReport| {
        let page = render(report, ReportFormat::Html).unwrap();
        page.matches("nothing deals with it").count()
    };
    assert_eq!(
        words(&report),
        3,
        "the deleted one in two clusters, the frozen one in one"
    );
    report.clusters[1].findings[0].offboarding = Some("leaver".to_owned());
    assert_eq!(words(&report), 2);
    assert_eq!(View::of(&report).summary.gone_left, 2);
}

#[test]
fn json_is_the_report_file() {
    let json: Value = serde_json::from_str(&rendered(ReportFormat::Json)).unwrap();
    assert_eq!(
        (&json["kind"], &json["apiVersion"]),
        (&json!("FleetReport"), &json!("cli.ack-offboarding.io/v1"))
    );
    let mut facts = Facts::new();
    for (index, cluster) in json["clusters"].as_array().unwrap().iter().enumerate() {
        let ended = if cluster["ended"] == "NotCovered" {
            assert_eq!(cluster["notCovered"], "NoApiServer");
            "not covered (no API server)"
        } else {
            "done"
        };
        facts.insert(format!("cluster {index}: {ended}"));
        for finding in cluster["findings"].as_array().into_iter().flatten() {
            let access = if finding["access"] == "ClusterAdmin" {
                "cluster-admin"
            } else {
                "namespaces"
            };
            facts.insert(format!("{} in {index}: {access}", finding["uid"].as_str().unwrap()));
        }
        for one in cluster["offboardings"].as_array().into_iter().flatten() {
            let text = |field: &str| one[field].as_str().unwrap().to_owned();
            facts.insert(format!("offboarding {} in {index}: {}", text("name"), text("state")));
        }
    }
    assert_eq!(facts, expected());
}

#[test]
fn csv_has_the_same_facts_and_no_formula() {
    let text = rendered(ReportFormat::Csv);
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), HEADER);
    let mut facts = Facts::new();
    for record in reader.records() {
        let record = record.unwrap();
        let at = |column: &str| &record[HEADER.iter().position(|name| *name == column).unwrap()];
        assert!(
            !record.iter().any(|cell| cell.starts_with(['=', '+', '-', '@'])),
            "{record:?}"
        );
        let cluster = index(at("cluster"));
        facts.insert(match at("row") {
            "cluster" => format!("cluster {cluster}: {}", at("ended")),
            "access" => format!("{} in {cluster}: {}", at("uid"), at("access")),
            _ => format!("offboarding {} in {cluster}: {}", at("offboarding"), at("state")),
        });
    }
    assert_eq!(facts, expected());
    assert!(text.contains("'@TICKET-7") && text.contains("'=1+1"), "{text}");
}

#[test]
fn markdown_has_the_same_facts_in_tables() {
    let text = rendered(ReportFormat::Markdown);
    // The cells of a line, with what stands for itself.
    let cells = |line: &str| -> Vec<String> {
        let marked = line.replace("\\|", "\u{1}");
        // Any bar that is not escaped ends a cell, with or without spaces.
        let parts = marked.trim_matches('|').split('|');
        parts
            .map(|part| part.trim().trim_matches('*').replace('\u{1}', "|"))
            .collect()
    };
    let (mut facts, mut section) = (Facts::new(), "");
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        if !line.starts_with("| ") || line.starts_with("| Cluster") || line.starts_with("| UID") {
            continue;
        }
        let cells = cells(line);
        match section {
            "Clusters" => {
                facts.insert(format!("cluster {}: {}", index(&cells[0]), cells[3]));
            }
            "Identities by clusters" => {
                assert_eq!(cells.len(), 9, "{line}");
                for (cluster, cell) in cells[6..].iter().enumerate() {
                    let access = cell.split([' ', ',']).next().unwrap();
                    if !matches!(access, "–" | "?") {
                        facts.insert(format!("{} in {cluster}: {access}", cells[0]));
                    }
                }
            }
            _ => {
                facts.insert(format!(
                    "offboarding {} in {}: {}",
                    cells[1],
                    index(&cells[0]),
                    cells[4]
                ));
            }
        }
    }
    assert_eq!(facts, expected());
    assert!(
        !text.contains("<img") && !text.contains("[a](b)") && !text.contains('\u{202e}'),
        "{text}"
    );
}

#[test]
fn the_page_has_the_same_facts_and_runs_nothing_else() {
    let page = rendered(ReportFormat::Html);
    let mut facts = Facts::new();
    let section = |id: &str| {
        let begun = page.split(&format!("<h2 id=\"{id}\">")).nth(1).unwrap();
        begun.split("</section>").next().unwrap()
    };
    // What an element says first, of a piece of the page that begins within it.
    let said = |piece: &str| piece.split_once('>').unwrap().1.split('<').next().unwrap().to_owned();
    for row in section("clusters").split("<tr>").skip(2) {
        let (name, ended) = (row.split("<th").nth(1), row.split("<span class=\"ended").nth(1));
        facts.insert(format!(
            "cluster {}: {}",
            index(&said(name.unwrap())),
            said(ended.unwrap())
        ));
    }
    // The rows of the matrix, in the page's own marks.
    for row in page.split("<tr data-state=").skip(1) {
        let row = row.split("</tr>").next().unwrap();
        let uid = row
            .split("<small>")
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .unwrap();
        for (cluster, cell) in row
            .split("<td class=")
            .filter(|cell| {
                cell.starts_with("\"holds") || cell.starts_with("\"nothing") || cell.starts_with("\"unknown")
            })
            .enumerate()
        {
            if let Some(access) = cell.split("<span class=\"access\">").nth(1) {
                facts.insert(format!(
                    "{uid} in {cluster}: {}",
                    access.split('<').next().unwrap().trim()
                ));
            }
        }
    }
    for row in section("offboardings").split("<tr>").skip(2) {
        let cells: Vec<_> = row.split("<td").skip(1).map(said).collect();
        let name = said(row.split("<th").nth(1).unwrap());
        facts.insert(format!("offboarding {name} in {}: {}", index(&cells[0]), cells[2]));
    }
    assert_eq!(facts, expected());

    assert!(!page.contains("<img"), "a name is no element");
    assert_eq!(page.matches("<script").count(), 1, "one script");
    assert!(page.contains("default-src &#x27;none&#x27;") || page.contains("default-src 'none'"));
    assert!(!page.contains('\u{202e}'), "a name does not turn the text round");
    for outside in ["src=\"", "href=\"", "url(", "@import", "fetch(", "http://", "https://"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

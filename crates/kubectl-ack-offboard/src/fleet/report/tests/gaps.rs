//! What is not in a report is said, and is never taken for nothing.

use super::{super::super::result::Gap, *};

#[test]
fn a_kubeconfig_that_is_left_where_nobody_looked_is_in_every_format() {
    for (format, words) in [
        (ReportFormat::Json, "\"kubeconfig\": \"Unexpired\""),
        (ReportFormat::Csv, ",Unexpired,"),
        (
            ReportFormat::Markdown,
            "ACK says that the UID has a kubeconfig for it&#58; Unexpired.",
        ),
        (
            ReportFormat::Html,
            "ACK says that the UID has a kubeconfig for it: Unexpired.",
        ),
    ] {
        let text = rendered(format);
        assert!(text.contains(words), "{format:?}: {text}");
    }
    let markdown = rendered(ReportFormat::Markdown);
    assert!(
        !markdown.contains("https://") && !markdown.contains("@b"),
        "a name is no link and calls nobody: {markdown}"
    );
}

/// One cluster that was scanned, and in which nobody was found.
fn nobody() -> FleetReport {
    let mut report = report();
    report.clusters = vec![cluster("prod", Ended::Done, &[])];
    report
}

#[test]
fn nobody_is_gone_only_where_a_scan_was_whole() {
    let is_clear = |report: &FleetReport| {
        render(report, ReportFormat::Html)
            .unwrap()
            .contains("\"good\"><b>0</b> gone")
    };
    assert!(is_clear(&nobody()));
    for (gap, clear) in [(Gap::Truncated, false), (Gap::Outdated, false), (Gap::GoneOnly, true)] {
        let mut report = nobody();
        report.clusters[0].gaps = vec![gap];
        assert_eq!(is_clear(&report), clear, "{gap:?}");
        for format in [ReportFormat::Html, ReportFormat::Markdown, ReportFormat::Csv] {
            let words = gap.words().split([':', '(']).next().unwrap();
            let text = render(&report, format).unwrap();
            assert!(text.contains(words), "{gap:?}, {format:?}: {text}");
        }
    }
    // Whoever cannot be resolved may be gone.
    let mut report = nobody();
    report.clusters = vec![cluster(
        "prod",
        Ended::Done,
        &[finding("1", "Unknown", "Namespaced", "x")],
    )];
    assert!(!is_clear(&report));
    let [_, markdown] = first_words(&report);
    assert!(
        markdown.contains("**1 of which nobody knows whether they exist**"),
        "{markdown}"
    );
}

#[test]
fn what_a_scan_does_not_look_for_is_not_known() {
    let is_known = |state: &str, gap: Option<Gap>| {
        let found = finding("1", state, "Namespaced", "somebody");
        let mut report = nobody();
        report.clusters[0].gaps.extend(gap);
        report.clusters.push(cluster("test", Ended::Done, &[found]));
        View::of(&report).identities[0].cells[0].is_known
    };
    assert!(is_known("Active", None) && is_known("Active", Some(Gap::Outdated)));
    assert!(!is_known("Active", Some(Gap::GoneOnly)));
    assert!(is_known("Deleted", Some(Gap::GoneOnly)) && is_known("Unknown", Some(Gap::GoneOnly)));
    assert!(!is_known("Deleted", Some(Gap::Truncated)));
}

#[test]
fn a_formula_is_none_behind_spaces_or_in_wide_signs() {
    for name in ["  =1+1", "\u{ff1d}1+1", "\u{ff20}SUM(1)"] {
        let mut report = nobody();
        report.clusters[0].name = name.to_owned();
        let text = render(&report, ReportFormat::Csv).unwrap();
        assert!(text.contains(&format!(",'{name},")), "{text}");
    }
}

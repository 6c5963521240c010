//! `docs/situations.md` is what the scenarios make of it, and has every reason that the operator can give.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ack_offboarding_e2e::situations;
use ack_offboarding_operator::api::Reason;
use std::path::Path;

#[test]
fn the_page_is_what_the_scenarios_make_of_it() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/situations.md");
    let committed = std::fs::read_to_string(committed).unwrap();
    let page = situations::page().unwrap();
    let differs = committed.lines().zip(page.lines()).find(|(old, new)| old != new);
    assert!(
        committed == page,
        "run: cargo situations > docs/situations.md; the first difference: {differs:#?}"
    );
}

#[test]
fn every_reason_has_a_row() {
    let page = situations::page().unwrap();
    let has = |reason: &Reason| page.contains(&format!("/{reason}`"));
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !has(reason)).collect();
    assert!(missing.is_empty(), "no scenario shows these reasons: {missing:?}");
}

/// SECURITY.md names a test for what it says.
#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../SECURITY.md")).unwrap();
    let mut sources = String::new();
    for folder in ["tests/scenarios", "tests/cluster"] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.rsplit('|').nth(1));
    let named: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert!(named.len() >= 15, "{named:?}");
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "SECURITY.md names {name}");
    }
}

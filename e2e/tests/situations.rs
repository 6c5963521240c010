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

//! The examples of states that `e2e/gitops` tests GitOps tools with are real, and there is one for each.

use crate::{
    sight::record,
    support::{UID, stage},
};
use ack_offboarding_e2e::states;
use ack_offboarding_operator::api::{ConditionType, UserOffboarding, conditions};
use serde_json::json;
use std::{collections::BTreeSet, path::Path};

/// Says by its generations that nobody has looked yet: without conditions, kstatus would call it done.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_before_the_first_visit_looks_unvisited() -> anyhow::Result<()> {
    let stage = stage().await;
    let object = stage.apply("left", json!({"uid": UID})).await?;
    record(&object)?;
    let status = object.status.expect("a default");
    assert_eq!(status.observed_generation, Some(-1));
    assert!(status.conditions.is_empty());
    Ok(())
}

/// The files of a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, std::fs::read_to_string(path)?));
    }
    Ok(files)
}

/// The states that a snapshot shows: each line of `Ready`, with the line of `Stalled` that follows it.
fn states_in(snapshot: &str) -> BTreeSet<String> {
    let mut states = BTreeSet::new();
    let mut ready = None;
    for line in snapshot.lines() {
        if let Some((_, rest)) = line.strip_prefix("Ready=").and_then(|rest| rest.split_once('/')) {
            let reason = rest.split(':').next().unwrap_or_default();
            ready = Some(reason.to_owned());
        } else if let (Some(stalled), Some(reason)) = (line.strip_prefix("Stalled="), &ready) {
            let suffix = if stalled.starts_with("True") { "-stalled" } else { "" };
            states.insert(format!("{reason}{suffix}"));
            ready = None;
        }
    }
    states
}

/// Each state that a scenario shows has an example, each example is of the state that its name says, and has every condition.
/// `RECORD_STATES=1 cargo test --workspace` makes those that are missing.
#[test]
fn every_state_has_an_example() -> anyhow::Result<()> {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/snapshots");
    let shown = files(&snapshots)?.into_iter().flat_map(|(_, text)| states_in(&text));
    let mut expected: BTreeSet<String> = shown.collect();
    expected.insert("Unvisited".to_owned());
    let examples = files(&states::folder())?;
    let names: BTreeSet<String> = examples.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, expected, "e2e/gitops/states");
    for (name, text) in examples {
        let object: UserOffboarding = serde_json::from_str(&text)?;
        let status = object.status.unwrap_or_default();
        assert_eq!(states::state(&status), name);
        let has = |type_: &ConditionType| conditions::find(&status.conditions, *type_).is_some();
        assert!(
            name == "Unvisited" || ConditionType::ALL.iter().all(has),
            "{name} was made by another version: delete it, and record it again"
        );
    }
    Ok(())
}

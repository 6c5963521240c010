//! The examples of states that `e2e/gitops` tests GitOps tools with are real, and there is one for each.

use crate::{
    sight::record,
    support::{UID, env},
};
use ack_offboarding_e2e::states;
use ack_offboarding_operator::api::{ConditionType, conditions};
use serde_json::json;
use std::{collections::BTreeSet, path::Path};

/// Says by its generations that nobody has looked yet: without conditions, kstatus would call it done.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_before_the_first_visit_looks_unvisited() -> anyhow::Result<()> {
    let env = env().await;
    let object = env.apply("left", json!({"uid": UID})).await?;
    record(&object)?;
    let status = object.status.expect("a default");
    assert_eq!(status.observed_generation, Some(-1));
    assert!(status.conditions.is_empty());
    Ok(())
}

/// What the snapshots show: each line of `Ready`, with the line of `Stalled` that follows it, as a state; and each reason.
fn shown() -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
    let (mut states, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/snapshots"))? {
        let mut ready = None;
        for line in std::fs::read_to_string(entry?.path())?.lines() {
            let Some((type_, rest)) = line.split_once('=') else {
                continue;
            };
            let Some(reason) = rest.split(':').next().and_then(|state| Some(state.split_once('/')?.1)) else {
                continue;
            };
            match type_ {
                "Ready" => ready = Some(reason.to_owned()),
                "Stalled" => {
                    let suffix = if rest.starts_with("True") { "-stalled" } else { "" };
                    states.extend(ready.take().map(|ready| format!("{ready}{suffix}")));
                }
                _ if ConditionType::parse(type_).is_some() => {
                    reasons.insert(format!("{type_}-{reason}"));
                }
                _ => {}
            }
        }
    }
    Ok((states, reasons))
}

/// Each state that a scenario shows has an example, and so has each reason of each condition; each example is of the state that its name
/// says, and has every condition. `RECORD_STATES=1 cargo test --workspace` makes those that are missing.
#[test]
fn every_state_and_every_reason_has_an_example() -> anyhow::Result<()> {
    let (mut states, mut reasons) = shown()?;
    states.insert("Unvisited".to_owned());
    reasons.retain(|reason| {
        let follows = ["Reconciling-", "Offboarded-"];
        follows.iter().all(|type_| !reason.starts_with(type_))
    });
    let examples = states::examples()?;
    let state_of = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let of_states: BTreeSet<_> = examples.iter().map(|(name, _)| state_of(name)).collect();
    assert_eq!(of_states, states, "e2e/gitops/states");
    let of_reasons: BTreeSet<_> = examples
        .iter()
        .flat_map(|(_, object)| states::reasons(object))
        .collect();
    let missing: Vec<_> = reasons.difference(&of_reasons).collect();
    assert!(missing.is_empty(), "no example has {missing:?}");
    for (name, object) in examples {
        let status = object.status.unwrap_or_default();
        assert_eq!(states::state(&status), state_of(&name));
        let has = |type_: &ConditionType| conditions::find(&status.conditions, *type_).is_some();
        assert!(
            name == "Unvisited" || ConditionType::ALL.iter().all(has),
            "{name} was made by another version: delete it, and record it again"
        );
    }
    Ok(())
}

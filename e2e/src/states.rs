//! The states of a UserOffboarding, with real objects as examples of them: what GitOps tools are tested with (`e2e/gitops`).

use ack_offboarding_operator::api::{ConditionType, UserOffboarding, UserOffboardingStatus, conditions};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// Where the examples are: `STATE.json`, and `STATE.CONDITION-REASON.json` where that reason is in no other.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("gitops/states")
}

/// The examples, by the name of their file.
///
/// # Errors
/// When one cannot be read.
pub fn examples() -> anyhow::Result<Vec<(String, UserOffboarding)>> {
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let object = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        examples.push((name, object));
    }
    Ok(examples)
}

/// What GitOps tools tell apart: the reason of `Ready`, and whether a person must do something. As in `Forbidden-stalled`; `Unvisited`
/// before the first visit.
pub fn state(status: &UserOffboardingStatus) -> String {
    let find = |type_| conditions::find(&status.conditions, type_);
    let ready = find(ConditionType::Ready).map_or("Unvisited", |ready| ready.reason.as_str());
    match find(ConditionType::Stalled).is_some_and(|stalled| stalled.status == "True") {
        true => format!("{ready}-stalled"),
        false => ready.to_owned(),
    }
}

/// The reasons of an object's conditions, as `Inactive-AuditDisabled`; but for those that follow from `Ready`.
pub fn reasons(object: &UserOffboarding) -> Vec<String> {
    let follows = ["Ready", "Reconciling", "Stalled", "Offboarded"];
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    conditions
        .filter(|condition| !follows.contains(&condition.type_.as_str()))
        .map(|condition| format!("{}-{}", condition.type_, condition.reason))
        .collect()
}

//! The states of a UserOffboarding, with an object as an example of each: what GitOps tools are tested with (`e2e/gitops`).

use ack_offboarding_operator::api::{ConditionType, UserOffboardingStatus, conditions};
use std::path::{Path, PathBuf};

/// Where the examples are: a file a state.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("gitops/states")
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

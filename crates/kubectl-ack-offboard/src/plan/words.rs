//! What a plan's status says, in words.

use crate::{
    offboarding::{self, State, condition},
    output::{self, age},
};
use ack_offboarding_operator::api::{
    CertState, ConditionType, IdentityState, KubeconfigPolicy, Reason, ResolvedIdentityType, UserOffboarding,
};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

/// What keeps an offboarding from going ahead.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hold {
    pub(super) reason: String,
    pub(super) message: String,
}

pub(super) fn identity(object: &UserOffboarding) -> String {
    let Some(identity) = &offboarding::status(object).identity else {
        return "unknown: the operator has not said yet who it is".to_owned();
    };
    let type_ = match identity.last_known.as_ref().map_or(identity.type_, |known| known.type_) {
        ResolvedIdentityType::RamUser => "RAM user",
        ResolvedIdentityType::RamRole => "RAM role",
        ResolvedIdentityType::RootAccount => "the Alibaba Cloud account itself",
        ResolvedIdentityType::Unknown => "unknown",
    };
    let name = offboarding::identity_name(object).map(|name| format!(" {}", output::clean(&name)));
    let state = match identity.state {
        IdentityState::Exists => "exists in RAM",
        IdentityState::InRecycleBin => "in RAM's recycle bin",
        IdentityState::NotFound => "RAM does not know it",
    };
    format!("{type_}{}, {state}", name.unwrap_or_default())
}

pub(super) fn activity(object: &UserOffboarding, now: Timestamp) -> String {
    let Some(inactive) = condition(object, ConditionType::Inactive) else {
        return "unknown: the operator has not asked yet".to_owned();
    };
    let activity = offboarding::status(object).activity.as_ref();
    let last_seen = activity.and_then(|activity| activity.last_seen.as_ref());
    let seen = last_seen.map(|time| format!(", last seen {} ago ({})", age(time.0, now), time.0));
    let word = match (inactive.status.as_str(), inactive.reason.as_str()) {
        ("True", _) => "inactive".to_owned(),
        ("False", _) => "active".to_owned(),
        (_, "Pending") => "not asked for".to_owned(),
        (_, reason) => format!("unknown ({reason})"),
    };
    let window = activity.map(|activity| format!(" in the last {} days", activity.window_days));
    format!("{word}{}{}", window.unwrap_or_default(), seen.unwrap_or_default())
}

pub(super) fn kubeconfig(policy: KubeconfigPolicy, state: Option<CertState>) -> (String, bool) {
    match (policy, state) {
        (_, None) => ("unknown: the operator has not asked ACK yet".to_owned(), false),
        (KubeconfigPolicy::Keep, Some(state)) => (format!("{state:?} in ACK, kept (spec.kubeconfig: Keep)"), false),
        (KubeconfigPolicy::Purge, Some(state)) if state.is_left() => (format!("{state:?} in ACK, to be purged"), true),
        (KubeconfigPolicy::Purge, Some(state)) => (format!("{state:?} in ACK, nothing to purge"), false),
    }
}

/// What would hold it: the state itself, unless that is the end; and of a dry run, which does not wait, what a run would wait for.
pub(super) fn holds(object: &UserOffboarding) -> Vec<Hold> {
    let hold = |type_| {
        condition(object, type_).map(|condition| Hold {
            reason: condition.reason.clone(),
            message: output::clean(&condition.message),
        })
    };
    let state = State::of(object);
    if crate::follow::is_held(&state) {
        return hold(ConditionType::Ready).into_iter().collect();
    }
    let is_dry = state == State::Known(Reason::DryRunComplete);
    let inactive = condition(object, ConditionType::Inactive).filter(|condition| condition.status == "True");
    let waits = is_dry && inactive.is_none();
    hold(ConditionType::Inactive)
        .filter(|hold| waits && hold.reason != Reason::Pending.as_str())
        .into_iter()
        .collect()
}

pub(super) fn warnings(object: &UserOffboarding) -> Vec<String> {
    let status = offboarding::status(object);
    let mut warnings = Vec::new();
    if status.last_cluster_admin == Some(true) {
        warnings
            .push("This takes away the last ClusterRoleBinding to cluster-admin that names a RAM identity.".to_owned());
    }
    if status.cluster_creator == Some(true) {
        warnings.push("The identity created this cluster: ACK may refuse to purge its kubeconfig.".to_owned());
    }
    if !status.undecided_names.is_empty() {
        warnings.push(format!(
            "Whose are these names? {}. List each in spec.names.include or spec.names.ignore.",
            output::clean(&status.undecided_names.join(", "))
        ));
    }
    warnings
}

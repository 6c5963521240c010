//! `suspend` and `resume`: stops an offboarding before its next change, and lets it go on.

use crate::{
    change::change,
    cli::{ResumeArgs, SuspendArgs},
    cluster::{Cluster, Role},
    exit::{Exit, Outcome},
    offboarding, output,
    verbs::explain::SUSPENDED_BECAUSE,
};
use serde_json::{Value, json};

/// Stops it.
///
/// # Errors
/// When there is no such object, or it may not be changed.
pub(crate) async fn suspend(cluster: &Cluster, args: &SuspendArgs) -> Outcome {
    set(cluster, &args.name, true, args.reason.as_deref()).await
}

/// Lets it go on.
///
/// # Errors
/// When there is no such object, or it may not be changed.
pub(crate) async fn resume(cluster: &Cluster, args: &ResumeArgs) -> Outcome {
    set(cluster, &args.name, false, None).await
}

async fn set(cluster: &Cluster, name: &str, suspend: bool, because: Option<&str>) -> Outcome {
    let (doing, role, done) = match suspend {
        true => ("suspend", Role::Requester, "suspended"),
        false => ("resume", Role::Approver, "resumed"),
    };
    let object = cluster.offboarding(name).await?;
    warn_of_owner(&object);
    let changed = change(
        cluster,
        object,
        &format!("{doing} UserOffboarding {name}"),
        role,
        |object| {
            let noted = object
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(SUSPENDED_BECAUSE));
            let is_so = object.spec.suspend == suspend
                && (noted.map(String::as_str) == because || suspend && because.is_none());
            // null takes the annotation away.
            let because = because.map_or(Value::Null, Value::from);
            Ok((!is_so).then(
                || json!({"metadata": {"annotations": {SUSPENDED_BECAUSE: because}}, "spec": {"suspend": suspend}}),
            ))
        },
    )
    .await?;
    if changed.is_none() {
        output::note(format!(
            "UserOffboarding {name} is {done} already. Nothing was changed."
        ));
    } else if suspend {
        output::note(format!(
            "Nothing more is done; what was removed stays removed. To let it go on: kubectl ack-offboard resume {name}"
        ));
    }
    output::finish(&format!("{}: {done}", offboarding::qualified(name)), Exit::Done)
}

/// Git tools put back what is not in Git.
fn warn_of_owner(object: &ack_offboarding_operator::api::UserOffboarding) {
    let has = |all: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        all.as_ref().is_some_and(|all| all.contains_key(key))
    };
    let (labels, annotations) = (&object.metadata.labels, &object.metadata.annotations);
    let owner = if has(labels, "kustomize.toolkit.fluxcd.io/name") || has(labels, "helm.toolkit.fluxcd.io/name") {
        "Flux"
    } else if has(annotations, "argocd.argoproj.io/tracking-id") {
        "Argo CD"
    } else {
        return;
    };
    output::warn(format!(
        "{owner} applies this object from Git and undoes the change within minutes. Make it in Git too, or pause {owner} for it first \
         (docs/operations.md, \"Stop it\")."
    ));
}

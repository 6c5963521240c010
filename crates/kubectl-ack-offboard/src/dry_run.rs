//! A plan for a UID that has no offboarding yet: by a dry-run object that is removed again, also after Ctrl-C.

use crate::{
    change::FIELD_MANAGER,
    cluster::{Cluster, Role},
    exit::Failure,
    follow::{self, Patience, Seen, Tells},
    interrupt::Interrupt,
    offboarding::{self, State},
    output,
    plan::ShownPlan,
};
use ack_offboarding_operator::api::{Ends, PLAN_LABEL, UserOffboarding};
use k8s_openapi::jiff::SignedDuration;
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use serde_json::json;
use std::time::Duration;

/// How long the operator may take for a plan.
const PATIENCE: Duration = Duration::from_secs(120);
/// For how long the operator looks at such an object; what is older is of nobody any more.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(15);

/// Whose plan.
pub(crate) struct Who<'a> {
    pub(crate) uid: &'a str,
    pub(crate) name: Option<&'a str>,
    pub(crate) is_role: bool,
}

impl Who<'_> {
    /// The part of a spec that says who.
    pub(crate) fn spec(&self) -> serde_json::Value {
        let mut spec = json!({"uid": self.uid});
        if let Some(name) = self.name {
            spec["expectedName"] = name.into();
        }
        if self.is_role {
            spec["identityType"] = "RamRole".into();
        }
        spec
    }

    /// The flags of `start` and `plan` that say who.
    pub(crate) fn flags(&self) -> String {
        let name = self.name.map(|name| format!(" --name={name}")).unwrap_or_default();
        let role = if self.is_role { " --role" } else { "" };
        format!("{}{name}{role}", self.uid)
    }
}

/// A plan: made for this question, or that of an object that exists.
///
/// # Errors
/// When neither can be had.
pub(crate) async fn plan(cluster: &Cluster, who: &Who<'_>, interrupt: &Interrupt) -> Result<ShownPlan, Failure> {
    let mut warnings = Vec::new();
    let shown = plan_among_many(cluster, who, interrupt, Tells::Work, &mut warnings).await;
    warnings.iter().for_each(output::warn);
    shown
}

/// As [`plan`], and says nothing: what should be said goes to `warnings`.
///
/// # Errors
/// When neither can be had.
pub(crate) async fn plan_among_many(
    cluster: &Cluster,
    who: &Who<'_>,
    interrupt: &Interrupt,
    tells: Tells,
    warnings: &mut Vec<String>,
) -> Result<ShownPlan, Failure> {
    let mut spec = who.spec();
    spec["mode"] = "DryRun".into();
    let object = json!({
        "apiVersion": ack_offboarding_operator::api::API_VERSION, "kind": "UserOffboarding",
        "metadata": {"generateName": "plan-", "labels": {PLAN_LABEL: "true"}}, "spec": spec,
    });
    let object: UserOffboarding = serde_json::from_value(object)
        .map_err(|error| Failure::usage(format!("cannot write the plan's object: {error}")))?;
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    // Not cut short by Ctrl-C: until the answer is there, the name that is to be removed again is not known.
    let created = match cluster.offboardings().create(&params, &object).await {
        Ok(created) => created,
        Err(error) => {
            return instead(
                cluster,
                who,
                cluster.refused(&error, "create a dry run for the plan", Role::Requester),
                &error,
                warnings,
            )
            .await;
        }
    };
    let planned = interrupt.ends(planned(cluster, &created.name_any(), tells)).await;
    let shown = match planned {
        Ok(object) => {
            interrupt
                .ends(async { Ok(ShownPlan::of(cluster, &object).await) })
                .await
        }
        Err(failure) => Err(failure),
    };
    warnings.extend(remove(cluster, &created, false).await);
    warnings.extend(remove_old(cluster, &created).await);
    shown
}

/// Waits for the operator's plan.
async fn planned(cluster: &Cluster, name: &str, tells: Tells) -> Result<UserOffboarding, Failure> {
    let patience = Patience {
        deadline: Some(PATIENCE),
        needs_operator: true,
        tells,
    };
    follow::follow(cluster, name, patience, |object| {
        let state = State::of(object);
        let is_told = matches!(state.ends(), Some(Ends::Reached | Ends::Person | Ends::Asked));
        Ok(match is_told || matches!(state, State::Other(_)) {
            true => Seen::Enough,
            false => Seen::GoOn,
        })
    })
    .await
}

/// Whoever may not create a dry run sees the plan of an offboarding that exists.
async fn instead(
    cluster: &Cluster,
    who: &Who<'_>,
    failure: Failure,
    error: &kube::Error,
    warnings: &mut Vec<String>,
) -> Result<ShownPlan, Failure> {
    if !matches!(error, kube::Error::Api(status) if status.code == 403) {
        return Err(failure);
    }
    let Some(object) = existing(cluster, who.uid).await? else {
        return Err(failure);
    };
    let name = object.name_any();
    warnings.push(format!(
        "{} This is the plan of UserOffboarding {name}, which exists.",
        failure.message
    ));
    let mut shown = ShownPlan::of(cluster, &object).await;
    shown.object = Some(name);
    Ok(shown)
}

/// An offboarding of this UID that is no plan of somebody; one with a plan first.
///
/// # Errors
/// When they may not be listed.
pub(crate) async fn existing(cluster: &Cluster, uid: &str) -> Result<Option<UserOffboarding>, Failure> {
    let of_uid = ListParams::default().fields(&format!("spec.uid={uid}"));
    let found = cluster.offboardings().list(&of_uid).await;
    let found = found.map_err(|error| cluster.refused(&error, "list UserOffboardings", Role::Viewer))?;
    let mut found: Vec<_> = found.items.into_iter().filter(|object| !object.is_plan()).collect();
    found.sort_by_key(|object| offboarding::status(object).plan.is_none());
    Ok(found.into_iter().next())
}

/// Removes it, `is_as_listed` only if nobody has changed it since; if that fails, says so.
async fn remove(cluster: &Cluster, object: &UserOffboarding, is_as_listed: bool) -> Option<String> {
    let name = object.name_any();
    let only_this = DeleteParams {
        preconditions: Some(Preconditions {
            uid: object.uid(),
            // An old one that somebody has suspended since holds others up: that is no longer a plan.
            resource_version: object.resource_version().filter(|_| is_as_listed),
        }),
        ..DeleteParams::default()
    };
    match cluster.offboardings().delete(&name, &only_this).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.code == 404 || (status.code == 409 && is_as_listed) => None,
        Err(error) => {
            let failure = cluster.refused(&error, &format!("remove the dry run {name}"), Role::Requester);
            Some(format!(
                "{} It changes nothing, and the operator looks at it for 15 minutes at most.",
                failure.message
            ))
        }
    }
}

/// What earlier runs could not remove: by the clock of the API server, which made `created` just now, as this machine's may be wrong.
async fn remove_old(cluster: &Cluster, created: &UserOffboarding) -> Vec<String> {
    let Some(now) = created.creation_timestamp().map(|time| time.0) else {
        return Vec::new();
    };
    let Ok(plans) = cluster
        .offboardings()
        .list(&ListParams::default().labels(PLAN_LABEL))
        .await
    else {
        return Vec::new();
    };
    let is_old = |object: &UserOffboarding| {
        let created = object.creation_timestamp();
        object.is_plan() && created.is_some_and(|created| now.duration_since(created.0) > GOOD_FOR)
    };
    let mut warnings = Vec::new();
    for object in plans.items.iter().filter(|object| is_old(object)) {
        warnings.extend(remove(cluster, object, true).await);
    }
    warnings
}

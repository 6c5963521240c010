//! Access that comes back: restored from the backup, noticed, and removed again.

use std::time::Duration;

use ack_offboarding_operator::api::ConditionType;
use anyhow::Context;
use kube::Client;

use super::{
    fixtures::{GRANTS, LEAVER},
    kubectl::kubectl,
    probes::ask_all,
    progress::Progress,
    report::{self, Report},
};
use crate::{env::OwnEnv, follow::Updates, screen::Screen};

const DEADLINE: Duration = Duration::from_secs(60);

/// What was deleted can be had back with kubectl alone, and the operator notices.
pub(super) async fn restore(
    env: &OwnEnv,
    screen: &mut Screen,
    report: &mut Report,
    progress: &mut Progress,
    updates: &mut Updates,
    leaver: &Client,
) -> anyhow::Result<()> {
    screen.heading("Return: the backup is a ConfigMap, and kubectl restores it");
    let backup = progress
        .status(LEAVER.name)
        .and_then(|status| status.backup.as_ref())
        .context("no backup in the status")?;
    let place = backup.config_maps.first().context("the status names no ConfigMap")?;
    let (namespace, name) = place.split_once('/').context("a ConfigMap without a namespace")?;
    screen.command(&format!(
        "kubectl get configmap --namespace {namespace} {name} -o jsonpath='{{.data.deleted\\.yaml}}' | kubectl create -f -"
    ));
    let get = [
        "get",
        "configmap",
        "--namespace",
        namespace,
        name,
        "-o",
        r"jsonpath={.data.deleted\.yaml}",
    ];
    let deleted = kubectl(&env.cluster, &get, "").await?;
    let created = kubectl(&env.cluster, &["create", "-f", "-"], &deleted).await?;
    screen.block(&created);
    let statuses = ask_all(screen, leaver, 200, |grant| !grant.shared).await?;
    let found = env.bindings_of(LEAVER.uid).await?;
    let back = GRANTS
        .iter()
        .filter(|grant| !grant.shared)
        .all(|grant| found.iter().any(|binding| binding == grant.binding));
    screen.check("the deleted bindings are back", &back.to_string(), "true");
    report.restored = back && report::all(&statuses, 200) == Some(200);
    let returned = |progress: &Progress| {
        progress
            .condition(LEAVER.name, ConditionType::AccessReturned)
            .starts_with("True/")
    };
    progress
        .follow(updates, DEADLINE, |progress, _| returned(progress))
        .await?;
    screen.check(
        "leaver: AccessReturned",
        &progress.condition(LEAVER.name, ConditionType::AccessReturned),
        "True/BindingFound",
    );
    let message = progress
        .status(LEAVER.name)
        .and_then(|status| status.conditions.iter().find(|c| c.type_ == "Ready"));
    screen.quote(message.map_or("", |ready| &ready.message));
    Ok(())
}

/// Under `enforcement: Continuous`, access that returns is removed again.
pub(super) async fn remove_again(
    env: &OwnEnv,
    screen: &mut Screen,
    progress: &mut Progress,
    updates: &mut Updates,
    leaver: &Client,
) -> anyhow::Result<()> {
    screen.heading("And removed again: under Continuous, the operator does it automatically");
    screen.line(
        "The certificate has just been used once more, so a careful operator would wait: whenActive overrides that.",
    );
    let patch = r#"{"spec":{"enforcement":"Continuous","activityCheck":{"whenActive":"Proceed"}}}"#;
    screen.command(&format!(
        "kubectl patch useroffboarding leaver --type merge -p '{patch}'"
    ));
    screen.block(
        &kubectl(
            &env.cluster,
            &["patch", "useroffboarding", LEAVER.name, "--type", "merge", "-p", patch],
            "",
        )
        .await?,
    );
    progress
        .follow(updates, DEADLINE, |progress, _| {
            progress.state(LEAVER.name) == "Offboarded"
        })
        .await?;
    screen.check(
        "leaver: Approved",
        &progress.condition(LEAVER.name, ConditionType::Approved),
        "True/OverrideActive",
    );
    ask_all(screen, leaver, 403, |_| true).await?;
    screen.command("kubectl get useroffboardings");
    screen.block(&kubectl(&env.cluster, &["get", "useroffboardings"], "").await?);
    Ok(())
}

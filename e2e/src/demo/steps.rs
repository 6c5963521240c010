//! What happens, in order; what comes after the end is in [`super::restore`].

use std::time::Duration;

use ack_offboarding_operator::api::ConditionType;
use anyhow::Context;
use k8s_openapi::jiff::Timestamp;
use kube::Client;

use super::{
    find::find,
    fixtures::{self, COLLEAGUE, GRANTS, LEAVER, MISTYPED, SHARED_PATH, STILL_ACTIVE},
    kubectl::kubectl,
    operator::start_operator,
    probes::ask_all,
    progress::{self, Progress},
    report::{self, Report},
    restore::{remove_again, restore},
};
use crate::{
    env::OwnEnv,
    env::{CLUSTER_ID, kubeconfig_state, settled},
    follow::Updates,
    screen::Screen,
};

/// How long the operator may take for what takes it less than a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// All steps.
pub(super) async fn play(env: &mut OwnEnv, screen: &mut Screen, report: &mut Report) -> anyhow::Result<()> {
    let leaver = env.cluster.user_client(LEAVER.certificate, &[])?;
    before(env, screen, report, &leaver).await?;
    start_operator(env, screen).await?;
    find(env, screen).await?;
    let mut updates = Updates::begin(env.offboardings()).await?;
    let names = [LEAVER.name, STILL_ACTIVE.name, MISTYPED];
    let mut progress = Progress::new(&names, screen.fits(progress::width(names.len())));
    offboarding(env, screen, report, &mut progress, &mut updates).await?;
    after(env, screen, report, &progress, &leaver).await?;
    restore(env, screen, report, &mut progress, &mut updates, &leaver).await?;
    remove_again(env, screen, &mut progress, &mut updates, &leaver).await
}

/// Who is there, and that their access works.
async fn before(env: &OwnEnv, screen: &mut Screen, report: &mut Report, leaver: &Client) -> anyhow::Result<()> {
    screen.heading("Before: deleting a RAM user ends nothing in the cluster");
    fixtures::seed(env).await?;
    screen.line(&format!(
        "leaver        UID {}, deleted from RAM a while ago, with these left:",
        LEAVER.uid
    ));
    for grant in &GRANTS {
        let shared = if grant.shared { ", shared with colleague" } else { "" };
        screen.line(&format!("                {}{shared}", grant.binding));
    }
    screen.line("                a kubeconfig that ACK issued");
    screen.line(&format!("colleague     UID {}, stays", COLLEAGUE.uid));
    screen.line(&format!("still-active  UID {}, said to have left", STILL_ACTIVE.uid));
    screen.line("");
    screen.line(&format!(
        "With the leaver's client certificate, CN={}:",
        LEAVER.certificate
    ));
    let statuses = ask_all(screen, leaver, 200, |_| true).await?;
    report.leaver_before = report::all(&statuses, 200);
    let colleague = settled(&env.cluster.user_client(COLLEAGUE.certificate, &[])?, SHARED_PATH, 200).await?;
    screen.check("colleague: list secrets in platform", &colleague.to_string(), "200");
    let active = fixtures::be_active(env).await?;
    screen.check("still-active: list pods in shop", &active.to_string(), "200");
    let count = fixtures::make_quiet(env).await?;
    screen.quote(&format!(
        "These requests went through the API server's audit log into the simulated log service. There, the {count} of the \
         leaver are now made a month old, as the demo wants a quiet one, and that of still-active an hour old."
    ));
    Ok(())
}

/// The manifests are applied, and the operator does what it should.
async fn offboarding(
    env: &OwnEnv,
    screen: &mut Screen,
    report: &mut Report,
    progress: &mut Progress,
    updates: &mut Updates,
) -> anyhow::Result<()> {
    screen.heading("Offboarding: three manifests, of which only the first should be carried out");
    for manifest in fixtures::write_manifests(&env.cluster.dir().join("manifests"))? {
        screen.block(&manifest);
        screen.line("");
    }
    screen.command("kubectl apply -f manifests/");
    screen.block(&kubectl(&env.cluster, &["apply", "-f", "manifests/"], "").await?);
    let offboarded = |progress: &Progress| {
        progress
            .condition(LEAVER.name, ConditionType::Offboarded)
            .starts_with("True/")
    };
    let mut done_at = None;
    let outcome = progress.follow(updates, DEADLINE, |progress, at| {
        if offboarded(progress) {
            done_at.get_or_insert(at);
        }
        done_at.is_some() && decided(progress.state(STILL_ACTIVE.name)) && decided(progress.state(MISTYPED))
    });
    let outcome = outcome.await;
    report.offboarded = offboarded(progress);
    let known = |name: &str| progress.status(name).map(|_| progress.state(name).to_owned());
    report.active_leaver_state = known(STILL_ACTIVE.name);
    report.mismatch_state = known(MISTYPED);
    outcome?;
    let created = created_at(env).await?;
    let took = done_at.map(|at: Timestamp| at.duration_since(created).as_millis());
    report.apply_to_offboarded_ms = took.and_then(|ms| u64::try_from(ms).ok());
    screen.line("");
    screen.command("kubectl get useroffboardings");
    screen.block(&kubectl(&env.cluster, &["get", "useroffboardings"], "").await?);
    Ok(())
}

/// Whether the operator has come to a decision.
fn decided(state: &str) -> bool {
    !state.is_empty() && state != "Pending"
}

/// When the API server answered the request that created the leaver's object, as its audit log says.
async fn created_at(env: &OwnEnv) -> anyhow::Result<Timestamp> {
    let creation = |record: &crate::simulator::Record| {
        let is = |field: &str, value: &str| record.get(field) == Some(value);
        is("verb", "create") && is("objectRef.resource", "useroffboardings") && is("objectRef.name", LEAVER.name)
    };
    let record = env
        .sim
        .wait_for_record(CLUSTER_ID, creation, DEADLINE)
        .await
        .context("the creation")?;
    let time = record.get("stageTimestamp").context("an audit record without a time")?;
    Ok(time.parse()?)
}

/// What is left of everybody's access, and what the operator says about those whom it left alone.
async fn after(
    env: &OwnEnv,
    screen: &mut Screen,
    report: &mut Report,
    progress: &Progress,
    leaver: &Client,
) -> anyhow::Result<()> {
    screen.heading("After: proved with the same certificates");
    let statuses = ask_all(screen, leaver, 403, |_| true).await?;
    report.leaver_after = report::all(&statuses, 403);
    let colleague = settled(&env.cluster.user_client(COLLEAGUE.certificate, &[])?, SHARED_PATH, 200).await?;
    report.colleague_after = Some(colleague);
    screen.check("colleague: list secrets in platform", &colleague.to_string(), "200");
    let kubeconfig = kubeconfig_state(&env.sim, LEAVER.uid).map(|state| format!("{state:?}"));
    screen.check(
        "leaver: state of the kubeconfig in ACK",
        &kubeconfig.unwrap_or_default(),
        "Removed",
    );
    screen.line("(In ACK, the purge would have revoked the certificate too. Here it is RBAC alone that refuses it.)");
    let active = settled(
        &env.cluster.user_client(STILL_ACTIVE.certificate, &[])?,
        fixtures::ACTIVE_PATH,
        200,
    )
    .await?;
    screen.check("still-active: list pods in shop", &active.to_string(), "200");
    screen.line("");
    for (name, wanted) in [
        (LEAVER.name, "Offboarded"),
        (STILL_ACTIVE.name, "WaitingForInactivity"),
        (MISTYPED, "NameMismatch"),
    ] {
        screen.check(&format!("state of {name}"), progress.state(name), wanted);
        let ready = progress
            .status(name)
            .and_then(|status| status.conditions.iter().find(|c| c.type_ == "Ready"));
        screen.quote(ready.map_or("", |ready| &ready.message));
    }
    Ok(())
}

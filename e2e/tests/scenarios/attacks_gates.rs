//! S6: what passed the checks once, and what is found later.

use crate::support::{LEAVER, UID, env, message, purges};
use ack_offboarding_e2e::{
    env::{CLUSTER_ID, OperatorOptions, condition, issue_kubeconfig, user},
    simulator::{Fault, FaultKind, Operation, Record, world::CertificateState},
};
use serde_json::json;
use std::time::Duration;

/// A run that only purges, and that ACK refuses, goes on for as long as it is refused. A binding that is granted meanwhile to somebody
/// who is at work was in no look of it: it passes the checks itself, or stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_granted_during_a_refused_purge_passes_the_checks_itself() -> anyhow::Result<()> {
    let mut env = env().await;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    let refusal = FaultKind::Custom {
        status: 400,
        code: "Simulated.UserActive".to_owned(),
        message: "the user accessed the cluster within the last 7 days; use Force to clean nevertheless".to_owned(),
    };
    env.sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, refusal));
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "RefusedByAck").await?;
    assert!(!purges(&env).is_empty());

    env.sim
        .add_record(CLUSTER_ID, Record::by(LEAVER).ago(Duration::from_secs(60)));
    env.role_binding("team-a", "of-somebody-at-work", "edit", &[user(LEAVER)])
        .await?;
    let status = env
        .wait_for("left", "the activity is seen", |status| {
            condition(status, "Inactive").starts_with("False/")
        })
        .await?;
    assert_eq!(
        env.bindings_of(UID).await?,
        ["RoleBinding team-a/of-somebody-at-work"],
        "{}",
        message(&status, "Inactive")
    );
    assert!(env.backups().await?.is_empty(), "nothing was begun");
    Ok(())
}

/// A kubeconfig that ACK issues while the bindings are removed was in no look of the run: it passes the checks itself, or is not purged.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_issued_during_the_removal_passes_the_checks_itself() -> anyhow::Result<()> {
    use crate::attacks_between::{Between, Once};
    use futures::FutureExt;
    let mut env = env().await;
    env.role_binding("team-a", "leaver", "edit", &[user(LEAVER)]).await?;
    let (once, reached, goes_on) = (
        Once::default(),
        <std::sync::Arc<tokio::sync::Notify>>::default(),
        <std::sync::Arc<tokio::sync::Notify>>::default(),
    );
    let (at_it, waits) = (reached.clone(), goes_on.clone());
    let between = Between::start(&env, move |request| {
        let (at_it, waits) = (at_it.clone(), waits.clone());
        (request.deletes() && once.first()).then(|| {
            async move {
                at_it.notify_one();
                waits.notified().await;
                Ok(())
            }
            .boxed()
        })
    })
    .await?;
    between.start_operator(&mut env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    reached.notified().await;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    env.sim
        .add_record(CLUSTER_ID, Record::by(LEAVER).ago(Duration::from_secs(60)));
    goes_on.notify_one();
    env.wait_for_state("left", "WaitingForInactivity").await?;
    assert!(purges(&env).is_empty(), "nobody has checked the kubeconfig");
    Ok(())
}

//! S6: what passed the checks once, and what is found later.

use crate::support::{LEAVER, UID, message, purges, stage};
use ack_offboarding_e2e::{
    simulator::{Fault, FaultKind, Operation, Record, world::CertificateState},
    stage::{CLUSTER_ID, OperatorOptions, condition, issue_kubeconfig, user},
};
use serde_json::json;
use std::time::Duration;

/// A run that only purges, and that ACK refuses, goes on for as long as it is refused. A binding that is granted meanwhile to somebody
/// who is at work was in no look of it: it passes the checks itself, or stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_granted_during_a_refused_purge_passes_the_checks_itself() -> anyhow::Result<()> {
    let mut stage = stage().await;
    issue_kubeconfig(&stage.sim, UID, CertificateState::Unexpired);
    let refusal = FaultKind::Custom {
        status: 400,
        code: "Simulated.UserActive".to_owned(),
        message: "the user accessed the cluster within the last 7 days; use Force to clean nevertheless".to_owned(),
    };
    stage
        .sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, refusal));
    stage.start_operator(&OperatorOptions::default()).await?;
    stage.apply("left", json!({"uid": UID})).await?;
    stage.wait_for_state("left", "RefusedByAck").await?;
    assert!(!purges(&stage).is_empty());

    stage
        .sim
        .add_record(CLUSTER_ID, Record::by(LEAVER).ago(Duration::from_secs(60)));
    stage
        .role_binding("team-a", "of-somebody-at-work", "edit", &[user(LEAVER)])
        .await?;
    let status = stage
        .wait_for("left", "the activity is seen", |status| {
            condition(status, "Inactive").starts_with("False/")
        })
        .await?;
    assert_eq!(
        stage.bindings_of(UID).await?,
        ["RoleBinding team-a/of-somebody-at-work"],
        "{}",
        message(&status, "Inactive")
    );
    assert!(stage.backups().await?.is_empty(), "nothing was begun");
    Ok(())
}

//! What ACK says of the kubeconfig, and what becomes of it.

use crate::{
    sight::{describe, sees, sees_text},
    support::{
        UID, assert_conditions, assert_gone, assert_stalled, assert_untouched, assert_waiting, give_access, purges,
        running, running_with,
    },
};
use ack_offboarding_e2e::{
    cluster::eventually,
    simulator::{Fault, FaultKind, Operation, world::CertificateState},
    stage::{CLUSTER_ID, PATIENCE, issue_kubeconfig, kubeconfig_state, user},
};
use serde_json::json;

/// Polls its state. A purge that was accepted is asked for again only if nothing came of it at the next recheck, after an hour.
#[tokio::test(flavor = "multi_thread")]
async fn ack_takes_its_time_to_purge() -> anyhow::Result<()> {
    let stage = running_with(&["--recheck-interval=1d"]).await;
    give_access(&stage).await?;
    stage.sim.edit(|w| w.purge.removed_after_polls = u32::MAX);
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "NotConfirmed").await?;
    assert_waiting(&status, "NotConfirmed");
    assert_conditions(
        &status,
        &[
            ("KubeconfigPurged", "Unknown/NotConfirmed"),
            ("BindingsRemoved", "True/Removed"),
        ],
    );
    sees!(stage, "left", "while its state is Unexpired");
    // It is asked for again, and again.
    let looks = || {
        let calls = stage.sim.calls();
        calls
            .iter()
            .filter(|c| c.operation == Operation::CsListUserKubeConfigStates)
            .count()
    };
    let enough = looks() + 3;
    eventually("three further looks", PATIENCE, async || {
        Ok((looks() >= enough).then_some(()))
    })
    .await?;
    assert_eq!(
        purges(&stage).len(),
        1,
        "a purge that was accepted is not asked for again"
    );

    stage.sim.finish_purge(CLUSTER_ID, UID);
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("KubeconfigPurged", "True/Purged")]);
    assert_eq!(purges(&stage).len(), 1);
    assert_gone(&stage, &status).await
}

/// Removes the bindings, asks for no purge (ACK makes none in that state), and looks again until ACK knows.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_know_the_state_of_the_kubeconfig() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    issue_kubeconfig(&stage.sim, UID, CertificateState::Unknown);
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "NotConfirmed").await?;
    assert_waiting(&status, "NotConfirmed");
    sees!(stage, "left", "while its state is Unknown");
    assert_eq!(stage.bindings_of(UID).await?, Vec::<String>::new());
    assert!(purges(&stage).is_empty());

    issue_kubeconfig(&stage.sim, UID, CertificateState::Unexpired);
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_eq!(purges(&stage).len(), 1);
    assert_gone(&stage, &status).await
}

/// Has it purged: ACK could renew it.
#[tokio::test(flavor = "multi_thread")]
async fn the_kubeconfig_has_expired() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    issue_kubeconfig(&stage.sim, UID, CertificateState::Expired);
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("KubeconfigPurged", "True/Purged")]);
    sees!(stage, "left", "at the end");
    assert_eq!(purges(&stage).len(), 1);
    assert_gone(&stage, &status).await
}

/// Removes the bindings, and asks for no purge.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_kubeconfig_to_purge() -> anyhow::Result<()> {
    let stage = running().await;
    let mut seen = String::new();
    let states = [
        ("ACK lists none for the cluster", None),
        ("it was never issued", Some(CertificateState::Unissued)),
        ("it was purged before", Some(CertificateState::Removed)),
    ];
    for (n, (what, state)) in states.into_iter().enumerate() {
        let uid = format!("40000000000000000{n}");
        stage
            .cluster_role_binding(&format!("leaver-{n}"), "view", &[user(&uid)])
            .await?;
        if let Some(state) = state {
            issue_kubeconfig(&stage.sim, &uid, state);
        }
        let name = format!("left-{n}");
        stage.apply(&name, json!({"uid": uid})).await?;
        let status = stage.wait_for_state(&name, "Offboarded").await?;
        assert_conditions(&status, &[("KubeconfigPurged", "True/NothingToPurge")]);
        assert_eq!(stage.bindings_of(&uid).await?, Vec::<String>::new());
        assert_eq!(kubeconfig_state(&stage.sim, &uid), state);
        seen += &format!("# {what}\n{}", describe(&status));
    }
    assert!(purges(&stage).is_empty());
    sees_text!("at the end", seen);
    Ok(())
}

fn no_such_cluster() -> FaultKind {
    FaultKind::Custom {
        status: 404,
        code: "ErrorClusterNotFound".to_owned(),
        message: "cluster not found".to_owned(),
    }
}

/// Begins nothing: with a wrong cluster ID, it would look at the audit log of one cluster and remove access to another.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_know_the_cluster() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage
        .sim
        .fault(Fault::new(Operation::CsGetClusterAuditProject, no_such_cluster()));
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "ClusterNotFound").await?;
    assert_stalled(&status, "ClusterNotFound");
    sees!(stage, "left", "when its audit log is looked for");
    assert_untouched(&stage).await?;

    stage.sim.clear_faults();
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

/// Stops before the end: the bindings are removed, the kubeconfig is not purged, and that is said.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_know_the_cluster_any_more_at_the_purge() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage
        .sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, no_such_cluster()));
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "ClusterNotFound").await?;
    assert_stalled(&status, "ClusterNotFound");
    sees!(stage, "left", "after the bindings are removed");
    assert_eq!(kubeconfig_state(&stage.sim, UID), Some(CertificateState::Unexpired));

    stage.sim.clear_faults();
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

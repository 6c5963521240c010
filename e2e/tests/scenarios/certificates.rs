//! What ACK says of the kubeconfig, and what follows from it.

use crate::sight::{describe, sees, sees_text};
use crate::support::{
    TestEnv, UID, assert_conditions, assert_gone, assert_stalled, assert_stored_before_removed, assert_untouched,
    assert_waiting, give_access, message, purges, running, running_with,
};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{CLUSTER_ID, PATIENCE, issue_kubeconfig, kubeconfig_state, user},
    simulator::{
        Fault, FaultKind, Operation,
        world::{CertificateState, Guard},
    },
};
use serde_json::json;

/// Waits until ACK was asked for the state so many times more.
async fn more_polls(env: &TestEnv, times: usize) -> anyhow::Result<()> {
    let asked = |env: &TestEnv| {
        let calls = env.sim.calls().into_iter();
        calls
            .filter(|c| c.operation == Operation::CsListUserKubeConfigStates && c.done)
            .count()
    };
    let before = asked(env);
    eventually("ACK to be asked for the state", PATIENCE, async || {
        Ok((asked(env) >= before + times).then_some(()))
    })
    .await
}

/// Waits until ACK says that the kubeconfig is removed, and does not ask for the purge again meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn ack_carries_out_the_purge_some_time_after_it_accepted_it() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1h", "--backoff=200ms"]).await;
    give_access(&env).await?;
    env.sim.edit(|w| w.purge.removed_after_polls = u32::MAX);
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "NotConfirmed").await?;
    assert_waiting(&status, "NotConfirmed");
    assert_conditions(
        &status,
        &[
            ("BindingsRemoved", "True/Removed"),
            ("KubeconfigPurged", "Unknown/NotConfirmed"),
        ],
    );
    sees!(env, "left", "while ACK is at it");
    assert_eq!(kubeconfig_state(&env.sim, UID), Some(CertificateState::Unexpired));
    // Each look asks twice or more.
    more_polls(&env, 5).await?;
    assert_eq!(purges(&env).len(), 1, "asked for once");

    env.sim.finish_purge(CLUSTER_ID, UID);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(purges(&env).len(), 1, "asked for once");
    assert_gone(&env, &status).await
}

/// Removes the bindings, and waits with the purge until ACK knows the state: `Unknown` is no proof that nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_know_the_state_of_the_kubeconfig() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unknown);
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "NotConfirmed").await?;
    assert_waiting(&status, "NotConfirmed");
    assert_conditions(
        &status,
        &[
            ("BindingsRemoved", "True/Removed"),
            ("KubeconfigPurged", "Unknown/NotConfirmed"),
        ],
    );
    sees!(env, "left", "while the state is Unknown");
    // A word that nobody knows is Unknown too.
    let word = json!({
        "page": {"page_number": 1, "page_size": 100, "total_count": 1},
        "states": [{"cluster_id": CLUSTER_ID, "cert_state": "Suspended"}],
    });
    let fault = Fault::new(Operation::CsListUserKubeConfigStates, FaultKind::Answer(word));
    env.sim.fault_instead(fault);
    more_polls(&env, 3).await?;
    assert_waiting(&env.status("left").await?, "NotConfirmed");
    assert!(purges(&env).is_empty(), "ACK is not asked to purge it");

    env.sim.clear_faults();
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(purges(&env).len(), 1);
    assert_gone(&env, &status).await
}

/// Has it purged: an expired certificate can be renewed as long as ACK keeps the kubeconfig.
#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_kubeconfig_is_expired() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    issue_kubeconfig(&env.sim, UID, CertificateState::Expired);
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("KubeconfigPurged", "True/Purged")]);
    sees!(env, "left", "at the end");
    assert_eq!(purges(&env).len(), 1);
    assert_gone(&env, &status).await
}

/// Removes the bindings; there is nothing that ACK could purge, and it is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn no_kubeconfig_was_ever_issued() -> anyhow::Result<()> {
    let env = running().await;
    env.sim
        .edit(|w| w.cluster_mut(CLUSTER_ID).map(|c| c.hides_unissued = true));
    let mut seen = String::new();
    for (name, uid, state) in [
        ("never issued", UID, Some(CertificateState::Unissued)),
        ("not listed", "259083957089437691", None),
        ("purged before", "259083957089437692", Some(CertificateState::Removed)),
    ] {
        if let Some(state) = state {
            issue_kubeconfig(&env.sim, uid, state);
        }
        let object = format!("left-{uid}");
        env.role_binding("team-a", &object, "edit", &[user(uid)]).await?;
        env.apply(&object, json!({"uid": uid})).await?;
        let status = env.wait_for_state(&object, "Offboarded").await?;
        assert_conditions(
            &status,
            &[
                ("Offboarded", "True/Verified"),
                ("KubeconfigPurged", "True/NothingToPurge"),
            ],
        );
        assert!(env.bindings_of(uid).await?.is_empty());
        seen.push_str(&format!("# {name}\n{}", describe(&status)));
    }
    sees_text!("at the end", seen);
    assert!(purges(&env).is_empty(), "ACK is not asked");
    assert_stored_before_removed(&env).await
}

/// Removes the bindings, says in ACK's words why it refuses, and asks again at each look, without switching ACK's own guard
/// off.
#[tokio::test(flavor = "multi_thread")]
async fn ack_refuses_to_purge_the_kubeconfig() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=300ms"]).await;
    give_access(&env).await?;
    let refusal = FaultKind::Custom {
        status: 400,
        code: "Simulated.ClusterState".to_owned(),
        message: "the cluster is being upgraded".to_owned(),
    };
    env.sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, refusal));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "RefusedByAck").await?;
    assert_waiting(&status, "RefusedByAck");
    assert_conditions(
        &status,
        &[
            ("BindingsRemoved", "True/Removed"),
            ("KubeconfigPurged", "False/RefusedByAck"),
        ],
    );
    sees!(env, "left", "while ACK refuses");
    eventually("it to be asked again", PATIENCE, async || {
        Ok((purges(&env).len() >= 3).then_some(()))
    })
    .await?;
    assert_eq!(kubeconfig_state(&env.sim, UID), Some(CertificateState::Unexpired));

    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert!(
        purges(&env).iter().all(|call| call.parameter("force") == "false"),
        "ACK's own guard stays on"
    );
    assert_gone(&env, &status).await
}

/// Asks once more with Force, as the spec says, and then says that ACK's activity check is not what ACK refuses for.
#[tokio::test(flavor = "multi_thread")]
async fn ack_refuses_to_purge_the_kubeconfig_although_it_is_forced() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=300ms"]).await;
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);
    give_access(&env).await?;
    let refusal = FaultKind::Custom {
        status: 403,
        code: "Simulated.ClusterOwner".to_owned(),
        message: "the permissions of this user cannot be cleaned".to_owned(),
    };
    env.sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, refusal));
    env.apply("left", json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}}))
        .await?;
    let status = env
        .wait_for("left", "a refusal in spite of Force", |s| {
            message(s, "Ready").contains("is not the cause")
        })
        .await?;
    assert_waiting(&status, "RefusedByAck");
    assert_conditions(&status, &[("KubeconfigPurged", "False/RefusedByAck")]);
    assert!(message(&status, "Ready").contains("created the cluster"));
    assert!(purges(&env).iter().any(|call| call.parameter("force") == "true"));
    sees!(env, "left", "when it was forced");

    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Asks again in some seconds: several leavers purged at once, or somebody who grants meanwhile, are no refusal, and Force would not help.
#[tokio::test(flavor = "multi_thread")]
async fn ack_changes_permissions_for_another_call_when_it_is_to_purge() -> anyhow::Result<()> {
    let env = running().await;
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);
    give_access(&env).await?;
    let conflict = FaultKind::Custom {
        status: 400,
        code: "ErrAuthorizationConflict".to_owned(),
        message: "authorization of the cluster is being changed".to_owned(),
    };
    env.sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, conflict).times(1));
    env.apply("left", json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}}))
        .await?;
    let status = env.wait_for_state("left", "NotConfirmed").await?;
    assert_waiting(&status, "NotConfirmed");
    assert_conditions(&status, &[("KubeconfigPurged", "Unknown/NotConfirmed")]);
    sees!(env, "left", "while it is so");
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(purges(&env).len(), 2);
    assert!(
        purges(&env).iter().all(|call| call.parameter("force") == "false"),
        "it is no refusal"
    );
    assert_gone(&env, &status).await
}

/// Removes the bindings, and leaves the rest to a person. It is no refusal: where the spec says to proceed with an active
/// identity, ACK's own guard stays on all the same.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_know_the_cluster_when_it_is_to_purge() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=300ms"]).await;
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);
    give_access(&env).await?;
    env.sim.fault(unknown_cluster(Operation::CsCleanClusterUserPermissions));
    env.apply("left", json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}}))
        .await?;
    let status = env.wait_for_state("left", "ClusterNotFound").await?;
    assert_stalled(&status, "ClusterNotFound");
    assert_conditions(
        &status,
        &[
            ("BindingsRemoved", "True/Removed"),
            ("KubeconfigPurged", "Unknown/NotConfirmed"),
        ],
    );
    sees!(env, "left", "while it is so");
    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert!(
        purges(&env).iter().all(|call| call.parameter("force") == "false"),
        "ACK never refused because of activity"
    );
    assert_gone(&env, &status).await
}

/// Touches nothing: an operator that takes its cluster for another one must not begin.
#[tokio::test(flavor = "multi_thread")]
async fn ack_does_not_know_the_cluster_at_all() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=300ms"]).await;
    give_access(&env).await?;
    env.sim.fault(unknown_cluster(Operation::CsListUserKubeConfigStates));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "ClusterNotFound").await?;
    assert_stalled(&status, "ClusterNotFound");
    assert_conditions(&status, &[("KubeconfigPurged", "Unknown/LookupFailed")]);
    sees!(env, "left", "while it is so");
    assert_untouched(&env).await?;

    env.sim.clear_faults();
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

fn unknown_cluster(operation: Operation) -> Fault {
    let kind = FaultKind::Custom {
        status: 404,
        code: "ErrorClusterNotFound".to_owned(),
        message: format!("cluster not found: {CLUSTER_ID}"),
    };
    Fault::new(operation, kind)
}

//! Which bindings go, which stay, and what happens when they change under the operator's hands.

use crate::sight::{sees, sees_text};
use crate::support::{LEAVER, UID, assert_gone, env, events, give_access, purges, running};
use ack_offboarding_e2e::{
    cluster::{BARRIER, OPERATOR_NAMESPACE, eventually},
    env::{OperatorOptions, PATIENCE, add_user, issue_kubeconfig, kubeconfig_state, user},
    simulator::{Fault, FaultKind, Operation, world::CertificateState},
};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use std::time::Duration;

/// Takes every subject of the leaver out of it, and leaves the others, the labels and the role as they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_binding_loses_the_leaver_and_keeps_the_others() -> anyhow::Result<()> {
    let env = running().await;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    let colleague = "200000000000000002-1700000000";
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "developers"});
    let account = json!({"kind": "ServiceAccount", "name": "builder", "namespace": "team-a"});
    let subjects = [user(UID), user(colleague), group.clone(), user(LEAVER), account.clone()];
    let before = env.role_binding("team-a", "shared", "edit", &subjects).await?;
    assert_eq!(env.probe(colleague, "/api/v1/namespaces/team-a/configmaps").await?, 200);

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");

    assert_gone(&env, &status).await?;
    let after = Api::<RoleBinding>::namespaced(env.admin(), "team-a")
        .get("shared")
        .await?;
    let left = serde_json::to_value(&after.subjects)?;
    assert_eq!(
        left,
        json!([user(colleague), group, account]),
        "I2: the others keep their access"
    );
    assert_eq!(
        (after.metadata.uid, after.metadata.labels),
        (before.metadata.uid, before.metadata.labels)
    );
    assert_eq!(env.probe(colleague, "/api/v1/namespaces/team-a/configmaps").await?, 200);
    let removed = status.removed.unwrap_or_default();
    assert_eq!((removed.deleted, removed.subjects_removed, removed.total), (0, 1, 1));
    let shrunk = env.backups().await?[0].data.clone().unwrap_or_default()["shrunk.yaml"].clone();
    let shrunk: Value = serde_json::from_str(&shrunk)?;
    assert_eq!(
        shrunk["items"][0]["subjects"].as_array().map(Vec::len),
        Some(5),
        "the backup has all of them"
    );
    Ok(())
}

/// Leaves them alone: only subjects of kind User are the leaver. Backs them up before the purge, as nobody knows how ACK matches.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_and_a_service_account_named_like_the_uid_stay() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": UID});
    let account = json!({"kind": "ServiceAccount", "name": UID, "namespace": "team-a"});
    env.cluster_role_binding("group", "view", std::slice::from_ref(&group))
        .await?;
    env.role_binding("team-a", "account", "view", std::slice::from_ref(&account))
        .await?;
    env.role_binding("team-a", "mixed", "view", &[user(UID), group.clone(), account.clone()])
        .await?;

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");

    assert_gone(&env, &status).await?;
    let in_namespace = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    assert!(
        Api::<ClusterRoleBinding>::all(env.admin())
            .get_opt("group")
            .await?
            .is_some()
    );
    assert!(in_namespace.get_opt("account").await?.is_some());
    assert_eq!(
        serde_json::to_value(in_namespace.get("mixed").await?.subjects)?,
        json!([group, account])
    );
    let removed = status.removed.unwrap_or_default();
    assert_eq!(
        (removed.deleted, removed.subjects_removed, removed.disappeared),
        (2, 1, 0)
    );
    let kept = env
        .backups()
        .await?
        .into_iter()
        .filter_map(|b| b.data?.get("kept.yaml").cloned())
        .collect::<String>();
    assert!(
        kept.contains("\"group\"") && kept.contains("\"account\""),
        "they were backed up before the purge: {kept}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uid_that_is_a_prefix_of_another_is_another() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let longer = format!("{UID}1");
    issue_kubeconfig(&env.sim, &longer, CertificateState::Unexpired);
    env.cluster_role_binding("longer", "view", &[user(&longer)]).await?;
    env.role_binding(
        "team-a",
        "longer-stamped",
        "view",
        &[user(&format!("{longer}-1700000000"))],
    )
    .await?;
    env.role_binding("team-a", "shorter", "view", &[user(&UID[..UID.len() - 1])])
        .await?;
    env.role_binding(
        "team-a",
        "suffixed",
        "view",
        &[user(&format!("{UID}-x")), user(&format!("{UID}-"))],
    )
    .await?;

    let others = [format!("{UID}-x"), format!("{UID}-")];
    env.apply("left", json!({"uid": UID, "names": {"ignore": others}}))
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;

    assert_gone(&env, &status).await?;
    assert_eq!(env.bindings_of(&longer).await?.len(), 2);
    assert_eq!(kubeconfig_state(&env.sim, &longer), Some(CertificateState::Unexpired));
    for name in ["shorter", "suffixed"] {
        assert!(
            Api::<RoleBinding>::namespaced(env.admin(), "team-a")
                .get_opt(name)
                .await?
                .is_some(),
            "{name}"
        );
    }
    assert_eq!(status.removed.unwrap_or_default().total, 2);
    Ok(())
}

/// Finds it in the read that proves the end, goes back to the plan, backs it up and removes it; only then asks ACK.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_added_during_the_run_goes_before_the_purge() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    // The run is held between plan and verification by a slow lookup of the audit log's histograms.
    env.sim.fault(Fault::new(
        Operation::SlsGetHistograms,
        FaultKind::Latency(Duration::from_millis(300)),
    ));
    env.apply("left", json!({"uid": UID})).await?;
    env.sim
        .wait_for_call(|c| c.operation == Operation::SlsGetHistograms, PATIENCE)
        .await?;
    env.role_binding("team-b", "late", "edit", &[user(LEAVER)]).await?;

    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await?;
    assert_eq!(
        status.removed.unwrap_or_default().deleted,
        3,
        "the operator removed it, not ACK"
    );
    assert_eq!(
        status.backup.unwrap_or_default().bindings,
        3,
        "I1: it was backed up as well"
    );
    assert_eq!(purges(&env).len(), 1);
    Ok(())
}

/// Pages through live lists instead: slower, and as certain.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_barrier_live_lists_prove_the_end() -> anyhow::Result<()> {
    let mut env = env().await;
    let params = DeleteParams::default();
    Api::<ClusterRoleBinding>::all(env.admin())
        .delete(BARRIER, &params)
        .await?;
    Api::<RoleBinding>::namespaced(env.admin(), OPERATOR_NAMESPACE)
        .delete(BARRIER, &params)
        .await?;
    give_access(&env).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await?;
    assert!(env.operator_log().contains("listing all bindings instead"));
    Ok(())
}

/// Tells each step by an event, with the words of its condition.
#[tokio::test(flavor = "multi_thread")]
async fn an_offboarding_leaves_a_trail_of_events() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await?;
    // They are published without waiting for them, a task for each write of the status: the order is not theirs.
    let told = eventually("an event for each step", PATIENCE, async || {
        let told = events(&env, "left").await?;
        Ok((told.len() >= 7).then_some(told))
    })
    .await?;
    let mut told: Vec<_> = told.iter().map(String::as_str).collect();
    told.sort_unstable();
    sees_text!("in kubectl describe, in alphabetical order", told.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_the_longest_name_has_events_too() -> anyhow::Result<()> {
    let env = running().await;
    let name = "left.".repeat(50) + "abc";
    assert_eq!(name.len(), 253);
    env.apply(&name, json!({"uid": UID})).await?;
    env.wait_for_state(&name, "NothingToRemove").await?;
    eventually("an event of it", PATIENCE, async || {
        Ok((!events(&env, &name).await?.is_empty()).then_some(()))
    })
    .await?;
    Ok(())
}

//! S5: ACK's purge removes whatever it finds, so what appears right before it must not be lost.

use crate::support::{LEAVER, UID, assert_gone, env, give_access, message, purges, read_backup};
use ack_offboarding_e2e::{
    cluster::{BARRIER, eventually},
    env::{OperatorOptions, PATIENCE, user},
    proxy::{Proxy, Upstream},
    simulator::{Fault, FaultKind, Operation},
};
use http::{Method, Uri};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// ACK takes its time over each question: a binding that is made after the others are gone, while ACK is still thinking, is backed up
/// and removed by the operator. ACK finds nothing to take.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_made_while_ack_is_slow_is_not_acks_to_take() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let slow = FaultKind::Latency(Duration::from_secs(3));
    env.sim.fault(Fault::new(Operation::CsListUserKubeConfigStates, slow));
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    eventually("the bindings to be removed", PATIENCE, async || {
        Ok(env.bindings_of(UID).await?.is_empty().then_some(()))
    })
    .await?;
    // The next question about the kubeconfig's state is the one before the purge.
    let is_state = |call: &ack_offboarding_e2e::simulator::Call| {
        call.operation == Operation::CsListUserKubeConfigStates && !call.done
    };
    env.sim.wait_for_call(is_state, PATIENCE).await?;
    assert!(purges(&env).is_empty(), "the purge comes after it");
    env.role_binding("team-b", "late", "edit", &[user(LEAVER)]).await?;

    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    let removed = status.removed.unwrap_or_default();
    assert_eq!(
        (removed.deleted, removed.disappeared),
        (3, 0),
        "by the operator: {removed:?}"
    );
    let mut stored = Vec::new();
    for backup in env.backups().await? {
        stored.extend(read_backup(&backup)?.entries.into_iter().map(|entry| entry.key.name));
    }
    assert!(stored.contains(&"late".to_owned()), "{stored:?}");
    assert_eq!(purges(&env).len(), 1);
    Ok(())
}

/// The last gap there is: a binding that is made after the last look, when the request is on its way to ACK. No backup can have it; the
/// operator names it.
#[tokio::test(flavor = "multi_thread")]
async fn what_ack_took_without_a_backup_is_named() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.cluster.ensure_namespace("team-b").await?;
    let admin = env.admin();
    let before = move |method: &Method, _: &Uri, _: &bytes::Bytes| -> futures::future::BoxFuture<'static, ()> {
        let (is_purge, admin) = (*method == Method::DELETE, admin.clone());
        Box::pin(async move {
            if is_purge {
                let late: RoleBinding = serde_json::from_value(json!({
                    "metadata": {"name": "too-late"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
                    "subjects": [user(LEAVER)],
                }))
                .expect("a binding");
                let api = Api::<RoleBinding>::namespaced(admin, "team-b");
                api.create(&PostParams::default(), &late).await.expect("created");
            }
        })
    };
    let cloud = Proxy::stepping_in(Upstream::Http(env.sim.address()), Arc::new(before)).await?;
    let options = OperatorOptions {
        cs: Some(cloud.url()),
        ..OperatorOptions::default()
    };
    env.start_operator(&options).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    let told = format!(
        "{:?} {:?}",
        status.conditions,
        crate::support::events(&env, "left").await?
    );
    assert!(told.contains("team-b/too-late"), "{told}");
    Ok(())
}

/// The API server takes its time: a proof that took longer than two seconds is none, and ACK is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_took_too_long_is_none() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    // Lists stand in for the barrier, and are slow.
    Api::<ClusterRoleBinding>::all(env.admin())
        .delete(BARRIER, &DeleteParams::default())
        .await?;
    let slow = Arc::new(AtomicBool::new(true));
    let is_slow = slow.clone();
    let before = move |method: &Method, uri: &Uri, _: &bytes::Bytes| -> futures::future::BoxFuture<'static, ()> {
        let goes_on = |query: &str| query.contains("watch=true") || query.contains("continue=");
        let begins = *method == Method::GET && !uri.query().is_some_and(goes_on);
        let lists = begins && uri.path().ends_with("/clusterrolebindings");
        let waits = lists && is_slow.load(Ordering::SeqCst);
        Box::pin(async move {
            if waits {
                tokio::time::sleep(Duration::from_millis(2_500)).await;
            }
        })
    };
    let proxy = Proxy::stepping_in(Upstream::api_server(&env.cluster)?, Arc::new(before)).await?;
    let options = OperatorOptions {
        api_server: Some(proxy.url()),
        ..OperatorOptions::default()
    };
    env.start_operator(&options).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let too_long = |status: &_| message(status, "Ready").contains("longer than two seconds");
    env.wait_for("left", "the proof that took too long", too_long).await?;
    assert!(purges(&env).is_empty());
    slow.store(false, Ordering::SeqCst);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

//! Killed between the two moves of a removal: the binding names nobody, and is there.

use crate::{
    attacks_between::{Between, COLLEAGUE, Once},
    support::{LEAVER, TestEnv, UID, assert_gone, env, give_access},
};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{OperatorOptions, PATIENCE, user},
};
use futures::future::BoxFuture;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Kills the operator after it has emptied `team-a/leaver`, and before it has deleted it.
async fn killed_in_between(env: &mut TestEnv) -> anyhow::Result<Api<RoleBinding>> {
    give_access(env).await?;
    let held = Once::default();
    let is_held = held.clone();
    let between = Between::start(env, move |request| {
        let now = request.deletes() && request.path.ends_with("/rolebindings/leaver") && held.first();
        // For ever: the operator is killed meanwhile.
        now.then(|| -> BoxFuture<_> { Box::pin(std::future::pending()) })
    })
    .await?;
    between.start_operator(env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    eventually("the second move to begin", PATIENCE, async || {
        Ok(is_held.is_over().then_some(()))
    })
    .await?;
    env.kill_operator();
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let shell = api.get("leaver").await?;
    assert!(
        shell.subjects.is_none_or(|subjects| subjects.is_empty()),
        "it was emptied"
    );
    Ok(api)
}

/// The restarted operator finds the emptied binding, which no index leads to, in its record, and deletes it.
#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_two_moves_the_second_is_made_after_the_restart() -> anyhow::Result<()> {
    let mut env = env().await;
    let api = killed_in_between(&mut env).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    eventually("the shell to be gone", PATIENCE, async || {
        Ok(api.get_opt("leaver").await?.is_none().then_some(()))
    })
    .await?;
    assert_gone(&env, &status).await?;
    assert_eq!(status.removed.unwrap_or_default().deleted, 2);
    Ok(())
}

/// Somebody gave the emptied binding to a colleague meanwhile: it is theirs now, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_somebody_filled_with_others_is_kept() -> anyhow::Result<()> {
    let mut env = env().await;
    let api = killed_in_between(&mut env).await?;
    let fill = Patch::Merge(json!({"subjects": [user(COLLEAGUE)]}));
    let filled = api.patch("leaver", &PatchParams::default(), &fill).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    env.cluster.until_garbage_is_collected().await?;
    let kept = api.get("leaver").await?;
    assert_eq!(kept.metadata.uid, filled.metadata.uid);
    assert_eq!(kept.metadata.resource_version, filled.metadata.resource_version);
    assert_gone(&env, &status).await
}

/// Somebody put the leaver back in meanwhile: it is stored as it is now, and removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_somebody_filled_with_the_leaver_goes() -> anyhow::Result<()> {
    let mut env = env().await;
    let api = killed_in_between(&mut env).await?;
    let fill = Patch::Merge(json!({"subjects": [user(LEAVER)]}));
    api.patch("leaver", &PatchParams::default(), &fill).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    eventually("the binding to be gone", PATIENCE, async || {
        Ok(api.get_opt("leaver").await?.is_none().then_some(()))
    })
    .await?;
    assert_gone(&env, &status).await
}

//! S15: the operator's barrier bindings as a leaver's.

use crate::support::{UID, assert_gone, env, give_access};
use ack_offboarding_e2e::{
    cluster::{BARRIER, OPERATOR_NAMESPACE},
    env::{OperatorOptions, user},
};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// The UID in the operator's own barrier bindings: they lose it, and are never deleted. A binding of the same name elsewhere, with the
/// barrier's annotation, is a binding like any other, and stands for no barrier.
#[tokio::test(flavor = "multi_thread")]
async fn the_barrier_is_never_deleted_and_no_other_binding_is_one() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let everywhere = Api::<ClusterRoleBinding>::all(env.admin());
    let inside = Api::<RoleBinding>::namespaced(env.admin(), OPERATOR_NAMESPACE);
    let attack = Patch::Merge(json!({"subjects": [user(UID)]}));
    let first = everywhere.patch(BARRIER, &PatchParams::default(), &attack).await?;
    let second = inside.patch(BARRIER, &PatchParams::default(), &attack).await?;
    env.role_binding("team-a", BARRIER, "edit", &[user(UID)]).await?;
    let elsewhere = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {"ack-offboarding.io/barrier": "1-1"}}}));
    elsewhere.patch(BARRIER, &PatchParams::default(), &annotation).await?;

    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    let (first_now, second_now) = (everywhere.get(BARRIER).await?, inside.get(BARRIER).await?);
    assert_eq!((first_now.uid(), second_now.uid()), (first.uid(), second.uid()));
    assert_eq!(first_now.subjects.unwrap_or_default(), []);
    assert_eq!(second_now.subjects.unwrap_or_default(), []);
    assert!(
        elsewhere.get_opt(BARRIER).await?.is_none(),
        "the one elsewhere is the leaver's"
    );
    let removed = status.removed.unwrap_or_default();
    assert_eq!(
        (removed.deleted, removed.subjects_removed, removed.disarmed),
        (3, 2, 0),
        "the barrier loses a subject, and nobody tried to delete it: {removed:?}"
    );
    assert_gone(&env, &status).await
}

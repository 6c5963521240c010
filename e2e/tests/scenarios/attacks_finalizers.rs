//! S3: a leaver's finalizer on the leaver's own binding.

use crate::support::{LEAVER, UID, assert_conditions, env, give_access, message};
use ack_offboarding_e2e::env::{OperatorOptions, user};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

const TEAM_A: &str = "/api/v1/namespaces/team-a/configmaps";

/// The access ends at once, also of a binding that the leaver's finalizer holds, and of one that is being deleted already: they name
/// nobody, which counts as removed. The status names what still waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_with_a_finalizer_grants_nothing_any_more() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.role_binding("team-a", "terminating", "edit", &[user(LEAVER)])
        .await?;
    let inside = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let everywhere = Api::<ClusterRoleBinding>::all(env.admin());
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/never"]}}));
    for name in ["leaver", "terminating"] {
        inside.patch(name, &PatchParams::default(), &hold).await?;
    }
    everywhere
        .patch("leaver-everywhere", &PatchParams::default(), &hold)
        .await?;
    inside.delete("terminating", &DeleteParams::default()).await?;

    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    env.until_answered(LEAVER, TEAM_A, 403).await?;
    assert_conditions(
        &status,
        &[("Offboarded", "True/Verified"), ("Ready", "True/Offboarded")],
    );
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());
    let removed = message(&status, "BindingsRemoved");
    // One of them by its name, and how many more.
    for waits in ["example.com/never", "2 more bindings"] {
        assert!(removed.contains(waits), "{waits} is named: {removed}");
    }
    for name in ["leaver", "terminating"] {
        let held = inside.get(name).await?;
        assert_eq!(held.subjects.unwrap_or_default(), [], "{name}");
        assert!(held.metadata.deletion_timestamp.is_some(), "{name}");
    }
    let held = everywhere.get("leaver-everywhere").await?;
    assert!(held.subjects.is_none_or(|s| s.is_empty()) && held.metadata.deletion_timestamp.is_some());
    Ok(())
}

//! Bindings that changed since they were removed.

use super::{COLLEAGUE, message, offboard, outcomes, plugin};
use crate::support::{UID, running};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{PATIENCE, user},
};
use k8s_openapi::api::{core::v1::Namespace, rbac::v1::RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NEW: &str = "259083957089437778";
const HOLD: &str = "example.com/hold";

fn subjects(binding: &RoleBinding) -> Vec<&str> {
    binding.subjects.iter().flatten().map(|s| s.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_binding_comes_to_what_it_is_now() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster_role_binding("everywhere", "view", &[user(UID)]).await?;
    for (namespace, name) in [
        ("team-a", "other-role"),
        ("team-a", "back"),
        ("team-a", "emptied"),
        ("team-a", "held"),
        ("team-gone", "own"),
        ("team-again", "own"),
    ] {
        env.role_binding(namespace, name, "edit", &[user(UID)]).await?;
    }
    env.role_binding("team-a", "shared", "edit", &[user(COLLEAGUE), user(UID)])
        .await?;
    let team_a = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let merge = PatchParams::default();
    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    team_a.patch("held", &merge, &finalizers(json!([HOLD]))).await?;
    offboard(&env, json!({})).await?;

    // What others did since.
    let namespaces = Api::<Namespace>::all(env.admin());
    for name in ["team-gone", "team-again"] {
        namespaces.delete(name, &DeleteParams::default()).await?;
        eventually("the namespace to be gone", PATIENCE, async || {
            Ok(namespaces.get_opt(name).await?.is_none().then_some(()))
        })
        .await?;
    }
    env.cluster.ensure_namespace("team-again").await?;
    env.role_binding("team-a", "other-role", "view", &[user(NEW)]).await?;
    env.role_binding("team-a", "back", "edit", &[user(NEW), user(UID)])
        .await?;
    env.role_binding("team-a", "emptied", "edit", &[]).await?;
    let shared = json!({"subjects": [user(NEW)]});
    team_a.patch("shared", &merge, &Patch::Merge(shared)).await?;
    let before = env.bindings_of(UID).await?;
    assert_eq!(before, ["RoleBinding team-a/back"]);

    let expected: BTreeMap<String, String> = [
        ("ClusterRoleBinding/everywhere", "Created"),
        ("RoleBinding/team-a/back", "AlreadyThere"),
        ("RoleBinding/team-a/emptied", "Merged"),
        ("RoleBinding/team-a/held", "Terminating"),
        ("RoleBinding/team-a/other-role", "Conflict"),
        ("RoleBinding/team-a/shared", "Merged"),
        ("RoleBinding/team-again/own", "Created"),
        ("RoleBinding/team-gone/own", "NamespaceMissing"),
    ]
    .map(|(key, outcome)| (key.to_owned(), outcome.to_owned()))
    .into();

    let dry = plugin(&env, &["restore", "left", "--dry-run", "-o", "json"]).await?;
    assert_eq!((dry.code, outcomes(&dry)?), (Some(1), expected.clone()), "{}", dry.err);
    let unasked = plugin(&env, &["restore", "left"]).await?;
    assert_eq!(unasked.code, Some(64), "{unasked:?}");
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!(env.bindings_of(UID).await?, before, "nothing was changed");

    let done = plugin(&env, &["restore", "left", "--yes", "-o", "json"]).await?;
    assert_eq!((done.code, outcomes(&done)?), (Some(1), expected), "{}", done.err);
    assert!(message(&done, "held")?.contains(HOLD), "{}", message(&done, "held")?);
    assert!(message(&done, "other-role")?.contains("ClusterRole/view"));
    assert_eq!(
        env.bindings_of(UID).await?,
        [
            "ClusterRoleBinding everywhere",
            "RoleBinding team-a/back",
            "RoleBinding team-a/emptied",
            "RoleBinding team-a/shared",
            "RoleBinding team-again/own",
        ]
    );
    // The colleague was taken out since, and is not brought back; the new one stays.
    assert_eq!(subjects(&team_a.get("shared").await?), [NEW, UID]);
    assert_eq!(subjects(&team_a.get("other-role").await?), [NEW]);
    let everywhere = plugin(
        &env,
        &["restore", "left", "--yes", "--binding", "ClusterRoleBinding/everywhere"],
    )
    .await?;
    assert_eq!(everywhere.code, Some(0), "{everywhere:?}");
    assert!(everywhere.out.contains("AlreadyThere"), "{}", everywhere.out);
    let unknown = plugin(
        &env,
        &["restore", "left", "--yes", "--binding", "RoleBinding/team-a/nowhere"],
    )
    .await?;
    assert_eq!(unknown.code, Some(64), "{unknown:?}");

    team_a.patch("held", &merge, &finalizers(json!([]))).await?;
    let held = plugin(
        &env,
        &["restore", "left", "--yes", "--binding", "RoleBinding/team-a/held"],
    )
    .await?;
    assert_eq!(held.code, Some(0), "{held:?}");
    assert_eq!(subjects(&team_a.get("held").await?), [UID]);
    Ok(())
}

/// It is said before the question; while the object is suspended, what is restored stays.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_would_remove_it_again_is_warned_of() -> anyhow::Result<()> {
    let env = running().await;
    env.role_binding("team-a", "own", "edit", &[user(UID)]).await?;
    offboard(&env, json!({"enforcement": "Continuous"})).await?;
    let dry = plugin(&env, &["restore", "left", "--dry-run"]).await?;
    assert_eq!(dry.code, Some(0), "{dry:?}");
    assert!(
        dry.err.contains("warning:") && dry.err.contains("left is enforcement: Continuous"),
        "{}",
        dry.err
    );
    env.apply(
        "left",
        json!({"uid": UID, "enforcement": "Continuous", "suspend": true}),
    )
    .await?;
    env.wait_for_state("left", "Suspended").await?;
    let done = plugin(&env, &["restore", "left", "--yes"]).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        !done.err.contains("warning:") && done.err.contains("no longer suspended"),
        "{}",
        done.err
    );
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/own"]);
    Ok(())
}

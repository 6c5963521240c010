//! What stands in the way of a run, and how it goes on once it is gone.

use crate::sight::sees;
use crate::support::{
    LEAVER, TestEnv, UID, assert_conditions, assert_gone, assert_stalled, assert_waiting, env, freeze_team_a,
    give_access, message, mutate, purges, running, running_with,
};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, eventually},
    env::{OperatorOptions, PATIENCE, user},
    simulator::{
        Fault, FaultKind, Operation,
        world::{Guard, Match},
    },
};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingAdmissionPolicyBinding,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// Removes the others, leaves this one, and does not ask ACK, whose purge would remove it without a check. Goes on when the subject was removed by hand.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_binding_that_may_not_be_changed_is_kept_and_named() -> anyhow::Result<()> {
    let mut env = env().await;
    env.cluster
        .install_operator_without_subject_removal(OPERATOR_NAMESPACE)
        .await?;
    give_access(&env).await?;
    let colleague = user("200000000000000002");
    env.role_binding("team-b", "shared", "edit", &[user(UID), colleague.clone()])
        .await?;
    env.start_operator(&OperatorOptions::default().flag("--remove-subjects=false"))
        .await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "SharedBindingsKept").await?;
    sees!(env, "left", "while it is there");
    assert_stalled(&status, "SharedBindingsKept");
    assert_conditions(
        &status,
        &[
            ("BindingsRemoved", "False/SharedBindingsKept"),
            ("KubeconfigPurged", "False/BindingsRemain"),
        ],
    );
    assert!(message(&status, "Ready").contains("RoleBinding team-b/shared"));
    assert_eq!(
        env.bindings_of(UID).await?,
        ["RoleBinding team-b/shared"],
        "the others are gone"
    );
    assert!(purges(&env).is_empty(), "ACK would remove what is left");

    let by_hand = Patch::Merge(json!({"subjects": [colleague]}));
    Api::<RoleBinding>::namespaced(env.admin(), "team-b")
        .patch("shared", &PatchParams::default(), &by_hand)
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Sets the finalizers of the RoleBinding that UID has in team-a.
async fn finalizers(env: &TestEnv, list: Value) -> anyhow::Result<()> {
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let patch = Patch::Merge(json!({"metadata": {"finalizers": list}}));
    api.patch("leaver", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Takes the leaver out, which ends the access at once: it counts as removed. What it waits for is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_with_a_finalizer_grants_nothing_while_it_waits() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    finalizers(&env, json!(["example.com/wait"])).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "while the finalizer is there");
    let said = message(&status, "BindingsRemoved");
    assert!(said.contains("RoleBinding team-a/leaver has no subjects") && said.contains("example.com/wait"));
    let removed = status.removed.unwrap_or_default();
    assert_eq!((removed.deleted, removed.disarmed, removed.total), (1, 1, 2));
    assert_gone(&env, &status).await?;
    let left = Api::<RoleBinding>::namespaced(env.admin(), "team-a")
        .get("leaver")
        .await?;
    assert!(left.subjects.is_none() && left.metadata.deletion_timestamp.is_some());
    finalizers(&env, json!(null)).await
}

/// Waits: without the right to take subjects out there is one move, and until the finalizer is gone the binding grants access.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_with_a_finalizer_and_no_right_to_take_subjects_out() -> anyhow::Result<()> {
    let env = running_with(&["--remove-subjects=false"]).await;
    // The leaver makes a request in the middle; ACK's own guard would hold the purge because of it.
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);
    give_access(&env).await?;
    finalizers(&env, json!(["example.com/wait"])).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let waits = |s: &_| message(s, "Ready").contains("example.com/wait");
    let status = env.wait_for("left", "what it waits for", waits).await?;
    assert_waiting(&status, "Terminating");
    // The garbage collector has come to the other one by then.
    let other = Api::<ClusterRoleBinding>::all(env.admin());
    eventually("the other one to be gone", PATIENCE, async || {
        Ok(other.get_opt("leaver-everywhere").await?.is_none().then_some(()))
    })
    .await?;
    sees!(env, "left", "while the finalizer is there");
    assert_eq!(
        env.probe(LEAVER, "/api/v1/namespaces/team-a/configmaps").await?,
        200,
        "it grants access still"
    );
    assert!(purges(&env).is_empty());

    finalizers(&env, json!(null)).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(status.removed.unwrap_or_default().deleted, 2);
    Ok(())
}

/// Removes the others, names this one with the words of the refusal, and does not ask ACK. Goes on when it is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn one_binding_that_is_refused_does_not_shield_the_others() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.role_binding("team-b", "another", "view", &[user(UID)]).await?;
    freeze_team_a(&env).await?;

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Forbidden").await?;
    sees!(env, "left", "while an admission policy refuses it");
    assert_stalled(&status, "Forbidden");
    assert_conditions(
        &status,
        &[
            ("BindingsRemoved", "False/Forbidden"),
            ("KubeconfigPurged", "False/BindingsRemain"),
        ],
    );
    let text = message(&status, "Ready");
    assert!(
        text.contains("RoleBinding team-a/leaver") && text.contains("team-a is frozen"),
        "{text}"
    );
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/leaver"]);
    assert!(purges(&env).is_empty());

    Api::<ValidatingAdmissionPolicyBinding>::all(env.admin())
        .delete("keep-team-a", &Default::default())
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Reads the state of the kubeconfig, and finds the purge carried out.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_whose_answer_is_lost_is_not_repeated_when_it_was_carried_out() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, FaultKind::CutAfter).times(1));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await?;
    assert_conditions(&status, &[("KubeconfigPurged", "True/Purged")]);
    assert_eq!(purges(&env).len(), 1);
    assert!(
        status
            .kubeconfig
            .is_some_and(|k| k.purged_at.is_some() && k.restorable_until.is_some())
    );
    Ok(())
}

/// Had stored them before the purge, and counts them apart, in removed.disappeared.
#[tokio::test(flavor = "multi_thread")]
async fn what_acks_purge_takes_by_name_alone_was_backed_up_and_is_counted() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.sim.edit(|w| w.purge.matching = Match::NameOnly);
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": UID});
    env.cluster_role_binding("group", "view", std::slice::from_ref(&group))
        .await?;
    // This one only becomes such a binding when the operator takes the leaver out of it.
    env.role_binding("team-a", "mixed", "view", &[user(UID), group]).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await?;
    let removed = status.removed.unwrap_or_default();
    assert_eq!(
        (
            removed.deleted,
            removed.subjects_removed,
            removed.disappeared,
            removed.total
        ),
        (2, 0, 2, 4)
    );
    let kept = env
        .backups()
        .await?
        .into_iter()
        .filter_map(|b| b.data?.get("kept.yaml").cloned())
        .collect::<String>();
    assert!(kept.contains("\"group\"") && kept.contains("\"mixed\""), "{kept}");
    Ok(())
}

/// A mutating policy of the cluster labels each binding that is updated, the operator's update included. The operator's own admission policy
/// refuses the result, as it lets no label be changed: the message says whose fault it is, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_mutating_policy_labels_each_binding_that_is_updated() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let rule = json!({
        "apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "operations": ["UPDATE"],
        "resources": ["rolebindings"],
    });
    let label = r#"[JSONPatch{op: "add", path: "/metadata/labels", value: {"seen": "yes"}}]"#;
    mutate(&env, &rule, label, Some("team-a")).await?;
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let edit = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    eventually("the policy to be in force", PATIENCE, async || {
        let edited = api.patch("leaver", &PatchParams::default().dry_run(), &edit).await?;
        Ok(edited.metadata.labels.filter(|labels| labels.contains_key("seen")))
    })
    .await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "ChangedByWebhook").await?;
    assert_stalled(&status, "ChangedByWebhook");
    sees!(env, "left", "while bindings are changed on their way");
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/leaver"]);
    assert!(purges(&env).is_empty());
    Ok(())
}

//! What stands in the way of a run, and how it goes on once it is gone.

use crate::support::{
    LEAVER, UID, assert_conditions, assert_gone, assert_stalled, assert_untouched, assert_waiting, give_access,
    message, purges, running, running_with, stage,
};
use ack_offboarding_e2e::{
    cluster::OPERATOR_NAMESPACE,
    simulator::{
        Fault, FaultKind, Operation, Record,
        world::{CertificateState, Guard, Match},
    },
    stage::{CLUSTER_ID, OperatorOptions, issue_kubeconfig, user},
};
use ack_offboarding_operator::api::UserOffboardingStatus;
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    rbac::v1::RoleBinding,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_waits_for_its_whole_digest() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    let other = format!("sha256:{}", "0".repeat(64));
    stage
        .apply(
            "left",
            json!({"uid": UID, "approval": "Manual", "approvedPlans": [other]}),
        )
        .await?;
    let status = stage.wait_for_state("left", "AwaitingApproval").await?;
    assert_waiting(&status, "AwaitingApproval");
    assert_conditions(
        &status,
        &[("Approved", "False/AwaitingApproval"), ("Inactive", "True/NoActivity")],
    );
    let digest = status.plan.as_ref().expect("a plan").digest.clone();
    assert!(
        message(&status, "Approved").contains(&digest),
        "what to approve is said"
    );
    assert_untouched(&stage).await?;

    stage
        .apply(
            "left",
            json!({"uid": UID, "approval": "Manual", "approvedPlans": [other, digest]}),
        )
        .await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("Approved", "True/PlanApproved")]);
    assert_gone(&stage, &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_binding_that_may_not_be_changed_is_kept_and_named() -> anyhow::Result<()> {
    let mut stage = stage().await;
    stage
        .cluster
        .install_operator_without_subject_removal(OPERATOR_NAMESPACE)
        .await?;
    give_access(&stage).await?;
    let colleague = user("200000000000000002");
    stage
        .role_binding("team-b", "shared", "edit", &[user(UID), colleague.clone()])
        .await?;
    stage
        .start_operator(&OperatorOptions::default().flag("--remove-subjects=false"))
        .await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "SharedBindingsKept").await?;
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
        stage.bindings_of(UID).await?,
        ["RoleBinding team-b/shared"],
        "the others are gone"
    );
    assert!(purges(&stage).is_empty(), "ACK would remove what is left");

    let by_hand = Patch::Merge(json!({"subjects": [colleague]}));
    Api::<RoleBinding>::namespaced(stage.admin(), "team-b")
        .patch("shared", &PatchParams::default(), &by_hand)
        .await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_with_a_finalizer_counts_only_when_it_is_gone() -> anyhow::Result<()> {
    let stage = running().await;
    // The leaver makes a request in the middle; ACK's own guard would hold the purge because of it.
    stage.sim.edit(|w| w.purge.guard = Guard::Nothing);
    give_access(&stage).await?;
    let api = Api::<RoleBinding>::namespaced(stage.admin(), "team-a");
    let finalizers = |list: Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    api.patch(
        "leaver",
        &PatchParams::default(),
        &finalizers(json!(["example.com/wait"])),
    )
    .await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Terminating").await?;
    assert_waiting(&status, "Terminating");
    assert!(message(&status, "Ready").contains("example.com/wait"));
    assert_eq!(
        stage.probe(LEAVER, "/api/v1/namespaces/team-a/configmaps").await?,
        200,
        "it grants access still"
    );
    assert!(purges(&stage).is_empty());

    api.patch("leaver", &PatchParams::default(), &finalizers(json!(null)))
        .await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_eq!(status.removed.unwrap_or_default().deleted, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_binding_that_is_refused_does_not_shield_the_others() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage.role_binding("team-b", "another", "view", &[user(UID)]).await?;
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": "keep-team-a"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "resources": ["rolebindings"],
                "operations": ["DELETE"],
            }]},
            "validations": [{"expression": "oldObject.metadata.namespace != 'team-a'", "message": "team-a is frozen"}],
        },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": "keep-team-a"}, "spec": {"policyName": "keep-team-a", "validationActions": ["Deny"]},
    }))?;
    let params = PostParams::default();
    Api::all(stage.admin()).create(&params, &policy).await?;
    Api::all(stage.admin()).create(&params, &binding).await?;
    let api = Api::<RoleBinding>::namespaced(stage.admin(), "team-a");
    ack_offboarding_e2e::cluster::eventually(
        "the policy to be in force",
        ack_offboarding_e2e::stage::PATIENCE,
        async || {
            Ok(api
                .delete("leaver", &kube::api::DeleteParams::default().dry_run())
                .await
                .err())
        },
    )
    .await?;

    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Forbidden").await?;
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
    assert_eq!(stage.bindings_of(UID).await?, ["RoleBinding team-a/leaver"]);
    assert!(purges(&stage).is_empty());

    Api::<ValidatingAdmissionPolicyBinding>::all(stage.admin())
        .delete("keep-team-a", &Default::default())
        .await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_whose_answer_is_lost_is_not_repeated_when_it_was_carried_out() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage
        .sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, FaultKind::CutAfter).times(1));
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await?;
    assert_conditions(&status, &[("KubeconfigPurged", "True/Purged")]);
    assert_eq!(purges(&stage).len(), 1);
    assert!(
        status
            .kubeconfig
            .is_some_and(|k| k.purged_at.is_some() && k.restorable_until.is_some())
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_acks_purge_takes_by_name_alone_was_backed_up_and_is_counted() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage.sim.edit(|w| w.purge.matching = Match::NameOnly);
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": UID});
    stage
        .cluster_role_binding("group", "view", std::slice::from_ref(&group))
        .await?;
    // This one only becomes such a binding when the operator takes the leaver out of it.
    stage
        .role_binding("team-a", "mixed", "view", &[user(UID), group])
        .await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await?;
    let removed = status.removed.unwrap_or_default();
    assert_eq!(
        (removed.deleted, removed.subjects_removed, removed.by_ack, removed.total),
        (2, 0, 2, 4)
    );
    let kept = stage
        .backups()
        .await?
        .into_iter()
        .filter_map(|b| b.data?.get("kept.yaml").cloned())
        .collect::<String>();
    assert!(kept.contains("\"group\"") && kept.contains("\"mixed\""), "{kept}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reissued_kubeconfig_is_found_by_the_poll() -> anyhow::Result<()> {
    let stage = running_with(&["--poll-interval=1s"]).await;
    give_access(&stage).await?;
    stage.apply("left", json!({"uid": UID})).await?;
    stage.wait_for_state("left", "Offboarded").await?;
    issue_kubeconfig(&stage.sim, UID, CertificateState::Unexpired);
    let status = stage.wait_for_state("left", "AccessReturned").await?;
    assert_stalled(&status, "AccessReturned");
    assert_conditions(
        &status,
        &[
            ("AccessReturned", "True/KubeconfigReissued"),
            ("KubeconfigPurged", "Unknown/Pending"),
        ],
    );
    assert_eq!(purges(&stage).len(), 1, "under Once it is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_was_kept_is_purged_when_the_spec_says_so_and_through_all_checks() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage.apply("left", json!({"uid": UID, "kubeconfig": "Keep"})).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("KubeconfigPurged", "True/Kept")]);
    assert!(purges(&stage).is_empty());

    stage
        .sim
        .add_record(CLUSTER_ID, Record::by(UID).ago(Duration::from_secs(60)));
    stage.apply("left", json!({"uid": UID, "kubeconfig": "Purge"})).await?;
    let first = stage.wait_for_state("left", "WaitingForInactivity").await?;
    let asked = |s: &UserOffboardingStatus| s.activity.as_ref().map(|a| a.checked_at.clone());
    let later = stage
        .wait_for("left", "the next look", |s| asked(s) > asked(&first))
        .await?;
    assert_conditions(
        &later,
        &[
            ("Ready", "False/WaitingForInactivity"),
            ("AccessReturned", "False/None"),
        ],
    );
    assert!(purges(&stage).is_empty());

    stage
        .sim
        .age_records(CLUSTER_ID, |_| true, Duration::from_secs(8 * 86_400));
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

//! What waits for a person, or for time, and how a person decides.

use crate::sight::{sees, sees_text};
use crate::support::{
    LEAVER, TestEnv, UID, approvals, assert_conditions, assert_gone, assert_untouched, assert_waiting, env,
    freeze_team_a, give_access, make_a_request, message, purges, running, running_with, unfreeze_team_a,
};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, eventually},
    env::{OperatorOptions, PATIENCE, add_user, user},
    simulator::{Call, Fault, FaultKind, Operation, world::Guard},
};
use ack_offboarding_operator::api::{UserOffboarding, UserOffboardingStatus};
use k8s_openapi::{
    api::rbac::v1::RoleBinding,
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// A run that has removed one of two bindings, and is refused the other.
async fn stuck_in_the_middle(env: &TestEnv, spec: Value) -> anyhow::Result<()> {
    // The leaver makes requests in the middle; ACK's own guard would hold the purge because of them.
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);
    freeze_team_a(env).await?;
    env.apply("left", spec).await?;
    env.wait_for_state("left", "Forbidden").await?;
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/leaver"]);
    Ok(())
}

/// Nothing was touched, with one binding more than [`give_access`] made.
async fn assert_untouched_but(env: &TestEnv, more: &str) -> anyhow::Result<()> {
    let mut expected = vec![
        "ClusterRoleBinding leaver-everywhere",
        "RoleBinding team-a/leaver",
        more,
    ];
    expected.sort_unstable();
    assert_eq!(env.bindings_of(UID).await?, expected);
    assert!(purges(env).is_empty() && env.backups().await?.is_empty());
    Ok(())
}

fn digest(status: &UserOffboardingStatus) -> String {
    status.plan.as_ref().map(|plan| plan.digest.clone()).unwrap_or_default()
}

/// Does nothing until the digest of this cluster's own plan is in the list, whole; other clusters' digests may stand beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_waits_for_its_whole_digest() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let other = format!("sha256:{}", "0".repeat(64));
    env.apply(
        "left",
        json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[&other])}),
    )
    .await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    assert_waiting(&status, "AwaitingApproval");
    assert_conditions(
        &status,
        &[("Approved", "False/AwaitingApproval"), ("Inactive", "True/NoActivity")],
    );
    sees!(env, "left", "while another digest is approved");
    let digest = status.plan.as_ref().expect("a plan").digest.clone();
    assert!(
        message(&status, "Approved").contains(&digest),
        "what to approve is said"
    );
    assert_untouched(&env).await?;

    env.apply(
        "left",
        json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[&other, &digest])}),
    )
    .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("Approved", "True/PlanApproved")]);
    sees!(env, "left", "once its own is there too");
    assert_gone(&env, &status).await
}

/// Nothing: the API server refuses it, with a sentence that says what a digest looks like.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_digest_is_no_approval() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    let part = &digest(&status)[..20];
    let refused = env
        .apply(
            "left",
            json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[part])}),
        )
        .await;
    let error = refused.expect_err("the API server refuses it");
    let Some(kube::Error::Api(refused)) = error.downcast_ref() else {
        panic!("{error:?}")
    };
    sees_text!("when it is applied", refused.message.replace(part, "sha256:PART"));
    assert_untouched(&env).await
}

/// Shows the new plan with its new digest, and waits: what was approved is not what would be done now.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_changed_before_it_was_approved_needs_its_new_digest() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let read = digest(&env.wait_for_state("left", "AwaitingApproval").await?);
    env.role_binding("team-b", "new", "edit", &[user(LEAVER)]).await?;
    env.wait_for("left", "the new plan", |s| {
        s.plan.as_ref().is_some_and(|p| p.total == 3)
    })
    .await?;

    let spec = |plans: &[&String]| json!({"uid": UID, "approval": "Manual", "approvals": approvals(plans)});
    env.apply("left", spec(&[&read])).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    sees!(env, "left", "when the digest that was read is approved");
    let newer = digest(&status);
    assert_ne!(read, newer);
    assert_eq!(env.bindings_of(UID).await?.len(), 3, "nothing was touched");
    assert!(env.backups().await?.is_empty());

    env.apply("left", spec(&[&read, &newer])).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Notices before the first effect that the plan is another one, and waits for its digest.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_changed_after_it_was_approved_is_not_carried_out() -> anyhow::Result<()> {
    let mut env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let approved = digest(&env.wait_for_state("left", "AwaitingApproval").await?);
    env.stop_operator().await?;
    let spec = |plans: &[&String]| json!({"uid": UID, "approval": "Manual", "approvals": approvals(plans)});
    env.apply("left", spec(&[&approved])).await?;
    env.role_binding("team-b", "new", "edit", &[user(LEAVER)]).await?;
    env.start_operator(&OperatorOptions::default()).await?;

    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    assert_waiting(&status, "AwaitingApproval");
    sees!(env, "left", "while the new plan waits");
    assert_eq!(status.plan.as_ref().map(|p| p.total), Some(3));
    assert_eq!(env.bindings_of(UID).await?.len(), 3, "nothing was touched");
    assert!(env.backups().await?.is_empty());

    env.apply("left", spec(&[&approved, &digest(&status)])).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Finishes what was approved, without a second approval; the backups hold the digest.
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_run_that_is_interrupted_half_way_is_finished() -> anyhow::Result<()> {
    let mut env = running().await;
    give_access(&env).await?;
    freeze_team_a(&env).await?;
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let approved = digest(&env.wait_for_state("left", "AwaitingApproval").await?);
    env.apply(
        "left",
        json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[&approved])}),
    )
    .await?;
    env.wait_for_state("left", "Forbidden").await?;
    env.kill_operator();
    unfreeze_team_a(&env).await?;
    env.start_operator(&OperatorOptions::default()).await?;

    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_conditions(&status, &[("Approved", "True/PlanApproved")]);
    assert_eq!(
        digest(&status),
        approved,
        "the plan that is shown is the one that was approved"
    );
    assert_gone(&env, &status).await
}

/// Removes what was approved, and asks for approval of the plan with the new binding; ACK is not asked before that.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_the_approved_plan_did_not_hold_needs_a_new_approval() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    freeze_team_a(&env).await?;
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let approved = digest(&env.wait_for_state("left", "AwaitingApproval").await?);
    let spec = |plans: &[&String]| json!({"uid": UID, "approval": "Manual", "approvals": approvals(plans)});
    env.apply("left", spec(&[&approved])).await?;
    env.wait_for_state("left", "Forbidden").await?;
    env.role_binding("team-b", "new", "edit", &[user(LEAVER)]).await?;
    unfreeze_team_a(&env).await?;

    let of_one = |s: &UserOffboardingStatus| {
        ack_offboarding_e2e::env::state(s) == "AwaitingApproval" && s.plan.as_ref().is_some_and(|p| p.total == 1)
    };
    let status = env.wait_for("left", "a plan of the new binding alone", of_one).await?;
    sees!(env, "left", "while the new binding is there");
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-b/new"]);
    assert!(purges(&env).is_empty());

    env.apply("left", spec(&[&approved, &digest(&status)])).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(status.removed.unwrap_or_default().deleted, 3);
    assert_gone(&env, &status).await
}

/// Nothing, until it is resumed.
#[tokio::test(flavor = "multi_thread")]
async fn suspended_before_it_begins() -> anyhow::Result<()> {
    // An edit wakes it, and not the clock.
    let env = running_with(&["--recheck-interval=1d"]).await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "suspend": true})).await?;
    let status = env.wait_for_state("left", "Suspended").await?;
    assert_waiting(&status, "Suspended");
    sees!(env, "left", "while it is suspended");
    assert_untouched(&env).await?;

    env.apply("left", json!({"uid": UID, "suspend": false})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Stops before the next effect: what was done stays done and counted, nothing more is. Finishes when it is resumed.
#[tokio::test(flavor = "multi_thread")]
async fn suspended_in_the_middle() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    stuck_in_the_middle(&env, json!({"uid": UID})).await?;
    env.apply("left", json!({"uid": UID, "suspend": true})).await?;
    let status = env.wait_for_state("left", "Suspended").await?;
    assert_waiting(&status, "Suspended");
    sees!(env, "left", "while it is suspended");
    unfreeze_team_a(&env).await?;
    // Somebody else deletes what is left, which wakes the operator: it counts, and does no more.
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    api.delete("leaver", &DeleteParams::default()).await?;
    let counted = |s: &UserOffboardingStatus| s.removed.unwrap_or_default().deleted == 2;
    let status = env.wait_for("left", "both are counted", counted).await?;
    assert_waiting(&status, "Suspended");
    assert!(purges(&env).is_empty());

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Shows what would be removed, whatever the activity, and is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing_and_shows_the_plan() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "mode": "DryRun"})).await?;
    let status = env.wait_for_state("left", "DryRunComplete").await?;
    assert_conditions(
        &status,
        &[
            ("Ready", "True/DryRunComplete"),
            ("Offboarded", "False/DryRunComplete"),
            ("Approved", "False/DryRun"),
            ("Inactive", "True/NoActivity"),
            ("BackedUp", "Unknown/Pending"),
        ],
    );
    sees!(env, "left", "at the end of the dry run");
    let plan = status.plan.expect("a plan");
    assert_eq!(
        (
            plan.total,
            plan.bindings[0].name.as_str(),
            plan.bindings[1].name.as_str()
        ),
        (2, "leaver-everywhere", "leaver")
    );
    assert_untouched(&env).await?;

    env.apply("left", json!({"uid": UID, "mode": "Execute"})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Shows the plan, and that a run would wait; is done all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_an_active_user() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    make_a_request(&env).await?;
    env.apply("left", json!({"uid": UID, "mode": "DryRun"})).await?;
    let status = env.wait_for_state("left", "DryRunComplete").await?;
    sees!(env, "left", "at the end of the dry run");
    assert_conditions(
        &status,
        &[("Inactive", "False/ActiveInWindow"), ("Ready", "True/DryRunComplete")],
    );
    assert_eq!(status.plan.as_ref().map(|p| p.total), Some(2));
    assert_untouched(&env).await
}

/// Waits as long as the spec says, and goes ahead then, though somebody is active: else one request a week keeps a leaver in.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_wait_is_over() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    make_a_request(&env).await?;
    let spec = json!({"uid": UID, "activityCheck": {"waitAtMostDays": 1}});
    env.apply("left", spec).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert!(
        message(&status, "Ready").contains("(waitAtMostDays)"),
        "the end of the wait is said"
    );
    sees!(env, "left", "while it waits");
    assert_untouched(&env).await?;

    // A day later.
    let since = Timestamp::now() - SignedDuration::from_hours(25);
    let patch = Patch::Merge(json!({"status": {"waitingSince": since.to_string()}}));
    let api: Api<UserOffboarding> = env.offboardings();
    api.patch_status("left", &PatchParams::default(), &patch).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "when a day is over");
    assert_conditions(
        &status,
        &[("Inactive", "False/ActiveInWindow"), ("Approved", "True/WaitExpired")],
    );
    assert_eq!(
        purges(&env)[0].parameter("force"),
        "true",
        "ACK's own guard would hold it for ever"
    );
    assert_gone(&env, &status).await
}

/// Says that it is at work, and what it is about to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_its_time() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let slow = FaultKind::Latency(Duration::from_secs(3));
    env.sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, slow));
    env.apply("left", json!({"uid": UID})).await?;
    env.sim
        .wait_for_call(|c| c.operation == Operation::CsCleanClusterUserPermissions, PATIENCE)
        .await?;
    let status = env.wait_for_state("left", "InProgress").await?;
    assert_waiting(&status, "InProgress");
    sees!(env, "left", "while ACK takes its time");
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Looks at once, whatever it waits for: the index wakes it, and not the clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_appears_while_it_waits() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1d"]).await;
    give_access(&env).await?;
    let other = "259083957089437777";
    env.role_binding("team-a", "of-another", "edit", &[user(other)]).await?;
    env.apply("tried", json!({"uid": UID, "mode": "DryRun"})).await?;
    env.apply("asked", json!({"uid": other, "approval": "Manual"})).await?;
    env.wait_for_state("tried", "DryRunComplete").await?;
    env.wait_for_state("asked", "AwaitingApproval").await?;

    env.role_binding("team-b", "new", "edit", &[user(LEAVER), user(other)])
        .await?;
    let planned = |total| move |s: &UserOffboardingStatus| s.plan.as_ref().is_some_and(|p| p.total == total);
    env.wait_for("tried", "a plan with the new binding", planned(3)).await?;
    env.wait_for("asked", "a plan with the new binding", planned(2)).await?;
    sees!(env, "asked", "in the one that waits for approval");
    assert_untouched_but(&env, "RoleBinding team-b/new").await
}

/// A look that finds what the look before it found does not write the status: neither its result nor anything on the way there. (One that
/// asks the audit log says when it did.)
#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_finds_nothing_new_writes_nothing() -> anyhow::Result<()> {
    let mut env = env().await;
    env.cluster
        .install_operator_without_subject_removal(OPERATOR_NAMESPACE)
        .await?;
    let options = OperatorOptions::default().flag("--remove-subjects=false");
    env.start_operator(&options).await?;
    let with_finalizer = user("300000000000000002");
    let held = [
        ("shared", json!({"uid": "300000000000000001"}), "SharedBindingsKept"),
        ("finalizer", json!({"uid": "300000000000000002"}), "Terminating"),
        (
            "mistyped",
            json!({"uid": "300000000000000005", "expectedName": "somebody"}),
            "NameMismatch",
        ),
    ];
    add_user(&env.sim, "300000000000000005", "somebody-else");
    for (name, spec, _) in &held {
        let leaver = user(spec["uid"].as_str().unwrap_or_default());
        env.role_binding("team-a", name, "view", std::slice::from_ref(&leaver))
            .await?;
        env.role_binding("team-b", name, "view", &[leaver, user("200000000000000002")])
            .await?;
    }
    // The second has nothing that is shared, but a binding that stays for a while.
    let bindings = Api::<RoleBinding>::namespaced(env.admin(), "team-b");
    let alone = Patch::Merge(json!({
        "metadata": {"finalizers": ["example.com/wait"]},
        "subjects": [with_finalizer],
    }));
    bindings.patch("finalizer", &PatchParams::default(), &alone).await?;
    for (name, spec, expected) in &held {
        env.apply(name, spec.clone()).await?;
        env.wait_for_state(name, expected).await?;
    }
    let uid = |spec: &Value| spec["uid"].as_str().unwrap_or_default().to_owned();
    let looks = |uid: &str| {
        let asked = |c: &&Call| c.operation == Operation::CsListUserKubeConfigStates && c.parameter("uid") == uid;
        env.sim.calls().iter().filter(asked).count()
    };
    let three_more_looks = async || {
        let begun: Vec<_> = held.iter().map(|(_, spec, _)| looks(&uid(spec))).collect();
        eventually("three more looks at each", PATIENCE, async || {
            let all = held
                .iter()
                .zip(&begun)
                .all(|((_, spec, _), begun)| looks(&uid(spec)) >= begun + 3);
            Ok(all.then_some(()))
        })
        .await
    };
    let list = async || env.offboardings().list(&ListParams::default()).await;
    // The first of these may still have told something new.
    three_more_looks().await?;
    let before = list().await?;
    three_more_looks().await?;
    let after = list().await?;
    assert_eq!(after.items.len(), held.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(
            before.metadata.resource_version, after.metadata.resource_version,
            "{before:#?}"
        );
    }
    // The namespace can go with it.
    bindings
        .patch(
            "finalizer",
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": {"finalizers": []}})),
        )
        .await?;
    Ok(())
}

/// Who approved a plan that keeps the kubeconfig has not approved its purge.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_keeps_the_kubeconfig_approves_no_purge() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let spec = |kubeconfig: &str, digests: &[&String]| json!({"uid": UID, "approval": "Manual", "kubeconfig": kubeconfig, "approvals": approvals(digests)});
    env.apply("left", spec("Keep", &[])).await?;
    let kept = digest(&env.wait_for_state("left", "AwaitingApproval").await?);
    env.apply("left", spec("Purge", &[&kept])).await?;
    let other = |s: &UserOffboardingStatus| s.plan.as_ref().is_some_and(|plan| plan.digest != kept);
    let status = env.wait_for("left", "a plan of its own", other).await?;
    assert_waiting(&status, "AwaitingApproval");
    assert_untouched(&env).await?;
    env.apply("left", spec("Purge", &[&digest(&status)])).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

//! What a second attack found, by somebody who knew what the first had.

use crate::attacks_between::Between;
use crate::support::{
    UID, approvals, assert_gone, assert_stalled, env, give_access, message, purges, running, running_with,
};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{PATIENCE, user},
    simulator::{Fault, FaultKind, Operation},
};
use ack_offboarding_operator::api::UserOffboarding;
use futures::FutureExt;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A large binding that somebody edits between its backup and its removal is backed up again and removed: nothing waits for room in memory
/// that it holds itself, and nobody behind it waits for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_binding_that_changes_under_the_operators_hands_is_removed() -> anyhow::Result<()> {
    let mut env = env().await;
    let people = (0..15_000).map(|n| user(&format!("person-{n:06}")));
    let subjects: Vec<Value> = std::iter::once(user(UID)).chain(people).collect();
    env.role_binding("team-a", "large", "view", &subjects).await?;
    let (edits, admin) = (Arc::new(AtomicUsize::new(0)), env.admin());
    let between = Between::start(&env, move |asked| {
        let admin = admin.clone();
        let edit = asked.disarms().then(|| edits.fetch_add(1, Ordering::SeqCst));
        edit.filter(|edit| *edit < 2).map(|edit| {
            async move {
                let note = json!({"metadata": {"annotations": {"note": edit.to_string()}}});
                let api = Api::<RoleBinding>::namespaced(admin, "team-a");
                api.patch("large", &PatchParams::default(), &Patch::Merge(note)).await?;
                Ok(())
            }
            .boxed()
        })
    })
    .await?;
    between.start_operator(&mut env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await?;
    assert!(env.bindings_of(UID).await?.is_empty());
    Ok(())
}

/// A name that grows sixfold when the API server writes it as JSON: its backup would unpack to more than the operator reads back. The
/// binding is named and left, and no backup is made that nobody could read or delete; the others are removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_grows_when_it_is_read_is_left_and_named() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let subjects = [user(UID), user(&"<".repeat(600_000))];
    env.role_binding("team-b", "grows", "view", &subjects).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let says_so = |s: &_| message(s, "Ready").contains("team-b/grows is too large");
    let status = env.wait_for("left", "the one that is left", says_so).await?;
    assert_stalled(&status, "BindingTooLarge");
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-b/grows"]);
    assert!(purges(&env).is_empty());

    let nobody = json!({"subjects": [user("204100000000000002")]});
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-b");
    api.patch("grows", &PatchParams::default(), &Patch::Merge(nobody))
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// ACK refuses, and somebody edits a binding that bears the UID all the time: that decides neither how often ACK is asked, nor how many
/// backups are made.
#[tokio::test(flavor = "multi_thread")]
async fn edits_do_not_decide_how_often_a_refusing_ack_is_asked() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1d"]).await;
    give_access(&env).await?;
    let refusal = FaultKind::Custom {
        status: 400,
        code: "Simulated.ClusterState".to_owned(),
        message: "the cluster is being upgraded".to_owned(),
    };
    env.sim
        .fault(Fault::new(Operation::CsCleanClusterUserPermissions, refusal));
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "RefusedByAck").await?;
    let (asked, backups) = (purges(&env).len(), env.backups().await?.len());
    assert_eq!(asked, 1);

    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": UID});
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-b");
    env.role_binding("team-b", "group", "view", &[group]).await?;
    let looks = env.sim.calls().len();
    for n in 0..10 {
        let note = json!({"metadata": {"annotations": {"note": n.to_string()}}});
        api.patch("group", &PatchParams::default(), &Patch::Merge(note)).await?;
        eventually("a look after the edit", PATIENCE, async || {
            Ok((env.sim.calls().len() > looks + n).then_some(()))
        })
        .await?;
    }
    assert_eq!(purges(&env).len(), asked, "not before the interval is over");
    assert_eq!(env.backups().await?.len(), backups, "and nothing is stored for it");

    // A changed spec is another question.
    env.sim.clear_faults();
    env.apply("left", json!({"uid": UID, "expectedName": "leaver"})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Somebody suspends the offboarding by an object of their own while the bindings are removed: what is on its way is finished, and
/// nothing else is begun.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_object_made_in_the_midst_of_a_run_stops_it() -> anyhow::Result<()> {
    let mut env = env().await;
    for n in 0..30 {
        env.role_binding("team-a", &format!("own-{n}"), "view", &[user(UID)])
            .await?;
    }
    let (suspended, offboardings) = (Arc::new(AtomicBool::new(false)), env.offboardings());
    let between = Between::start(&env, move |asked| {
        let offboardings = offboardings.clone();
        let is_first = asked.disarms() && !suspended.swap(true, Ordering::SeqCst);
        is_first.then(|| {
            async move {
                let spec = serde_json::from_value(json!({"uid": UID, "suspend": true}))?;
                let object = UserOffboarding::new("second", spec);
                offboardings.create(&PostParams::default(), &object).await?;
                // All requests of the operator are held for as long as it believes a list of the objects.
                tokio::time::sleep(Duration::from_millis(600)).await;
                Ok(())
            }
            .boxed()
        })
    })
    .await?;
    between.start_operator(&mut env).await?;
    env.apply("first", json!({"uid": UID})).await?;
    let status = env.wait_for_state("first", "Suspended").await?;
    assert!(message(&status, "Ready").contains("UserOffboarding \"second\""));
    let left = env.bindings_of(UID).await?.len();
    assert!(
        (1..30).contains(&left) && left >= 22,
        "eight were on their way at most: {left} are left"
    );
    assert!(purges(&env).is_empty());
    env.delete("second").await?;
    env.wait_for_state("first", "Offboarded").await?;
    Ok(())
}

/// An approval is good for one run: somebody is put back on purpose into exactly what was approved before, and a person is asked again.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_does_not_approve_what_comes_back_after_the_end() -> anyhow::Result<()> {
    let env = running().await;
    let colleague = user("204100000000000002");
    env.role_binding("team-a", "shared", "view", &[user(UID), colleague.clone()])
        .await?;
    let spec = |approvals: Value| {
        json!({
            "uid": UID, "approval": "Manual", "approvals": approvals, "enforcement": "Continuous", "kubeconfig": "Keep",
        })
    };
    env.apply("left", spec(json!([]))).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    let digest = status.plan.expect("a plan").digest;
    env.apply("left", spec(approvals(&[&digest]))).await?;
    env.wait_for_state("left", "Offboarded").await?;

    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let back = json!({"subjects": [user(UID), colleague]});
    api.patch("shared", &PatchParams::default(), &Patch::Merge(back))
        .await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    assert_ne!(status.plan.expect("a plan").digest, digest);
    assert_eq!(env.bindings_of(UID).await?.len(), 1, "nothing is removed unasked");
    Ok(())
}

//! Two objects for one UID, and an identity that comes back: nothing is a way around what was asked for before.

use crate::sight::sees;
use crate::support::{
    LEAVER, UID, approvals, assert_gone, assert_untouched, assert_waiting, freeze_team_a, give_access, make_a_request,
    message, purges, running, running_with, unfreeze_team_a,
};
use ack_offboarding_e2e::{
    env::{CLUSTER_ID, OperatorOptions, PATIENCE, add_user, user},
    simulator::{Operation, Record, world::Guard},
};
use serde_json::{Value, json};

/// Waits as the first one does: a second object, however lax, is no way around a plan that waits for approval.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_object_is_no_way_around_an_approval() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("first", json!({"uid": UID, "approval": "Manual"})).await?;
    let first = env.wait_for_state("first", "AwaitingApproval").await?;
    env.apply("second", json!({"uid": UID, "activityCheck": {"windowDays": 1}}))
        .await?;
    let status = env.wait_for_state("second", "AwaitingApproval").await?;
    sees!(env, "second", "while the first waits for approval");
    assert_waiting(&status, "AwaitingApproval");
    assert!(message(&status, "Ready").contains("UserOffboarding \"first\""));
    assert_untouched(&env).await?;

    let digest = first.plan.expect("a plan").digest;
    let approved = json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[&digest])});
    env.apply("first", approved).await?;
    let status = env.wait_for_state("first", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Nothing, while any object for the UID is suspended; the message says which.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_object_is_no_way_around_a_suspension() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("first", json!({"uid": UID, "suspend": true})).await?;
    env.wait_for_state("first", "Suspended").await?;
    env.apply("second", json!({"uid": UID})).await?;
    let status = env.wait_for_state("second", "Suspended").await?;
    sees!(env, "second", "while the first is suspended");
    assert!(message(&status, "Ready").contains("UserOffboarding \"first\""));
    assert_untouched(&env).await?;
    env.delete("first").await?;
    let status = env.wait_for_state("second", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Looks back as far as the longest window of all objects for the UID.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_object_does_not_shorten_the_window() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    make_a_request(&env).await?;
    // Three days ago, for the whole log.
    let three_days = std::time::Duration::from_secs(3 * 86_400);
    let leavers = |r: &Record| r.get("user.username") == Some(LEAVER);
    env.sim.age_records(CLUSTER_ID, leavers, three_days);
    env.apply("first", json!({"uid": UID})).await?;
    env.wait_for_state("first", "WaitingForInactivity").await?;
    env.apply("second", json!({"uid": UID, "activityCheck": {"windowDays": 1}}))
        .await?;
    let status = env.wait_for_state("second", "WaitingForInactivity").await?;
    assert_eq!(status.activity.expect("an answer").window_days, 7);
    assert_untouched(&env).await
}

/// A yes that was taken back: the purge is asked for without Force.
#[tokio::test(flavor = "multi_thread")]
async fn proceed_that_is_taken_back_forces_nothing() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.sim.edit(|w| w.purge.guard = Guard::ByUser);
    make_a_request(&env).await?;
    // The run begins with Proceed, and is held before the purge.
    freeze_team_a(&env).await?;
    let spec = |when: &str| json!({"uid": UID, "activityCheck": {"whenActive": when}});
    env.apply("left", spec("Proceed")).await?;
    env.wait_for_state("left", "Forbidden").await?;
    env.apply("left", spec("Wait")).await?;
    env.wait_for_state("left", "Forbidden").await?;
    unfreeze_team_a(&env).await?;
    env.wait_for_state("left", "RefusedByAck").await?;
    let asked = purges(&env);
    assert!(!asked.is_empty());
    for call in asked {
        assert_ne!(
            call.parameters.get("force").map(String::as_str),
            Some("true"),
            "{call:?}"
        );
    }
    Ok(())
}

/// Asks for a new approval: it was given for somebody who was gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_comes_back_voids_its_approval() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=500ms"]).await;
    give_access(&env).await?;
    let manual = |approvals: Value| json!({"uid": UID, "approval": "Manual", "suspend": true, "approvals": approvals});
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let gone = env
        .wait_for_state("left", "AwaitingApproval")
        .await?
        .plan
        .expect("a plan")
        .digest;
    env.apply("left", manual(approvals(&[&gone]))).await?;
    env.wait_for_state("left", "Suspended").await?;
    add_user(&env.sim, UID, "rehired");
    let approved = json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[&gone])});
    env.apply("left", approved).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    sees!(env, "left", "when it has come back");
    assert_ne!(status.plan.expect("a plan").digest, gone);
    assert!(status.identity.expect("an identity").returned_at.is_some());
    assert_untouched(&env).await
}

/// A binding that is edited all the time does not decide how often the operator asks.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_looked_at_once_a_second_at_most() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1d"]).await;
    give_access(&env).await?;
    make_a_request(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "WaitingForInactivity").await?;
    let (before, began) = (env.sim.calls().len(), std::time::Instant::now());
    let most = || 20 + began.elapsed().as_secs() as usize + 2;
    let mut edits = 0_usize;
    // So many that each of them cannot have been looked at, however slow the machine is.
    while edits < most() + 20 {
        assert!(began.elapsed() < PATIENCE, "only {edits} edits in {PATIENCE:?}");
        env.role_binding("team-b", &format!("more-{edits}"), "view", &[user(UID)])
            .await?;
        edits += 1;
    }
    let looks = env
        .sim
        .calls()
        .into_iter()
        .skip(before)
        .filter(|call| call.operation == Operation::CsListUserKubeConfigStates)
        .count();
    assert!(looks <= most(), "{looks} looks at {edits} edits");
    Ok(())
}

/// Removes what the budget of a day holds, names the rest, and says when it goes on: whoever makes bindings for the UID again and again
/// does not fill the API server's storage.
#[tokio::test(flavor = "multi_thread")]
async fn more_backups_than_a_days_budget_are_not_made() -> anyhow::Result<()> {
    let env = running_with(&["--backups-per-day=2"]).await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    let first = env.wait_for_state("left", "Offboarded").await?;
    env.role_binding("team-b", "second", "view", &[user(UID)]).await?;
    let again = |s: &ack_offboarding_operator::api::UserOffboardingStatus| {
        s.removed.is_some_and(|r| r.deleted == 3) && s.completed_at > first.completed_at
    };
    env.wait_for("left", "it is removed again", again).await?;
    env.role_binding("team-b", "third", "view", &[user(UID)]).await?;
    let status = env.wait_for_state("left", "BudgetSpent").await?;
    sees!(env, "left", "when the budget is spent");
    assert!(message(&status, "Ready").contains("RoleBinding team-b/third"));
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-b/third"]);
    assert_eq!(env.backups().await?.len(), 2);
    assert_eq!(purges(&env).len(), 1);
    Ok(())
}

/// Begins as many as may begin in an hour, and holds the others before anything of theirs is touched: also after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn more_offboardings_than_may_begin_in_an_hour_wait() -> anyhow::Result<()> {
    let mut env = crate::support::env().await;
    let options = OperatorOptions::default().flag("--new-runs-per-hour=3");
    env.start_operator(&options).await?;
    let uid = |n: u32| format!("20410000000000002{n}");
    for n in 0..5 {
        env.role_binding("team-a", &format!("leaver-{n}"), "view", &[user(&uid(n))])
            .await?;
    }
    for n in 0..3 {
        env.apply(&format!("left-{n}"), json!({"uid": uid(n)})).await?;
        env.wait_for_state(&format!("left-{n}"), "Offboarded").await?;
    }
    env.apply("left-3", json!({"uid": uid(3)})).await?;
    let status = env.wait_for_state("left-3", "RunLimitReached").await?;
    sees!(env, "left-3", "when three have begun");
    assert_waiting(&status, "RunLimitReached");
    // What holds nothing here removes nothing, and takes none of the limit.
    env.apply("nobody", json!({"uid": "204100000000000299"})).await?;
    env.wait_for_state("nobody", "NothingToRemove").await?;

    env.stop_operator().await?;
    env.start_operator(&options).await?;
    env.apply("left-4", json!({"uid": uid(4)})).await?;
    env.wait_for_state("left-4", "RunLimitReached").await?;
    for n in [3, 4] {
        assert_eq!(
            env.bindings_of(&uid(n)).await?.len(),
            1,
            "nothing of left-{n} is touched"
        );
    }
    env.stop_operator().await?;
    env.start_operator(&OperatorOptions::default().flag("--new-runs-per-hour=5"))
        .await?;
    for n in [3, 4] {
        env.wait_for_state(&format!("left-{n}"), "Offboarded").await?;
    }
    Ok(())
}

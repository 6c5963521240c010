//! Two objects for one UID, and an identity that comes back: nothing is a way around what was asked for before.

use crate::sight::sees;
use crate::support::{
    LEAVER, UID, approvals, assert_gone, assert_untouched, assert_waiting, freeze_team_a, give_access, make_a_request,
    message, purges, running, running_with, unfreeze_team_a,
};
use ack_offboarding_e2e::{
    simulator::{Operation, Record, world::Guard},
    stage::{CLUSTER_ID, OperatorOptions, add_user, user},
};
use serde_json::{Value, json};

/// Waits as the first one does: a second object, however lax, is no way around a plan that waits for approval.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_object_is_no_way_around_an_approval() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage.apply("first", json!({"uid": UID, "approval": "Manual"})).await?;
    let first = stage.wait_for_state("first", "AwaitingApproval").await?;
    stage
        .apply("second", json!({"uid": UID, "activityCheck": {"windowDays": 1}}))
        .await?;
    let status = stage.wait_for_state("second", "AwaitingApproval").await?;
    sees!(stage, "second", "while the first waits for approval");
    assert_waiting(&status, "AwaitingApproval");
    assert!(message(&status, "Ready").contains("UserOffboarding \"first\""));
    assert_untouched(&stage).await?;

    let digest = first.plan.expect("a plan").digest;
    let approved = json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[&digest])});
    stage.apply("first", approved).await?;
    let status = stage.wait_for_state("first", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

/// Nothing, while any object for the UID is suspended; the message says which.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_object_is_no_way_around_a_suspension() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage.apply("first", json!({"uid": UID, "suspend": true})).await?;
    stage.wait_for_state("first", "Suspended").await?;
    stage.apply("second", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("second", "Suspended").await?;
    sees!(stage, "second", "while the first is suspended");
    assert!(message(&status, "Ready").contains("UserOffboarding \"first\""));
    assert_untouched(&stage).await?;
    stage.delete("first").await?;
    let status = stage.wait_for_state("second", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

/// Looks back as far as the longest window of all objects for the UID.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_object_does_not_shorten_the_window() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    make_a_request(&stage).await?;
    // Three days ago, for the whole log.
    let three_days = std::time::Duration::from_secs(3 * 86_400);
    let leavers = |r: &Record| r.get("user.username") == Some(LEAVER);
    stage.sim.age_records(CLUSTER_ID, leavers, three_days);
    stage.apply("first", json!({"uid": UID})).await?;
    stage.wait_for_state("first", "WaitingForInactivity").await?;
    stage
        .apply("second", json!({"uid": UID, "activityCheck": {"windowDays": 1}}))
        .await?;
    let status = stage.wait_for_state("second", "WaitingForInactivity").await?;
    assert_eq!(status.activity.expect("an answer").window_days, 7);
    assert_untouched(&stage).await
}

/// A yes that was taken back: the purge is asked for without Force.
#[tokio::test(flavor = "multi_thread")]
async fn proceed_that_is_taken_back_forces_nothing() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage.sim.edit(|w| w.purge.guard = Guard::ByUser);
    make_a_request(&stage).await?;
    // The run begins with Proceed, and is held before the purge.
    freeze_team_a(&stage).await?;
    let spec = |when: &str| json!({"uid": UID, "activityCheck": {"whenActive": when}});
    stage.apply("left", spec("Proceed")).await?;
    stage.wait_for_state("left", "Forbidden").await?;
    stage.apply("left", spec("Wait")).await?;
    stage.wait_for_state("left", "Forbidden").await?;
    unfreeze_team_a(&stage).await?;
    stage.wait_for_state("left", "RefusedByAck").await?;
    let asked = purges(&stage);
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
    let stage = running_with(&["--recheck-interval=500ms"]).await;
    give_access(&stage).await?;
    let manual = |approvals: Value| json!({"uid": UID, "approval": "Manual", "suspend": true, "approvals": approvals});
    stage.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let gone = stage
        .wait_for_state("left", "AwaitingApproval")
        .await?
        .plan
        .expect("a plan")
        .digest;
    stage.apply("left", manual(approvals(&[&gone]))).await?;
    stage.wait_for_state("left", "Suspended").await?;
    add_user(&stage.sim, UID, "rehired");
    let approved = json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[&gone])});
    stage.apply("left", approved).await?;
    let status = stage.wait_for_state("left", "AwaitingApproval").await?;
    sees!(stage, "left", "when it has come back");
    assert_ne!(status.plan.expect("a plan").digest, gone);
    assert!(status.identity.expect("an identity").returned_at.is_some());
    assert_untouched(&stage).await
}

/// A binding that is edited all the time does not decide how often the operator asks.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_looked_at_once_a_second_at_most() -> anyhow::Result<()> {
    let stage = running_with(&["--recheck-interval=1d"]).await;
    give_access(&stage).await?;
    make_a_request(&stage).await?;
    stage.apply("left", json!({"uid": UID})).await?;
    stage.wait_for_state("left", "WaitingForInactivity").await?;
    let (before, began) = (stage.sim.calls().len(), std::time::Instant::now());
    let mut edits = 0_u32;
    while began.elapsed() < std::time::Duration::from_secs(10) {
        stage
            .role_binding("team-b", &format!("more-{edits}"), "view", &[user(UID)])
            .await?;
        edits += 1;
    }
    let looks = stage
        .sim
        .calls()
        .into_iter()
        .skip(before)
        .filter(|call| call.operation == Operation::CsListUserKubeConfigStates)
        .count();
    let most = 20 + began.elapsed().as_secs() as usize + 2;
    assert!(edits > 40 && looks <= most, "{looks} looks at {edits} edits");
    Ok(())
}

/// Removes what the budget of a day holds, names the rest, and says when it goes on: whoever makes bindings for the UID again and again
/// does not fill the API server's storage.
#[tokio::test(flavor = "multi_thread")]
async fn more_backups_than_a_days_budget_are_not_made() -> anyhow::Result<()> {
    let stage = running_with(&["--backups-per-day=2"]).await;
    give_access(&stage).await?;
    stage
        .apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    let first = stage.wait_for_state("left", "Offboarded").await?;
    stage.role_binding("team-b", "second", "view", &[user(UID)]).await?;
    let again = |s: &ack_offboarding_operator::api::UserOffboardingStatus| {
        s.removed.is_some_and(|r| r.deleted == 3) && s.completed_at > first.completed_at
    };
    stage.wait_for("left", "it is removed again", again).await?;
    stage.role_binding("team-b", "third", "view", &[user(UID)]).await?;
    let status = stage.wait_for_state("left", "BudgetSpent").await?;
    sees!(stage, "left", "when the budget is spent");
    assert!(message(&status, "Ready").contains("RoleBinding team-b/third"));
    assert_eq!(stage.bindings_of(UID).await?, ["RoleBinding team-b/third"]);
    assert_eq!(stage.backups().await?.len(), 2);
    assert_eq!(purges(&stage).len(), 1);
    Ok(())
}

/// Begins as many as may begin in an hour, and holds the others before anything of theirs is touched: also after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn more_offboardings_than_may_begin_in_an_hour_wait() -> anyhow::Result<()> {
    let mut stage = crate::support::stage().await;
    let options = OperatorOptions::default().flag("--new-runs-per-hour=3");
    stage.start_operator(&options).await?;
    let uid = |n: u32| format!("20410000000000002{n}");
    for n in 0..5 {
        stage
            .role_binding("team-a", &format!("leaver-{n}"), "view", &[user(&uid(n))])
            .await?;
    }
    for n in 0..3 {
        stage.apply(&format!("left-{n}"), json!({"uid": uid(n)})).await?;
        stage.wait_for_state(&format!("left-{n}"), "Offboarded").await?;
    }
    stage.apply("left-3", json!({"uid": uid(3)})).await?;
    let status = stage.wait_for_state("left-3", "RunLimitReached").await?;
    sees!(stage, "left-3", "when three have begun");
    assert_waiting(&status, "RunLimitReached");
    // What holds nothing here removes nothing, and takes none of the limit.
    stage.apply("nobody", json!({"uid": "204100000000000299"})).await?;
    stage.wait_for_state("nobody", "NothingToRemove").await?;

    stage.stop_operator().await?;
    stage.start_operator(&options).await?;
    stage.apply("left-4", json!({"uid": uid(4)})).await?;
    stage.wait_for_state("left-4", "RunLimitReached").await?;
    for n in [3, 4] {
        assert_eq!(
            stage.bindings_of(&uid(n)).await?.len(),
            1,
            "nothing of left-{n} is touched"
        );
    }
    stage.stop_operator().await?;
    stage
        .start_operator(&OperatorOptions::default().flag("--new-runs-per-hour=5"))
        .await?;
    for n in [3, 4] {
        stage.wait_for_state(&format!("left-{n}"), "Offboarded").await?;
    }
    Ok(())
}

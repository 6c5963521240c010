//! Whether the identity is still in use, and what is done about it.

use crate::sight::{sees, sees_text};
use crate::support::{
    LEAVER, TestEnv, UID, assert_conditions, assert_gone, assert_untouched, assert_waiting, events, give_access,
    make_a_request, message, purges, running, wait_for_event,
};
use ack_offboarding_e2e::{
    env::{CLUSTER_ID, PATIENCE, add_user, condition, probe, user},
    simulator::{
        Operation, Record, search,
        world::{Guard, Index, Logstore, RecycledUser, User},
    },
};
use ack_offboarding_operator::api::UserOffboardingStatus;
use k8s_openapi::{api::rbac::v1::ClusterRoleBinding, jiff::Timestamp};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use std::{path::Path, time::Duration};

const DAY: u64 = 86_400;
const EIGHT_DAYS: Duration = Duration::from_secs(8 * DAY);
const PATH: &str = "/api/v1/namespaces/team-a/configmaps";
const IMPERSONATED: &str = "impersonatedUser.username";
const AUTHORIZATION: &str = "annotations.authorization.k8s.io/reason";

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A leaver whom RAM knows, with access, and a running operator.
async fn leaver() -> anyhow::Result<TestEnv> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    Ok(env)
}

/// Changes the logstore of the audit log.
fn logstore<T>(env: &TestEnv, change: impl FnOnce(&mut Logstore) -> T) -> T {
    let changed = env.sim.edit(|w| w.audit_logstore_mut(CLUSTER_ID).map(change));
    changed.expect("the logstore")
}

/// A client with this kubeconfig's credentials that acts as somebody else.
async fn acting_as(kubeconfig: &Path, name: &str) -> anyhow::Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.auth_info.impersonate = Some(name.to_owned());
    Ok(Client::try_from(config)?)
}

/// It waits, and nothing is touched.
async fn waits_for_inactivity(env: &TestEnv) -> anyhow::Result<UserOffboardingStatus> {
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_conditions(&status, &[("Inactive", "False/ActiveInWindow")]);
    assert_untouched(env).await?;
    Ok(status)
}

/// The seven days pass, and it goes on by itself, to the end.
async fn goes_on_after_eight_days(env: &TestEnv) -> anyhow::Result<UserOffboardingStatus> {
    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("Inactive", "True/NoActivity")]);
    assert_gone(env, &status).await?;
    Ok(status)
}

/// Waits, says what was seen and from where, looks again every hour, and goes ahead by itself when the last request is
/// seven days old.
#[tokio::test(flavor = "multi_thread")]
async fn an_active_user_waits_and_is_offboarded_once_quiet_without_anyone_touching_the_object() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    make_a_request(&env).await?;

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_conditions(
        &status,
        &[
            ("Inactive", "False/ActiveInWindow"),
            ("Approved", "False/WaitingForInactivity"),
        ],
    );
    let activity = status.activity.as_ref().expect("activity");
    assert_eq!(activity.verb.as_deref(), Some("list"));
    // Where it came from is for those who may read the log itself.
    assert!(!serde_json::to_string(&status)?.contains("127.0.0.1"));
    assert!(activity.last_seen.is_some() && activity.last_audit_id.is_some() && status.waiting_since.is_some());
    assert!(message(&status, "Ready").contains("whenActive: Proceed"));
    sees!(env, "left", "a minute after a request");
    assert_untouched(&env).await?;
    let generation = env.offboardings().get("left").await?.metadata.generation;

    // The seven days pass.
    env.sim
        .age_records(CLUSTER_ID, |r| r.get("user.username") == Some(LEAVER), EIGHT_DAYS);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    assert_eq!(status.waiting_since, None);
    assert_eq!(
        env.offboardings().get("left").await?.metadata.generation,
        generation,
        "nobody touched it"
    );
    Ok(())
}

/// Counts it, although SLS may still be indexing.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_this_very_moment_counts() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    let path = "/api/v1/namespaces/team-a/configmaps";
    let seen = |r: &Record| r.get("user.username") == Some(LEAVER);
    assert_eq!(env.probe(LEAVER, path).await?, 200);
    env.sim.wait_for_record(CLUSTER_ID, seen, PATIENCE).await?;

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert_conditions(&status, &[("Inactive", "False/ActiveInWindow")]);
    assert_untouched(&env).await
}

/// Waits: without an audit log nobody can tell. Goes ahead by itself once the log is there and the window is quiet.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_activity_waits_until_it_is_known() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    env.sim
        .edit(|w| w.cluster_mut(CLUSTER_ID).expect("the cluster").audit_enabled = false);

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_conditions(&status, &[("Inactive", "Unknown/AuditDisabled")]);
    sees!(env, "left", "while the audit log is off");
    assert_untouched(&env).await?;

    env.sim
        .edit(|w| w.cluster_mut(CLUSTER_ID).expect("the cluster").audit_enabled = true);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Offboards although the identity is active, and has ACK purge with Force, which switches ACK's own guard off.
#[tokio::test(flavor = "multi_thread")]
async fn proceed_offboards_an_active_user_and_lets_ack_know() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    make_a_request(&env).await?;
    env.apply("left", json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}}))
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    assert_conditions(
        &status,
        &[
            ("Inactive", "False/ActiveInWindow"),
            ("Approved", "True/OverrideActive"),
        ],
    );
    sees!(env, "left", "after the end");
    assert_eq!(purges(&env)[0].parameter("force"), "true");
    Ok(())
}

/// Offboards although nobody can tell whether the identity is active, and has ACK purge with Force.
#[tokio::test(flavor = "multi_thread")]
async fn proceed_on_unknown_activity_says_so() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.sim
        .edit(|w| w.cluster_mut(CLUSTER_ID).expect("the cluster").audit_enabled = false);
    env.apply("left", json!({"uid": UID, "activityCheck": {"whenUnknown": "Proceed"}}))
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    assert_conditions(
        &status,
        &[
            ("Inactive", "Unknown/AuditDisabled"),
            ("Approved", "True/OverrideUnknown"),
        ],
    );
    sees!(env, "left", "after the end");
    assert_eq!(purges(&env)[0].parameter("force"), "true");
    Ok(())
}

/// Waits: the log's collector was down for two hours. Goes ahead once the records have come after all, although they were
/// missing at the first look.
#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_log_is_no_quiet_user() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    // Of a day that is over, which is not asked for again without a reason.
    let start = (now().div_euclid(DAY as i64) - 2) * DAY as i64 + 10 * 3_600;
    logstore(&env, |l| l.cut_gap(start..start + 2 * 3_600));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert_conditions(&status, &[("Inactive", "Unknown/AuditGap")]);
    sees!(env, "left", "with a hole of two hours");
    assert_untouched(&env).await?;

    logstore(&env, |l| l.heartbeats.gaps.clear());
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_is_found_however_wide_the_intervals_are_that_sls_counts_in() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.sim.edit(|w| w.histogram_seconds = Some(4 * 3_600));
    let start = (now().div_euclid(DAY as i64) - 2) * DAY as i64 + 10 * 3_600 + 1_800;
    logstore(&env, |l| l.cut_gap(start..start + 2 * 3_600));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert_conditions(&status, &[("Inactive", "Unknown/AuditGap")]);
    assert_untouched(&env).await?;

    logstore(&env, |l| l.heartbeats.gaps.clear());
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Waits, and raises a Warning: the identity is gone, so somebody else holds its kubeconfig.
#[tokio::test(flavor = "multi_thread")]
async fn activity_of_a_deleted_user_is_an_incident() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let request = http::Request::get(PATH).header("user-agent", "kubectl/v1.33.0 (linux/amd64)");
    let client = env.cluster.user_client(LEAVER, &[])?;
    client.request_text(request.body(Vec::new())?).await?;
    let of_leaver = |r: &Record| r.get("user.username") == Some(LEAVER);
    env.sim.wait_for_record(CLUSTER_ID, of_leaver, PATIENCE).await?;
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    sees_text!(
        "the event",
        wait_for_event(&env, "left", "Warning ActiveInWindow").await?
    );
    sees!(env, "left", "after the request");
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// The same, of a user who can still be restored: the request came after the deletion.
#[tokio::test(flavor = "multi_thread")]
async fn activity_after_the_move_to_the_recycle_bin_is_an_incident() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    make_a_request(&env).await?;
    recycle(&env, now() - 3_600);
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    sees_text!(
        "the event",
        wait_for_event(&env, "left", "Warning ActiveInWindow").await?
    );
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Waits, and raises no alarm: the leaver worked until the end, and was deleted from RAM after that.
#[tokio::test(flavor = "multi_thread")]
async fn activity_before_the_deletion_is_no_incident() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    make_a_request(&env).await?;
    recycle(&env, now());
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    sees_text!(
        "the event",
        wait_for_event(&env, "left", "Normal ActiveInWindow").await?
    );
    let all = events(&env, "left").await?;
    assert!(!all.iter().any(|event| event.starts_with("Warning")), "{all:?}");
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Moves the leaver to RAM's recycle bin at this time.
fn recycle(env: &TestEnv, recycled_at: i64) {
    let user = User::new(UID, "leaver");
    env.sim.edit(|w| {
        let principal_name = format!("leaver@{}", w.domain);
        w.recycle_bin.push(RecycledUser {
            recycled_at,
            ..RecycledUser::new(&user, principal_name)
        });
    });
}

/// Counts a request from the ACK console, which arrives as `kubernetes-admin`: only the authorizer's reason names the
/// leaver.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_from_the_ack_console_counts() -> anyhow::Result<()> {
    let env = leaver().await?;
    // What the real authorizer says of the leaver's binding, as the console's records have it.
    let client = acting_as(&env.cluster.admin_kubeconfig(), LEAVER).await?;
    assert_eq!(probe(&client, PATH).await?, 200);
    let of_leaver = |r: &Record| r.get(IMPERSONATED) == Some(LEAVER);
    env.sim.wait_for_record(CLUSTER_ID, of_leaver, PATIENCE).await?;
    let from_console = |r: Record| r.without(IMPERSONATED);
    assert_eq!(env.sim.change_records(CLUSTER_ID, of_leaver, from_console), 1);
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    sees!(env, "left", "after a look around in the console");
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Counts what somebody does in the leaver's name, and says who it was: it may be a tool that still works as the leaver,
/// or an administrator who only asked what the leaver may do.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_somebody_who_impersonates_the_leaver_counts() -> anyhow::Result<()> {
    let env = leaver().await?;
    let client = acting_as(&env.cluster.admin_kubeconfig(), LEAVER).await?;
    // The leaver may not do this, so that no authorizer's reason names the leaver either.
    assert_eq!(probe(&client, "/api/v1/nodes").await?, 403);
    let of_leaver = |r: &Record| r.get(IMPERSONATED) == Some(LEAVER);
    env.sim.wait_for_record(CLUSTER_ID, of_leaver, PATIENCE).await?;
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    sees!(env, "left", "after a request by an administrator");
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Counts what the leaver does in another's name: it is the leaver's certificate that was used.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_who_impersonates_somebody_else_is_active() -> anyhow::Result<()> {
    let env = leaver().await?;
    let kubeconfig = env.cluster.user_kubeconfig(LEAVER, &["system:masters"])?;
    let client = acting_as(&kubeconfig, "colleague").await?;
    assert_eq!(probe(&client, PATH).await?, 403, "the colleague may not");
    let of_leaver = |r: &Record| r.get("user.username") == Some(LEAVER) && r.get(IMPERSONATED) == Some("colleague");
    env.sim.wait_for_record(CLUSTER_ID, of_leaver, PATIENCE).await?;
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Does not count what others do about the leaver, in a log where a search for the UID finds all that: an administrator
/// edits the leaver's binding, and the operator itself reads it.
#[tokio::test(flavor = "multi_thread")]
async fn requests_about_the_leaver_do_not_count() -> anyhow::Result<()> {
    let env = leaver().await?;
    let index = Index::default().without(IMPERSONATED).without(AUTHORIZATION);
    logstore(&env, |l| l.index = Some(index.clone()));
    env.cluster_role_binding(UID, "view", &[user(UID)]).await?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"looked": "at"}}}));
    Api::<ClusterRoleBinding>::all(env.admin())
        .patch(UID, &PatchParams::default(), &label)
        .await?;
    env.apply("left", json!({"uid": UID, "mode": "DryRun"})).await?;
    let status = env.wait_for_state("left", "DryRunComplete").await?;
    assert_conditions(&status, &[("Inactive", "True/NoActivity")]);
    let found = |user: &'static str| {
        let index = index.clone();
        move |record: &Record| {
            let records = std::slice::from_ref(record);
            let finds = search::find(&format!("\"{UID}\""), records, &index).is_ok_and(|found| !found.is_empty());
            finds && record.get("user.username").is_some_and(|name| name.ends_with(user))
        }
    };
    for user in ["kubernetes-admin", ":ack-offboarding-operator"] {
        env.sim.wait_for_record(CLUSTER_ID, found(user), PATIENCE).await?;
    }
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("Inactive", "True/NoActivity")]);
    let all = events(&env, "left").await?;
    assert!(!all.iter().any(|event| event.contains("ActiveInWindow")), "{all:?}");
    assert_gone(&env, &status).await
}

/// Reads on behind a hundred records about the leaver, and finds the leaver's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_a_page_of_records_about_the_leaver_counts() -> anyhow::Result<()> {
    let env = leaver().await?;
    let (own, newest) = (now() - 3_600, now() - 60);
    logstore(&env, |l| {
        l.index = Some(Index::default().without(IMPERSONATED).without(AUTHORIZATION));
        for n in 0..100 {
            let about = Record::by("colleague").requesting("get", "clusterrolebindings", "", UID);
            l.records.push(about.at(newest - n));
        }
        l.records.push(Record::from_console(UID).at(own));
    });
    env.apply("left", json!({"uid": UID})).await?;
    let status = waits_for_inactivity(&env).await?;
    let seen = status.activity.and_then(|a| a.last_seen).map(|t| t.0.as_second());
    assert_eq!(seen, Some(own));
    let pages = |offset: &str| {
        let is = |c: &&ack_offboarding_e2e::simulator::Call| {
            c.operation == Operation::SlsGetLogsV2 && c.parameter("offset") == offset
        };
        env.sim.calls().iter().filter(is).count()
    };
    assert!(
        pages("100") > 0 && pages("200") == 0,
        "it ends with the page of the hit"
    );
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Counts requests with a certificate whose name stands in no binding: a search with a wildcard finds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_certificate_that_no_binding_names_counts() -> anyhow::Result<()> {
    let env = leaver().await?;
    let other = format!("{UID}-1800000000");
    assert_eq!(env.probe(&other, PATH).await?, 403);
    let refused = |r: &Record| r.get("user.username") == Some(other.as_str());
    env.sim.wait_for_record(CLUSTER_ID, refused, PATIENCE).await?;
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Does not count what is out of the window, although SLS returns it.
#[tokio::test(flavor = "multi_thread")]
async fn rows_out_of_the_window_do_not_count() -> anyhow::Result<()> {
    let env = leaver().await?;
    logstore(&env, |l| {
        l.ignores_times = true;
        l.records
            .push(Record::by(LEAVER).at(now() - EIGHT_DAYS.as_secs() as i64));
        l.records.push(Record::by(LEAVER).at(now() + 3_600));
    });
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("Inactive", "True/NoActivity")]);
    assert_gone(&env, &status).await
}

/// Counts what seems to lie in the future by some minutes: the operator's clock is behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_ahead_of_the_operators_clock_counts() -> anyhow::Result<()> {
    let env = leaver().await?;
    logstore(&env, |l| l.records.push(Record::by(LEAVER).at(now() + 600)));
    env.apply("left", json!({"uid": UID})).await?;
    waits_for_inactivity(&env).await?;
    goes_on_after_eight_days(&env).await?;
    Ok(())
}

/// Looks back for as long as the spec says: a request of ten days ago counts within thirty, and not within seven.
#[tokio::test(flavor = "multi_thread")]
async fn a_longer_window_looks_further_back() -> anyhow::Result<()> {
    let env = leaver().await?;
    let ten_days = Duration::from_secs(10 * DAY);
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(ten_days));
    env.apply("left", json!({"uid": UID, "activityCheck": {"windowDays": 30}}))
        .await?;
    let status = waits_for_inactivity(&env).await?;
    assert_eq!(status.activity.map(|a| a.window_days), Some(30));
    sees!(env, "left", "within thirty days");

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(status.activity.as_ref().map(|a| a.window_days), Some(7));
    assert_gone(&env, &status).await
}

/// Removes the bindings after a quiet day, as the spec says. ACK has a guard of seven days of its own, and the purge waits
/// for that one.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_one_day_is_shorter_than_acks_own() -> anyhow::Result<()> {
    let env = leaver().await?;
    let two_days = Duration::from_secs(2 * DAY);
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(two_days));
    env.apply("left", json!({"uid": UID, "activityCheck": {"windowDays": 1}}))
        .await?;
    let status = env.wait_for_state("left", "RefusedByAck").await?;
    assert_waiting(&status, "RefusedByAck");
    assert_conditions(
        &status,
        &[
            ("Inactive", "True/NoActivity"),
            ("BindingsRemoved", "True/Removed"),
            ("KubeconfigPurged", "False/RefusedByAck"),
        ],
    );
    sees!(env, "left", "on the second day");
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());

    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(
        purges(&env).last().map(|c| c.parameter("force").to_owned()),
        Some("false".into())
    );
    assert_gone(&env, &status).await
}

/// Looks through half a year, if the log keeps so much.
#[tokio::test(flavor = "multi_thread")]
async fn the_longest_window_needs_a_log_that_is_kept_as_long() -> anyhow::Result<()> {
    let env = leaver().await?;
    logstore(&env, |l| {
        l.ttl_days = 179;
        l.records
            .push(Record::by(LEAVER).ago(Duration::from_secs(179 * DAY - 3_600)));
    });
    env.apply("left", json!({"uid": UID, "activityCheck": {"windowDays": 180}}))
        .await?;
    // A request is proof, whether the rest of the window is covered or not.
    waits_for_inactivity(&env).await?;
    env.sim.age_records(CLUSTER_ID, |_| true, Duration::from_secs(2 * DAY));
    let what = "a log that is not kept for long enough";
    env.wait_for("left", what, |s| {
        condition(s, "Inactive") == "Unknown/RetentionTooShort"
    })
    .await?;
    assert_untouched(&env).await?;

    logstore(&env, |l| l.ttl_days = 180);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("Inactive", "True/NoActivity")]);
    assert_gone(&env, &status).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_ack_refuses_is_forced_once_a_person_says_proceed() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    // ACK's own guard counts every record that mentions the UID: the operator's backup is one.
    env.sim.edit(|w| w.purge.guard = Guard::AnyMention);
    let mentions = |r: &Record| r.get("requestURI").is_some_and(|uri| uri.contains(UID));
    env.apply("left", json!({"uid": UID, "suspend": true})).await?;
    env.wait_for_state("left", "Suspended").await?;
    assert_untouched(&env).await?;
    env.sim.add_record(
        CLUSTER_ID,
        Record::by("admin")
            .set("requestURI", &format!("/x/{UID}"))
            .ago(Duration::from_secs(60)),
    );
    env.sim.wait_for_record(CLUSTER_ID, mentions, PATIENCE).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "RefusedByAck").await?;
    assert_waiting(&status, "RefusedByAck");
    assert_conditions(
        &status,
        &[
            ("KubeconfigPurged", "False/RefusedByAck"),
            ("BindingsRemoved", "True/Removed"),
        ],
    );
    assert_eq!(
        env.bindings_of(UID).await?,
        Vec::<String>::new(),
        "the bindings are gone all the same"
    );

    env.apply("left", json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}}))
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    let forced: Vec<_> = purges(&env).iter().map(|c| c.parameter("force").to_owned()).collect();
    assert_eq!(
        (forced.first().map(String::as_str), forced.last().map(String::as_str)),
        (Some("false"), Some("true"))
    );
    Ok(())
}

//! What finding nothing in the audit log is worth: whether the log could have shown a request, under every name that the identity may
//! have, and whether SLS's answers agree with each other.

use crate::sight::{self, sees, sees_text};
use crate::support::{
    LEAVER, TestStage, UID, assert_conditions, assert_gone, assert_stalled, assert_untouched, assert_waiting,
    give_access, message, running, running_with, stage,
};
use ack_offboarding_e2e::{
    cluster::eventually,
    observer::Invariant,
    simulator::{
        Fault, FaultKind, Operation, Record,
        world::{Index, Logstore, Role, RowForm},
    },
    stage::{CLUSTER_ID, PATIENCE, add_user, condition, user},
};
use ack_offboarding_operator::api::UserOffboardingStatus;
use alibaba_cloud::{Cloud, CloudSettings, CredentialsSource, EndpointOverrides, Environment};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use std::time::Duration;

const DAY: i64 = 86_400;
const EIGHT_DAYS: Duration = Duration::from_secs(8 * DAY as u64);
const AN_HOUR: Duration = Duration::from_secs(3_600);
const AUTHORIZATION: &str = "annotations.authorization.k8s.io/reason";

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A leaver whom RAM knows, with access, and a running operator.
async fn leaver() -> anyhow::Result<TestStage> {
    let stage = running().await;
    add_user(&stage.sim, UID, "leaver");
    give_access(&stage).await?;
    Ok(stage)
}

/// Changes the logstore of the audit log.
fn logstore<T>(stage: &TestStage, change: impl FnOnce(&mut Logstore) -> T) -> T {
    let changed = stage.sim.edit(|w| w.audit_logstore_mut(CLUSTER_ID).map(change));
    changed.expect("the logstore")
}

/// Waits until activity is unknown for this reason, in these words, and asserts that nothing was touched.
async fn unknown(stage: &TestStage, reason: &str, words: &str) -> anyhow::Result<UserOffboardingStatus> {
    let expected = format!("Unknown/{reason}");
    let status = stage
        .wait_for("left", &format!("{expected} with {words:?}"), |s| {
            condition(s, "Inactive") == expected && message(s, "Ready").contains(words)
        })
        .await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_untouched(stage).await?;
    Ok(status)
}

/// Waits until a request was found, and asserts that nothing was touched.
async fn active(stage: &TestStage) -> anyhow::Result<UserOffboardingStatus> {
    let status = stage
        .wait_for("left", "a request", |s| {
            condition(s, "Inactive") == "False/ActiveInWindow"
        })
        .await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_untouched(stage).await?;
    Ok(status)
}

/// It goes on by itself, to the end.
async fn goes_on(stage: &TestStage) -> anyhow::Result<()> {
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_conditions(
        &status,
        &[("Inactive", "True/NoActivity"), ("Approved", "True/Automatic")],
    );
    assert_gone(stage, &status).await
}

/// Waits: the collector writes whole events into one field, so that a search by user name finds nobody, whoever makes requests.
#[tokio::test(flavor = "multi_thread")]
async fn records_whose_fields_are_not_parsed_prove_nothing() -> anyhow::Result<()> {
    let stage = leaver().await?;
    stage.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&stage, Logstore::stop_parsing);
    stage.apply("left", json!({"uid": UID})).await?;
    unknown(&stage, "NotSearchable", "fields are not parsed").await?;
    sees!(stage, "left", "with whole events in one field");

    // The collector is repaired, and a window passes.
    logstore(&stage, |l| {
        l.records.retain(|_| false);
        l.heartbeats.unparsed = false;
    });
    goes_on(&stage).await
}

/// Waits: each hour has requests of somebody, but none of the control plane, which makes them all the time. What a search by name
/// finds there is not all that happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_the_control_plane_proves_nothing() -> anyhow::Result<()> {
    let stage = leaver().await?;
    logstore(&stage, |l| l.heartbeats.who = Some("kubernetes-admin".into()));
    stage.apply("left", json!({"uid": UID})).await?;
    unknown(&stage, "NotSearchable", "no request of the control plane").await?;
    sees!(stage, "left", "with requests of one user only");

    logstore(&stage, |l| l.heartbeats.who = None);
    goes_on(&stage).await
}

/// Offboards an idle leaver an hour after the operator was installed: the log of before that has no request of the operator, and need
/// not have one.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_was_just_installed_offboards_an_idle_leaver() -> anyhow::Result<()> {
    let stage = leaver().await?;
    let of_operator = |r: &Record| {
        let user = r.get("user.username").unwrap_or_default();
        user.ends_with(":ack-offboarding-operator")
    };
    stage.sim.wait_for_record(CLUSTER_ID, of_operator, PATIENCE).await?;
    let earliest = stage.sim.read(|w| {
        let records = w.audit_logstore(CLUSTER_ID).expect("the logstore").records.iter();
        records.filter(|r| of_operator(r)).map(Record::time).min()
    });
    assert!(
        earliest.is_some_and(|time| time > now() - 3_600),
        "the log has no older ones"
    );
    stage.apply("left", json!({"uid": UID})).await?;
    goes_on(&stage).await
}

/// Waits for each kind of record that the search finds and that cannot be read: it may be a request of the leaver.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_no_inactivity() -> anyhow::Result<()> {
    let stage = leaver().await?;
    stage.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&stage, |l| l.row_form = Some(RowForm::NoTime));
    stage.apply("left", json!({"uid": UID})).await?;
    unknown(&stage, "RecordUnreadable", "it has no __time__").await?;
    sees!(stage, "left", "with a record without a time");
    for (form, words) in [
        (RowForm::FractionalTime, "its __time__ is not a whole number of seconds"),
        (RowForm::NullTime, "it has no __time__"),
        (RowForm::Milliseconds, "its __time__ is not in seconds"),
        (RowForm::UserList, "its user.username is not text"),
        (RowForm::NoUser, "it has no user.username"),
        (RowForm::UserObject, "its user.username is not text"),
        (RowForm::UserListText, "its user.username is a list or an object"),
    ] {
        logstore(&stage, |l| l.row_form = Some(form));
        unknown(&stage, "RecordUnreadable", words).await?;
    }
    logstore(&stage, |l| l.row_form = Some(RowForm::NumericTime));
    active(&stage).await?;

    logstore(&stage, |l| l.row_form = None);
    stage.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&stage).await
}

/// Waits: SLS counts more records than it returns. The request may be among those that it keeps back.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_returns_less_than_there_is_proves_nothing() -> anyhow::Result<()> {
    let stage = leaver().await?;
    stage.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&stage, |l| l.finds_at_most = Some(0));
    stage.apply("left", json!({"uid": UID})).await?;
    unknown(&stage, "ResultInconsistent", "counts more records (1)").await?;
    sees!(stage, "left", "with a count and no row");
    // Fifty that are no requests of the leaver, and one row of them.
    let reason = format!("RBAC: allowed by ClusterRoleBinding \"x\" of ClusterRole \"y\" to Group \"{UID}\"");
    logstore(&stage, |l| {
        l.records.retain(|r| r.get("user.username") != Some(LEAVER));
        for n in 0..50 {
            let of_group = Record::by("colleague").set(AUTHORIZATION, &reason);
            l.records.push(of_group.at(now() - 60 - n));
        }
        l.finds_at_most = Some(1);
    });
    unknown(&stage, "ResultInconsistent", "counts more records (50)").await?;

    logstore(&stage, |l| l.finds_at_most = None);
    goes_on(&stage).await
}

/// Waits: the field is indexed as a number, and a search for a name finds nothing in it, without a word of SLS about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_indexed_as_text_cannot_be_searched() -> anyhow::Result<()> {
    let stage = leaver().await?;
    stage.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&stage, |l| {
        l.index = Some(Index::default().of_type("user.username", "long"))
    });
    stage.apply("left", json!({"uid": UID})).await?;
    unknown(&stage, "FieldNotIndexed", "type long").await?;
    sees!(stage, "left", "with a number where a name is looked for");

    logstore(&stage, |l| l.index = Some(Index::default()));
    stage.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&stage).await
}

/// Waits: SLS counts four hours at once where one was asked for, and a gap of two hours is not to be seen in that.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_more_than_was_asked_for_is_not_believed() -> anyhow::Result<()> {
    let stage = leaver().await?;
    stage.sim.edit(|w| {
        w.histogram_seconds = Some(4 * 3_600);
        w.histogram_reaches_beyond = true;
    });
    let start = (now().div_euclid(DAY) - 2) * DAY + 9 * 3_600;
    logstore(&stage, |l| l.cut_gap(start..start + 2 * 3_600));
    stage.apply("left", json!({"uid": UID})).await?;
    unknown(&stage, "ResultInconsistent", "but SLS counted from").await?;

    stage.sim.edit(|w| w.histogram_reaches_beyond = false);
    unknown(&stage, "AuditGap", "a gap").await?;
    logstore(&stage, |l| l.heartbeats.gaps.clear());
    goes_on(&stage).await
}

/// Counts requests under any name that begins with the UID and a dash: ACK's page calls what follows random.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_a_name_with_letters_counts() -> anyhow::Result<()> {
    let stage = leaver().await?;
    let (letters, twice) = (format!("{UID}-c7f1a2b9"), format!("{UID}-1700000000-2"));
    stage.sim.add_record(CLUSTER_ID, Record::by(&letters).ago(AN_HOUR));
    stage.apply("left", json!({"uid": UID})).await?;
    active(&stage).await?;
    sees!(stage, "left", "after a request under a name with letters");

    stage.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    stage.sim.add_record(CLUSTER_ID, Record::by(&twice).ago(AN_HOUR));
    let found = |s: &UserOffboardingStatus| message(s, "Ready").contains(&format!("as {twice}"));
    stage.wait_for("left", "the other name", found).await?;
    assert_untouched(&stage).await?;

    stage.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&stage).await
}

/// Does not count what the spec says is somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_a_name_that_the_spec_ignores_does_not_count() -> anyhow::Result<()> {
    let stage = leaver().await?;
    let robot = format!("{UID}-robot");
    stage.sim.add_record(CLUSTER_ID, Record::by(&robot).ago(AN_HOUR));
    stage.apply("left", json!({"uid": UID})).await?;
    active(&stage).await?;

    stage
        .apply("left", json!({"uid": UID, "names": {"ignore": [robot]}}))
        .await?;
    goes_on(&stage).await
}

/// Waits: the search by the start of the name fails, and it is the one that finds names that no binding has.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_search_with_a_wildcard_is_not_ignored() -> anyhow::Result<()> {
    let stage = leaver().await?;
    let other = format!("{UID}-1800000000");
    stage.sim.add_record(CLUSTER_ID, Record::by(&other).ago(AN_HOUR));
    let fault = Fault::new(Operation::SlsGetLogsV2, FaultKind::Forbidden).about(&format!("{UID}-*"));
    stage.sim.fault(fault);
    stage.apply("left", json!({"uid": UID})).await?;
    unknown(&stage, "QueryFailed", "GetLogsV2").await?;

    stage.sim.clear_faults();
    active(&stage).await?;
    stage.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&stage).await
}

/// Asks a bounded number of questions, however many names there are, and finds a request under any of them.
#[tokio::test(flavor = "multi_thread")]
async fn twelve_thousand_names_cost_no_more_searches_than_a_hundred() -> anyhow::Result<()> {
    let stage = running_with(&["--recheck-interval=1h"]).await;
    add_user(&stage.sim, UID, "leaver");
    let subjects: Vec<_> = (100_000..112_000).map(|n| user(&format!("{UID}-{n}"))).collect();
    stage.role_binding("team-a", "many", "view", &subjects).await?;
    let dry_run = json!({"uid": UID, "mode": "DryRun"});
    stage.apply("left", dry_run.clone()).await?;
    let status = stage.wait_for_state("left", "DryRunComplete").await?;
    assert_conditions(&status, &[("Inactive", "True/NoActivity")]);
    let searches = |stage: &TestStage| {
        let calls = stage.sim.calls().into_iter();
        calls.filter(|c| c.operation == Operation::SlsGetLogsV2).count()
    };
    let one_look = searches(&stage);
    assert!((1..=25).contains(&one_look), "{one_look} searches");

    // One of those that are not asked for by name.
    stage
        .sim
        .add_record(CLUSTER_ID, Record::by(&format!("{UID}-104711")).ago(AN_HOUR));
    stage
        .apply(
            "left",
            json!({"uid": UID, "mode": "DryRun", "activityCheck": {"windowDays": 6}}),
        )
        .await?;
    let status = stage
        .wait_for("left", "a request", |s| {
            condition(s, "Inactive") == "False/ActiveInWindow"
        })
        .await?;
    assert!(status.activity.is_some_and(|a| a.last_seen.is_some()));

    // One of those of which only the number is kept, from the ACK console: only the authorizer's reason has it.
    stage.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    let name = format!("{UID}-111999");
    stage
        .sim
        .add_record(CLUSTER_ID, Record::from_console(&name).ago(AN_HOUR));
    let spec = json!({"uid": UID, "mode": "DryRun", "activityCheck": {"windowDays": 5}});
    stage.apply("left", spec).await?;
    stage
        .wait_for("left", "a request from the console", |s| {
            let activity = s.activity.as_ref();
            activity.is_some_and(|a| a.window_days == 5) && condition(s, "Inactive") == "False/ActiveInWindow"
        })
        .await?;
    Ok(())
}

/// Gives each object that is edited all the time an equal share of the calls that the operator allows itself: one that is not is looked at
/// at once, and nobody sees the limit.
#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_edited_all_the_time_do_not_use_the_cloud_up() -> anyhow::Result<()> {
    const BUSY: u64 = 4;
    const LIMIT: u64 = 300;
    let limit = format!("--cloud-calls-per-minute={LIMIT}");
    let stage = running_with(&[&limit, "--recheck-interval=1h"]).await;
    let uid = |n: u64| format!("2041000000000001{n:02}");
    for n in 0..=BUSY {
        add_user(&stage.sim, &uid(n), "leaver");
        let name = format!("leaver-{n}");
        stage.role_binding("team-a", &name, "view", &[user(&uid(n))]).await?;
        stage.sim.add_record(CLUSTER_ID, Record::by(&uid(n)).ago(AN_HOUR));
    }
    let calls = || {
        let calls = stage.sim.calls().into_iter();
        calls.filter(|c| c.operation != Operation::StsGetCallerIdentity).count() as u64
    };
    let started = std::time::Instant::now();
    let apply = async |n: u64, days: u64| {
        let spec = json!({"uid": uid(n), "activityCheck": {"windowDays": days}});
        stage.apply(&format!("left-{n}"), spec).await.map(drop)
    };
    // Each edit is another question. So many that each of them has used up what it has at once.
    for edits in 0..12 {
        for n in 0..BUSY {
            apply(n, 1 + edits).await?;
        }
    }
    let answered = async |n: u64| -> anyhow::Result<Option<()>> {
        let status = stage
            .offboardings()
            .get(&format!("left-{n}"))
            .await?
            .status
            .unwrap_or_default();
        let limited = message(&status, "Ready").contains("calls a minute");
        anyhow::ensure!(!limited, "left-{n} waits for the others: {status:?}");
        Ok((condition(&status, "Inactive") == "False/ActiveInWindow").then_some(()))
    };
    apply(BUSY, 7).await?;
    let mut edits = 12;
    eventually("an answer about the one that nobody edits", PATIENCE, async || {
        edits += 1;
        for n in 0..BUSY {
            apply(n, 1 + edits % 60).await?;
        }
        answered(BUSY).await
    })
    .await?;
    for n in 0..BUSY {
        eventually(&format!("an answer about left-{n}"), 3 * PATIENCE, async || {
            answered(n).await
        })
        .await?;
    }
    let (made, seconds) = (calls(), started.elapsed().as_secs());
    assert!(
        made <= LIMIT + (seconds + 6) * LIMIT / 60,
        "{made} calls in {seconds} s"
    );
    Ok(())
}

/// Stops before anything is touched: what is bound to the UID may be the user's or the role's.
#[tokio::test(flavor = "multi_thread")]
async fn a_uid_that_is_a_user_and_a_role_is_refused() -> anyhow::Result<()> {
    let stage = leaver().await?;
    stage.sim.edit(|w| w.roles.push(Role::new(UID, "shared-role")));
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "AmbiguousIdentity").await?;
    assert_stalled(&status, "AmbiguousIdentity");
    assert_untouched(&stage).await?;
    sees!(stage, "left", "while it is both");
    stage
        .apply("left", json!({"uid": UID, "identityType": "RamRole"}))
        .await?;
    let asked_anew = |s: &UserOffboardingStatus| condition(s, "Stalled") == "True/AmbiguousIdentity";
    stage.wait_for("left", "the same for a role", asked_anew).await?;
    // In the recycle bin, the user is one all the same.
    stage.sim.edit(|w| w.delete_user(UID));
    stage.apply("left", json!({"uid": UID})).await?;
    stage.wait_for("left", "the same of a deleted user", asked_anew).await?;
    assert_untouched(&stage).await
}

/// Waits, and says so: a name of 3 MB is cut where it comes in, so that the status can be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_name_of_three_megabytes_does_not_keep_the_status_from_being_written() -> anyhow::Result<()> {
    let stage = leaver().await?;
    let answer = json!({"audit_enabled": true, "sls_project_name": "p".repeat(3 << 20)});
    let fault = Fault::new(Operation::CsGetClusterAuditProject, FaultKind::Answer(answer));
    stage.sim.fault(fault);
    stage.apply("left", json!({"uid": UID})).await?;
    let status = unknown(&stage, "QueryFailed", "not the name of an SLS project").await?;
    let project = status.activity.and_then(|a| a.project).unwrap_or_default();
    assert_eq!(project.chars().count(), 64, "{project}");

    stage.sim.clear_faults();
    goes_on(&stage).await
}

/// The simulator's purge takes bindings by their whole names: of names that hold what separates the parts of a URL, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_purge_deletes_the_binding_it_found_and_no_other() -> anyhow::Result<()> {
    let mut stage = stage().await;
    stage.breaks_on_purpose(Invariant::I3, "no operator runs: the purge is the test's own");
    give_access(&stage).await?;
    let colleague = "204100000000000001";
    for name in ["evil#2", "evil?x=1", "e vil\"\\", "evil;,:+&=@$!'()*", "évil"] {
        stage.cluster_role_binding(name, "view", &[user(UID)]).await?;
        stage.role_binding("team-a", name, "view", &[user(UID)]).await?;
    }
    stage.cluster_role_binding("evil", "view", &[user(colleague)]).await?;
    stage.role_binding("team-a", "evil", "view", &[user(colleague)]).await?;
    let mut settings = CloudSettings::new("cn-hangzhou");
    settings.endpoints = EndpointOverrides {
        ack: Some(stage.sim.url()),
        ..EndpointOverrides::default()
    };
    settings.credentials = CredentialsSource::Env;
    settings.environment = Environment::from_iter([
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", ack_offboarding_e2e::stage::ACCESS_KEY),
        (
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            ack_offboarding_e2e::stage::ACCESS_SECRET,
        ),
        (
            "ALIBABA_CLOUD_SECURITY_TOKEN",
            ack_offboarding_e2e::stage::SECURITY_TOKEN,
        ),
    ]);
    let ack = Cloud::connect(&settings, std::sync::Arc::new(()))?.ack;
    ack.clean_cluster_user_permissions(CLUSTER_ID, &UID.parse()?, true)
        .await?;
    assert_eq!(stage.bindings_of(UID).await?, Vec::<String>::new());
    assert_eq!(
        stage.bindings_of(colleague).await?,
        ["ClusterRoleBinding evil", "RoleBinding team-a/evil"]
    );
    Ok(())
}

/// Says that its own limit of calls is reached, waits, and looks again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_calls_is_reached_in_the_midst_of_a_look() -> anyhow::Result<()> {
    const LEAVERS: u64 = 8;
    let stage = running_with(&["--cloud-calls-per-minute=60"]).await;
    let uid = |n: u64| format!("20410000000000020{n}");
    for n in 0..LEAVERS {
        let name = format!("leaver-{n}");
        stage.role_binding("team-a", &name, "view", &[user(&uid(n))]).await?;
    }
    for n in 0..LEAVERS {
        stage.apply(&format!("left-{n}"), json!({"uid": uid(n)})).await?;
    }
    let (n, object) = eventually("the limit in a status", PATIENCE, async || {
        for n in 0..LEAVERS {
            let object = stage.offboardings().get(&format!("left-{n}")).await?;
            let status = object.status.clone().unwrap_or_default();
            if condition(&status, "Inactive") == "Unknown/CloudBudgetSpent" {
                return Ok(Some((n, object)));
            }
        }
        Ok(None)
    })
    .await?;
    sight::record(&object)?;
    let status = object.status.unwrap_or_default();
    let said = message(&status, "Inactive").replace(&uid(n), "2041...");
    let limit = said
        .split_once("limit of 60 calls")
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    assert!(!limit.is_empty(), "{said}");
    sees_text!(
        "when the limit is reached",
        format!("Inactive=Unknown/CloudBudgetSpent: ... limit of 60 calls{limit}\n")
    );
    Ok(())
}

//! What finding nothing in the audit log is worth: whether the log could have shown a request, under every name that the identity may
//! have, and whether SLS's answers agree with each other.

use crate::sight::{self, sees, sees_text};
use crate::support::{
    LEAVER, TestEnv, UID, assert_conditions, assert_gone, assert_stalled, assert_untouched, assert_waiting, env,
    give_access, message, running, running_with,
};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{CLUSTER_ID, PATIENCE, add_user, condition, user},
    observer::Invariant,
    simulator::{
        Fault, FaultKind, Operation, Record,
        world::{Index, Logstore, Role, RowForm},
    },
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

/// Waits until activity is unknown for this reason, in these words, and asserts that nothing was touched.
async fn unknown(env: &TestEnv, reason: &str, words: &str) -> anyhow::Result<UserOffboardingStatus> {
    let expected = format!("Unknown/{reason}");
    let status = env
        .wait_for("left", &format!("{expected} with {words:?}"), |s| {
            condition(s, "Inactive") == expected && message(s, "Ready").contains(words)
        })
        .await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_untouched(env).await?;
    Ok(status)
}

/// Waits until a request was found, and asserts that nothing was touched.
async fn active(env: &TestEnv) -> anyhow::Result<UserOffboardingStatus> {
    let status = env
        .wait_for("left", "a request", |s| {
            condition(s, "Inactive") == "False/ActiveInWindow"
        })
        .await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_untouched(env).await?;
    Ok(status)
}

/// It goes on by itself, to the end.
async fn goes_on(env: &TestEnv) -> anyhow::Result<()> {
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(
        &status,
        &[("Inactive", "True/NoActivity"), ("Approved", "True/Automatic")],
    );
    assert_gone(env, &status).await
}

/// Waits: the collector writes whole events into one field, so that a search by user name finds nobody, whoever makes requests.
#[tokio::test(flavor = "multi_thread")]
async fn records_whose_fields_are_not_parsed_prove_nothing() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&env, Logstore::stop_parsing);
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "NotSearchable", "fields are not parsed").await?;
    sees!(env, "left", "with whole events in one field");

    // The collector is repaired, and a window passes.
    logstore(&env, |l| {
        l.records.retain(|_| false);
        l.heartbeats.unparsed = false;
    });
    goes_on(&env).await
}

/// Waits: each hour has requests of somebody, but none of the control plane, which makes them all the time. What a search by name
/// finds there is not all that happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_the_control_plane_proves_nothing() -> anyhow::Result<()> {
    let env = leaver().await?;
    logstore(&env, |l| l.heartbeats.who = Some("kubernetes-admin".into()));
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "NotSearchable", "no request of the control plane").await?;
    sees!(env, "left", "with requests of one user only");

    logstore(&env, |l| l.heartbeats.who = None);
    goes_on(&env).await
}

/// Offboards an idle leaver an hour after the operator was installed: the log of before that has no request of the operator, and need
/// not have one.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_was_just_installed_offboards_an_idle_leaver() -> anyhow::Result<()> {
    let env = leaver().await?;
    let of_operator = |r: &Record| {
        let user = r.get("user.username").unwrap_or_default();
        user.ends_with(":ack-offboarding-operator")
    };
    env.sim.wait_for_record(CLUSTER_ID, of_operator, PATIENCE).await?;
    let earliest = env.sim.read(|w| {
        let records = w.audit_logstore(CLUSTER_ID).expect("the logstore").records.iter();
        records.filter(|r| of_operator(r)).map(Record::time).min()
    });
    assert!(
        earliest.is_some_and(|time| time > now() - 3_600),
        "the log has no older ones"
    );
    env.apply("left", json!({"uid": UID})).await?;
    goes_on(&env).await
}

/// Waits for each kind of record that the search finds and that cannot be read: it may be a request of the leaver.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_is_no_inactivity() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&env, |l| l.row_form = Some(RowForm::NoTime));
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "RecordUnreadable", "it has no __time__").await?;
    sees!(env, "left", "with a record without a time");
    for (form, words) in [
        (RowForm::FractionalTime, "its __time__ is not a whole number of seconds"),
        (RowForm::NullTime, "it has no __time__"),
        (RowForm::Milliseconds, "its __time__ is not in seconds"),
        (RowForm::UserList, "its user.username is not text"),
        (RowForm::NoUser, "it has no user.username"),
        (RowForm::UserObject, "its user.username is not text"),
        (RowForm::UserListText, "its user.username is a list or an object"),
    ] {
        logstore(&env, |l| l.row_form = Some(form));
        unknown(&env, "RecordUnreadable", words).await?;
    }
    logstore(&env, |l| l.row_form = Some(RowForm::NumericTime));
    active(&env).await?;

    logstore(&env, |l| l.row_form = None);
    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&env).await
}

/// Waits: SLS counts more records than it returns. The request may be among those that it keeps back.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_returns_less_than_there_is_proves_nothing() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&env, |l| l.finds_at_most = Some(0));
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "ResultInconsistent", "counts more records (1)").await?;
    sees!(env, "left", "with a count and no row");
    // Fifty that are no requests of the leaver, and one row of them.
    let reason = format!("RBAC: allowed by ClusterRoleBinding \"x\" of ClusterRole \"y\" to Group \"{UID}\"");
    logstore(&env, |l| {
        l.records.retain(|r| r.get("user.username") != Some(LEAVER));
        for n in 0..50 {
            let of_group = Record::by("colleague").set(AUTHORIZATION, &reason);
            l.records.push(of_group.at(now() - 60 - n));
        }
        l.finds_at_most = Some(1);
    });
    unknown(&env, "ResultInconsistent", "counts more records (50)").await?;

    logstore(&env, |l| l.finds_at_most = None);
    goes_on(&env).await
}

/// Waits: the field is indexed as a number, and a search for a name finds nothing in it, without a word of SLS about it.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_not_indexed_as_text_cannot_be_searched() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&env, |l| {
        l.index = Some(Index::default().of_type("user.username", "long"))
    });
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "FieldNotIndexed", "type long").await?;
    sees!(env, "left", "with a number where a name is looked for");

    logstore(&env, |l| l.index = Some(Index::default()));
    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&env).await
}

/// Waits: SLS counts four hours at once where one was asked for, and a gap of two hours is not to be seen in that.
#[tokio::test(flavor = "multi_thread")]
async fn a_count_of_more_than_was_asked_for_is_not_believed() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.edit(|w| {
        w.histogram_seconds = Some(4 * 3_600);
        w.histogram_reaches_beyond = true;
    });
    let start = (now().div_euclid(DAY) - 2) * DAY + 9 * 3_600;
    logstore(&env, |l| l.cut_gap(start..start + 2 * 3_600));
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "ResultInconsistent", "but SLS counted from").await?;

    env.sim.edit(|w| w.histogram_reaches_beyond = false);
    unknown(&env, "AuditGap", "a gap").await?;
    logstore(&env, |l| l.heartbeats.gaps.clear());
    goes_on(&env).await
}

/// Counts requests under any name that begins with the UID and a dash: ACK's page calls what follows random.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_a_name_with_letters_counts() -> anyhow::Result<()> {
    let env = leaver().await?;
    let (letters, twice) = (format!("{UID}-c7f1a2b9"), format!("{UID}-1700000000-2"));
    env.sim.add_record(CLUSTER_ID, Record::by(&letters).ago(AN_HOUR));
    env.apply("left", json!({"uid": UID})).await?;
    active(&env).await?;
    sees!(env, "left", "after a request under a name with letters");

    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    env.sim.add_record(CLUSTER_ID, Record::by(&twice).ago(AN_HOUR));
    let found = |s: &UserOffboardingStatus| message(s, "Ready").contains(&format!("as {twice}"));
    env.wait_for("left", "the other name", found).await?;
    assert_untouched(&env).await?;

    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&env).await
}

/// Does not count what the spec says is somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_under_a_name_that_the_spec_ignores_does_not_count() -> anyhow::Result<()> {
    let env = leaver().await?;
    let robot = format!("{UID}-robot");
    env.sim.add_record(CLUSTER_ID, Record::by(&robot).ago(AN_HOUR));
    env.apply("left", json!({"uid": UID})).await?;
    active(&env).await?;

    env.apply("left", json!({"uid": UID, "names": {"ignore": [robot]}}))
        .await?;
    goes_on(&env).await
}

/// Waits: the search by the start of the name fails, and it is the one that finds names that no binding has.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_search_with_a_wildcard_is_not_ignored() -> anyhow::Result<()> {
    let env = leaver().await?;
    let other = format!("{UID}-1800000000");
    env.sim.add_record(CLUSTER_ID, Record::by(&other).ago(AN_HOUR));
    let fault = Fault::new(Operation::SlsGetLogsV2, FaultKind::Forbidden).about(&format!("{UID}-*"));
    env.sim.fault(fault);
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "QueryFailed", "GetLogsV2").await?;

    env.sim.clear_faults();
    active(&env).await?;
    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    goes_on(&env).await
}

/// Asks a bounded number of questions, however many names there are, and finds a request under any of them.
#[tokio::test(flavor = "multi_thread")]
async fn twelve_thousand_names_cost_no_more_searches_than_a_hundred() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1h"]).await;
    add_user(&env.sim, UID, "leaver");
    let subjects: Vec<_> = (100_000..112_000).map(|n| user(&format!("{UID}-{n}"))).collect();
    env.role_binding("team-a", "many", "view", &subjects).await?;
    let dry_run = json!({"uid": UID, "mode": "DryRun"});
    env.apply("left", dry_run.clone()).await?;
    let status = env.wait_for_state("left", "DryRunComplete").await?;
    assert_conditions(&status, &[("Inactive", "True/NoActivity")]);
    let searches = |env: &TestEnv| {
        let calls = env.sim.calls().into_iter();
        calls.filter(|c| c.operation == Operation::SlsGetLogsV2).count()
    };
    let one_look = searches(&env);
    assert!((1..=25).contains(&one_look), "{one_look} searches");

    // One of those that are not asked for by name.
    env.sim
        .add_record(CLUSTER_ID, Record::by(&format!("{UID}-104711")).ago(AN_HOUR));
    env.apply(
        "left",
        json!({"uid": UID, "mode": "DryRun", "activityCheck": {"windowDays": 6}}),
    )
    .await?;
    let status = env
        .wait_for("left", "a request", |s| {
            condition(s, "Inactive") == "False/ActiveInWindow"
        })
        .await?;
    assert!(status.activity.is_some_and(|a| a.last_seen.is_some()));

    // One of those of which only the number is kept, from the ACK console: only the authorizer's reason has it.
    env.sim.age_records(CLUSTER_ID, |_| true, EIGHT_DAYS);
    let name = format!("{UID}-111999");
    env.sim.add_record(CLUSTER_ID, Record::from_console(&name).ago(AN_HOUR));
    let spec = json!({"uid": UID, "mode": "DryRun", "activityCheck": {"windowDays": 5}});
    env.apply("left", spec).await?;
    env.wait_for("left", "a request from the console", |s| {
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
    let env = running_with(&[&limit, "--recheck-interval=1h"]).await;
    let uid = |n: u64| format!("2041000000000001{n:02}");
    for n in 0..=BUSY {
        add_user(&env.sim, &uid(n), "leaver");
        let name = format!("leaver-{n}");
        env.role_binding("team-a", &name, "view", &[user(&uid(n))]).await?;
        env.sim.add_record(CLUSTER_ID, Record::by(&uid(n)).ago(AN_HOUR));
    }
    let calls = || {
        let calls = env.sim.calls().into_iter();
        calls.filter(|c| c.operation != Operation::StsGetCallerIdentity).count() as u64
    };
    let started = std::time::Instant::now();
    let apply = async |n: u64, days: u64| {
        let spec = json!({"uid": uid(n), "activityCheck": {"windowDays": days}});
        env.apply(&format!("left-{n}"), spec).await.map(drop)
    };
    // Each edit is another question. So many that each of them has used up what it has at once.
    for edits in 0..12 {
        for n in 0..BUSY {
            apply(n, 1 + edits).await?;
        }
    }
    let answered = async |n: u64| -> anyhow::Result<Option<()>> {
        let status = env
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
    let env = leaver().await?;
    env.sim.edit(|w| w.roles.push(Role::new(UID, "shared-role")));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "AmbiguousIdentity").await?;
    assert_stalled(&status, "AmbiguousIdentity");
    assert_untouched(&env).await?;
    sees!(env, "left", "while it is both");
    env.apply("left", json!({"uid": UID, "identityType": "RamRole"}))
        .await?;
    let asked_anew = |s: &UserOffboardingStatus| condition(s, "Stalled") == "True/AmbiguousIdentity";
    env.wait_for("left", "the same for a role", asked_anew).await?;
    // In the recycle bin, the user is one all the same.
    env.sim.edit(|w| w.delete_user(UID));
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for("left", "the same of a deleted user", asked_anew).await?;
    assert_untouched(&env).await
}

/// Waits, and says so: a name of 3 MB is cut where it comes in, so that the status can be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_name_of_three_megabytes_does_not_keep_the_status_from_being_written() -> anyhow::Result<()> {
    let env = leaver().await?;
    let answer = json!({"audit_enabled": true, "sls_project_name": "p".repeat(3 << 20)});
    let fault = Fault::new(Operation::CsGetClusterAuditProject, FaultKind::Answer(answer));
    env.sim.fault(fault);
    env.apply("left", json!({"uid": UID})).await?;
    let status = unknown(&env, "QueryFailed", "not the name of an SLS project").await?;
    let project = status.activity.and_then(|a| a.project).unwrap_or_default();
    assert_eq!(project.chars().count(), 64, "{project}");

    env.sim.clear_faults();
    goes_on(&env).await
}

/// The simulator's purge takes bindings by their whole names: of names that hold what separates the parts of a URL, too.
#[tokio::test(flavor = "multi_thread")]
async fn the_simulated_purge_deletes_the_binding_it_found_and_no_other() -> anyhow::Result<()> {
    let mut env = env().await;
    env.breaks_on_purpose(Invariant::I3, "no operator runs: the purge is the test's own");
    give_access(&env).await?;
    let colleague = "204100000000000001";
    for name in ["evil#2", "evil?x=1", "e vil\"\\", "evil;,:+&=@$!'()*", "évil"] {
        env.cluster_role_binding(name, "view", &[user(UID)]).await?;
        env.role_binding("team-a", name, "view", &[user(UID)]).await?;
    }
    env.cluster_role_binding("evil", "view", &[user(colleague)]).await?;
    env.role_binding("team-a", "evil", "view", &[user(colleague)]).await?;
    let mut settings = CloudSettings::new("cn-hangzhou");
    settings.endpoints = EndpointOverrides {
        ack: Some(env.sim.url()),
        ..EndpointOverrides::default()
    };
    settings.credentials = CredentialsSource::Env;
    settings.environment = Environment::from_iter([
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", ack_offboarding_e2e::env::ACCESS_KEY),
        (
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
            ack_offboarding_e2e::env::ACCESS_SECRET,
        ),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", ack_offboarding_e2e::env::SECURITY_TOKEN),
    ]);
    let ack = Cloud::connect(&settings, std::sync::Arc::new(()))?.ack;
    ack.clean_cluster_user_permissions(CLUSTER_ID, UID.parse()?, true)
        .await?;
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());
    assert_eq!(
        env.bindings_of(colleague).await?,
        ["ClusterRoleBinding evil", "RoleBinding team-a/evil"]
    );
    Ok(())
}

/// Says that its own limit of calls is reached, waits, and looks again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_calls_is_reached_in_the_midst_of_a_look() -> anyhow::Result<()> {
    const LEAVERS: u64 = 8;
    let env = running_with(&["--cloud-calls-per-minute=60"]).await;
    let uid = |n: u64| format!("20410000000000020{n}");
    for n in 0..LEAVERS {
        let name = format!("leaver-{n}");
        env.role_binding("team-a", &name, "view", &[user(&uid(n))]).await?;
    }
    for n in 0..LEAVERS {
        env.apply(&format!("left-{n}"), json!({"uid": uid(n)})).await?;
    }
    let (n, object) = eventually("the limit in a status", PATIENCE, async || {
        for n in 0..LEAVERS {
            let object = env.offboardings().get(&format!("left-{n}")).await?;
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

/// Waits: the operator was installed three days ago, and of two whole days since the log has none of its requests, which are exact names
/// like the identity's.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_the_operators_own_requests_proves_nothing() -> anyhow::Result<()> {
    use ack_offboarding_e2e::{cluster::BARRIER, env::OperatorOptions};
    let mut env = env().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    let api = kube::Api::<k8s_openapi::api::rbac::v1::ClusterRoleBinding>::all(env.admin());
    let mut barrier = serde_json::to_value(api.get(BARRIER).await?)?;
    let installed = Timestamp::from_second(now() - 3 * DAY)?;
    barrier["metadata"]["creationTimestamp"] = json!(installed.to_string());
    barrier["metadata"]
        .as_object_mut()
        .expect("an object")
        .remove("resourceVersion");
    env.cluster.put_cluster_role_binding(BARRIER, &barrier).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    unknown(&env, "NotSearchable", "the operator's own ServiceAccount").await?;

    for days in 0..4 {
        let own = "system:serviceaccount:ack-offboarding-system:ack-offboarding-operator";
        let ago = Duration::from_secs(days * DAY as u64);
        env.sim.add_record(CLUSTER_ID, Record::by(own).ago(ago));
    }
    goes_on(&env).await
}

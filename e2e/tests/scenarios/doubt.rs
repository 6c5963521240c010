//! `Inactive=Unknown`: what keeps anybody from telling whether the identity was active, and that it goes on by itself
//! when that is gone.

use crate::sight::{self, sees, sees_text};
use crate::support::{
    LEAVER, TestEnv, UID, assert_conditions, assert_gone, assert_untouched, assert_waiting, give_access, message,
    running_with,
};
use ack_offboarding_e2e::{
    env::{CLUSTER_ID, add_user, condition},
    simulator::{
        Fault, FaultKind, Operation, Record,
        world::{Incomplete, Index, Logstore},
    },
};
use ack_offboarding_operator::api::UserOffboardingStatus;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use std::{fmt::Write, time::Duration};

const DAY: i64 = 86_400;
const IMPERSONATED: &str = "impersonatedUser.username";
const AUTHORIZATION: &str = "annotations.authorization.k8s.io/reason";

fn now() -> i64 {
    Timestamp::now().as_second()
}

/// A leaver whom RAM knows, with access, and a running operator.
async fn leaver() -> anyhow::Result<TestEnv> {
    leaver_with(&[]).await
}

async fn leaver_with(flags: &[&str]) -> anyhow::Result<TestEnv> {
    let env = running_with(flags).await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    Ok(env)
}

/// Changes the logstore of the audit log.
fn logstore<T>(env: &TestEnv, change: impl FnOnce(&mut Logstore) -> T) -> T {
    let edit = |w: &mut ack_offboarding_e2e::simulator::World| w.audit_logstore_mut(CLUSTER_ID).map(change);
    env.sim.edit(edit).expect("the logstore")
}

/// Waits until it waits for this reason, with these words, and asserts that nothing was touched.
async fn waits(env: &TestEnv, reason: &str, words: &str) -> anyhow::Result<UserOffboardingStatus> {
    let expected = format!("Unknown/{reason}");
    let status = env
        .wait_for("left", &format!("{expected} with {words:?}"), |s| {
            condition(s, "Inactive") == expected && message(s, "Ready").contains(words)
        })
        .await?;
    assert_waiting(&status, "WaitingForInactivity");
    assert_conditions(&status, &[("Approved", "False/WaitingForInactivity")]);
    assert!(message(&status, "Ready").contains("whenUnknown: Proceed"));
    assert!(status.waiting_since.is_some());
    assert_untouched(env).await?;
    sight::record(&env.offboardings().get("left").await?)?;
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

/// Several circumstances, one after the other.
#[derive(Default)]
struct Circumstances(String);

impl Circumstances {
    fn add(&mut self, circumstance: &str, status: &UserOffboardingStatus) {
        let _ = write!(self.0, "# {circumstance}\n{}", sight::describe(status));
    }
}

/// Waits: there is no log to look into. Goes on by itself when there is one.
#[tokio::test(flavor = "multi_thread")]
async fn the_logstore_of_the_audit_log_is_missing() -> anyhow::Result<()> {
    let env = leaver().await?;
    let mut seen = Circumstances::default();
    let project = env.sim.edit(|w| std::mem::take(&mut w.projects));
    env.apply("left", json!({"uid": UID})).await?;
    seen.add("no project", &waits(&env, "LogstoreMissing", "has no project").await?);
    env.sim.edit(|w| {
        w.projects
            .extend(project.keys().map(|name| (name.clone(), Default::default())))
    });
    seen.add("no logstore", &waits(&env, "LogstoreMissing", "has no logstore").await?);
    sees_text!("while it is missing", seen.0);

    env.sim.edit(|w| w.projects = project);
    goes_on(&env).await
}

/// Waits: a search that cannot look into a field finds nothing there, whoever made requests. Names the field.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_search_needs_is_not_indexed() -> anyhow::Result<()> {
    let env = leaver().await?;
    let mut seen = Circumstances::default();
    let whole = Index::default();
    logstore(&env, |l| l.index = None);
    env.apply("left", json!({"uid": UID})).await?;
    seen.add(
        "no index at all",
        &waits(&env, "FieldNotIndexed", "user.username").await?,
    );
    logstore(&env, |l| {
        l.index = Some(Index {
            full_text: false,
            ..whole.clone().without(AUTHORIZATION)
        });
    });
    seen.add(
        "neither full text nor the authorizer's reason",
        &waits(&env, "FieldNotIndexed", AUTHORIZATION).await?,
    );
    // The index changes between the question about it and the search.
    let refusal = FaultKind::Custom {
        status: 400,
        code: "ParameterInvalid".into(),
        message: "key (impersonatedUser.username) is not config as key value config".into(),
    };
    env.sim.fault(Fault::new(Operation::SlsGetLogsV2, refusal));
    logstore(&env, |l| l.index = Some(whole));
    seen.add(
        "only the search says so",
        &waits(&env, "FieldNotIndexed", "cannot read the audit log").await?,
    );
    sees_text!("while it is not indexed", seen.0);

    env.sim.clear_faults();
    goes_on(&env).await
}

/// Waits for a whole window more: SLS finds what is added to an index only in what is written afterwards, and does not
/// say so. The leaver's request of two days ago would be missed.
#[tokio::test(flavor = "multi_thread")]
async fn the_index_was_completed_only_now() -> anyhow::Result<()> {
    let env = leaver().await?;
    let two_days_ago = Record::by(LEAVER).ago(Duration::from_secs(2 * DAY as u64));
    env.sim.add_record(CLUSTER_ID, two_days_ago);
    logstore(&env, |l| l.index = Some(Index::default().without("user.username")));
    env.apply("left", json!({"uid": UID})).await?;
    waits(&env, "FieldNotIndexed", "user.username").await?;
    logstore(&env, |l| l.change_index(|index| *index = Index::default()));
    waits(&env, "AuditTooRecent", "index").await?;
    sees!(env, "left", "after the field was added");

    // Eight days pass.
    logstore(&env, |l| l.index_changed_at = Some(now() - 8 * DAY));
    env.sim
        .age_records(CLUSTER_ID, |_| true, Duration::from_secs(8 * DAY as u64));
    goes_on(&env).await
}

/// Waits: what was done before the oldest record that is kept is not known. A shorter window is covered.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_kept_for_less_than_the_window() -> anyhow::Result<()> {
    let env = leaver().await?;
    logstore(&env, |l| l.ttl_days = 3);
    env.apply("left", json!({"uid": UID})).await?;
    waits(&env, "RetentionTooShort", "3 days").await?;
    sees!(env, "left", "with three days");

    env.apply("left", json!({"uid": UID, "activityCheck": {"windowDays": 3}}))
        .await?;
    goes_on(&env).await
}

/// Waits until the log is as old as the window, and says when that is.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_younger_than_the_window() -> anyhow::Result<()> {
    let env = leaver().await?;
    logstore(&env, |l| l.created_at = now() - 6 * DAY);
    env.apply("left", json!({"uid": UID})).await?;
    waits(&env, "AuditTooRecent", "was created at").await?;
    sees!(env, "left", "on its sixth day");

    // It becomes older than the window by a few seconds.
    logstore(&env, |l| l.created_at = now() - 7 * DAY - 10);
    goes_on(&env).await
}

/// Asks again, for twice `--cloud-timeout`, then waits: what SLS has not searched yet may hold a request.
#[tokio::test(flavor = "multi_thread")]
async fn sls_does_not_finish_its_search() -> anyhow::Result<()> {
    let env = leaver_with(&["--cloud-timeout=2s"]).await?;
    let mut seen = Circumstances::default();
    let unfinished = |histograms| {
        Some(Incomplete {
            answers: u32::MAX,
            rows: 0,
            histograms,
        })
    };
    logstore(&env, |l| l.incomplete = unfinished(false));
    env.apply("left", json!({"uid": UID})).await?;
    seen.add(
        "the search for requests",
        &waits(&env, "ResultIncomplete", "a search").await?,
    );
    logstore(&env, |l| l.incomplete = unfinished(true));
    seen.add(
        "the search for gaps",
        &waits(&env, "ResultIncomplete", "counting").await?,
    );
    sees_text!("after its last try", seen.0);

    logstore(&env, |l| l.incomplete = None);
    goes_on(&env).await
}

/// Counts it as active: what is found is found, whatever else there is to find.
#[tokio::test(flavor = "multi_thread")]
async fn sls_does_not_finish_its_search_and_has_found_a_request() -> anyhow::Result<()> {
    let env = leaver_with(&["--cloud-timeout=2s"]).await?;
    env.sim
        .add_record(CLUSTER_ID, Record::by(LEAVER).ago(Duration::from_secs(3_600)));
    logstore(&env, |l| {
        l.incomplete = Some(Incomplete {
            answers: u32::MAX,
            rows: 1,
            histograms: true,
        });
    });
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    assert_conditions(&status, &[("Inactive", "False/ActiveInWindow")]);
    sees!(env, "left", "with a request found");
    assert_untouched(&env).await?;

    logstore(&env, |l| l.incomplete = None);
    env.sim
        .age_records(CLUSTER_ID, |_| true, Duration::from_secs(8 * DAY as u64));
    goes_on(&env).await
}

/// Waits, says whose answer is missing and what it needs, and asks again.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_cannot_be_asked() -> anyhow::Result<()> {
    let env = leaver().await?;
    let mut seen = Circumstances::default();
    let expired = FaultKind::Custom {
        status: 401,
        code: "Unauthorized".into(),
        message: "The security token you provided has expired".into(),
    };
    let refused = Fault::new(Operation::CsGetClusterAuditProject, FaultKind::Forbidden);
    env.sim.fault(refused);
    env.apply("left", json!({"uid": UID})).await?;
    for (circumstance, words, next) in [
        (
            "ACK refuses to say where it is",
            "GetClusterAuditProject",
            Some(Fault::new(Operation::SlsGetLogsV2, FaultKind::Forbidden)),
        ),
        (
            "SLS refuses the search",
            "GetLogsV2",
            Some(Fault::new(Operation::SlsGetLogStore, FaultKind::ServerError(503))),
        ),
        (
            "SLS fails",
            "GetLogStore (",
            Some(Fault::new(Operation::SlsGetIndex, expired)),
        ),
        ("SLS does not accept the credentials", "GetIndex", None),
    ] {
        seen.add(circumstance, &waits(&env, "QueryFailed", words).await?);
        env.sim.clear_faults();
        if let Some(fault) = next {
            env.sim.fault(fault);
        }
    }
    sees_text!("without an answer", seen.0);
    goes_on(&env).await
}

/// Reads 2,000 records, then waits: a request of the leaver may be behind them. They only mention the leaver, and are
/// found because the logstore has no index on the fields that name who made a request.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_records_mention_the_leaver() -> anyhow::Result<()> {
    let env = leaver().await?;
    logstore(&env, |l| {
        l.index = Some(Index::default().without(IMPERSONATED).without(AUTHORIZATION));
        for n in 0..2_000 {
            let about = Record::by("colleague").requesting("get", "clusterrolebindings", "", UID);
            l.records.push(about.at(now() - 60 - n));
        }
    });
    env.apply("left", json!({"uid": UID})).await?;
    waits(&env, "TooManyRecords", "2000 records").await?;
    sees!(env, "left", "with two thousand records about the leaver");
    let is_last = |c: &ack_offboarding_e2e::simulator::Call| c.parameter("offset") == "1900";
    assert!(env.sim.calls().iter().any(is_last), "they were read to the last");

    // A hundred of them pass out of the window, and the rest can be read to the end. One would not be enough: the requests
    // that bound the leaver name them, too, in their bodies.
    let oldest = now() - 60 - 1_900;
    logstore(&env, |l| {
        let is_about = |r: &Record| r.get("user.username") == Some("colleague");
        l.records.retain(|r| !is_about(r) || r.time() > oldest);
    });
    goes_on(&env).await
}

/// Waits: every authorizer's reason that names the UID is of a group of its name.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_records_name_the_uid_in_the_reason() -> anyhow::Result<()> {
    let env = leaver().await?;
    let reason = format!("RBAC: allowed by ClusterRoleBinding \"x\" of ClusterRole \"y\" to Group \"{UID}\"");
    logstore(&env, |l| {
        for n in 0..2_000 {
            l.records
                .push(Record::by("colleague").set(AUTHORIZATION, &reason).at(now() - 60 - n));
        }
    });
    env.apply("left", json!({"uid": UID})).await?;
    waits(&env, "TooManyRecords", AUTHORIZATION).await?;
    sees!(env, "left", "with two thousand requests of a group");
    env.sim
        .age_records(CLUSTER_ID, |_| true, Duration::from_secs(8 * DAY as u64));
    goes_on(&env).await
}

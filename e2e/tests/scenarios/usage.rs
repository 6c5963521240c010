//! What people are told before the access is removed: what still uses it, and what the plan means.

use crate::sight::{sees, sees_text};
use crate::support::{
    LEAVER, TestEnv, UID, approvals, assert_conditions, assert_gone, assert_untouched, give_access, make_a_request,
    message, running,
};
use ack_offboarding_e2e::{
    env::{CLUSTER_ID, add_user, condition, user},
    simulator::{
        Call, Fault, FaultKind, Operation, Record,
        world::{Grant, GrantedRole, Incomplete, Index, Logstore, Scope},
    },
};
use ack_offboarding_operator::api::{UsageStatus, UserOffboardingStatus};
use serde_json::json;
use std::{fmt::Write, time::Duration};

const AN_HOUR: Duration = Duration::from_secs(3600);
const COLLEAGUE: &str = "204100000000000177";

/// A leaver whom RAM knows, with access, and a running operator.
async fn leaver() -> anyhow::Result<TestEnv> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    Ok(env)
}

fn logstore(env: &TestEnv, change: impl FnOnce(&mut Logstore)) {
    let changed = env.sim.edit(|w| w.audit_logstore_mut(CLUSTER_ID).map(change));
    changed.expect("the logstore");
}

/// The analytics queries that were asked.
fn analyses(env: &TestEnv) -> Vec<Call> {
    let calls = env.sim.calls().into_iter();
    calls
        .filter(|c| c.operation == Operation::SlsGetLogsV2 && c.parameter("query").contains("| SELECT"))
        .collect()
}

async fn dry_run(env: &TestEnv) -> anyhow::Result<UserOffboardingStatus> {
    env.apply("left", json!({"uid": UID, "mode": "DryRun"})).await?;
    env.wait_for_state("left", "DryRunComplete").await
}

fn usage(status: &UserOffboardingStatus) -> &UsageStatus {
    status.usage.as_ref().expect("the usage")
}

/// The list as `status.usage` has it, a row a line.
fn shown(usage: &UsageStatus) -> String {
    let mut text = String::new();
    if let Some(why) = &usage.not_available {
        let _ = writeln!(text, "not available: {why}");
        return text;
    }
    let sources = usage.sources;
    let _ = writeln!(text, "{} requests, source addresses: {sources}", usage.total);
    for row in &usage.rows {
        let last = row
            .last_seen
            .as_ref()
            .map(|time| time.0.to_string())
            .unwrap_or_default();
        let (user, client, verb, count, sources) = (&row.user, &row.client, &row.verb, row.count, row.sources);
        let _ = writeln!(
            text,
            "{user} {client} {verb}: {count}, source addresses: {sources}, last {last}"
        );
    }
    if usage.truncated {
        text.push_str("truncated\n");
    }
    text
}

/// Asks the log one analytics query at a look, and lists users, kinds of clients, verbs, counts and times; not the addresses, nor whole
/// user agents. A request of somebody else is not in it.
#[tokio::test(flavor = "multi_thread")]
async fn everything_that_still_uses_the_access_is_listed_in_a_dry_run() -> anyhow::Result<()> {
    let env = leaver().await?;
    let add = |record: Record| env.sim.add_record(CLUSTER_ID, record);
    for n in 0..3_u32 {
        let address = format!(r#"["192.0.2.{}"]"#, 20 + n % 2);
        add(Record::by(LEAVER).set("sourceIPs", &address).ago(AN_HOUR * (2 + n)));
    }
    let pipeline = Record::by(UID).set("userAgent", "argocd-application-controller/v3.1.0 (host.example.com)");
    add(pipeline.requesting("list", "pods", "team-a", "").ago(AN_HOUR));
    add(Record::by(COLLEAGUE).ago(AN_HOUR));
    add(Record::by(LEAVER).ago(AN_HOUR * 24 * 30));

    let status = dry_run(&env).await?;
    let usage = usage(&status);
    assert_eq!((usage.total, usage.sources, usage.truncated), (4, 3, false));
    assert!(usage.last_seen.is_some(), "{usage:?}");
    sees_text!("the list in the status", shown(usage));
    let text = serde_json::to_string(usage)?;
    for part in ["192.0.2", "host.example.com", COLLEAGUE] {
        assert!(!text.contains(part), "{part} in {text}");
    }
    let searches =
        env.sim.calls().into_iter().filter(|c| {
            c.operation == Operation::SlsGetLogsV2 && c.parameter("query").starts_with("user.username: \"")
        });
    let (analyses, searches) = (analyses(&env).len(), searches.count());
    assert!(
        analyses >= 1 && 2 * analyses <= searches,
        "{analyses} analyses, {searches} in all"
    );
    assert_untouched(&env).await
}

/// Lists what uses the access while it waits, a real request included, and what is listed decides nothing: quiet days do.
#[tokio::test(flavor = "multi_thread")]
async fn what_uses_the_access_is_listed_while_it_waits() -> anyhow::Result<()> {
    let env = leaver().await?;
    make_a_request(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    let seen = usage(&status);
    assert_eq!((seen.total, seen.rows.len()), (1, 1), "{seen:?}");
    assert_eq!(
        (seen.rows[0].user.as_str(), seen.rows[0].verb.as_str()),
        (LEAVER, "list")
    );

    env.sim.age_records(CLUSTER_ID, |_| true, AN_HOUR * 24 * 8);
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    assert_eq!(usage(&status), &UsageStatus::default(), "nothing used it");
    let digest = &status.plan.as_ref().expect("a plan").digest;
    let spec = json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[digest])});
    env.apply("left", spec).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Shows at most twenty rows, says that there may be more, and bears whatever the clients call themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaver_with_very_many_clients_has_a_short_list() -> anyhow::Result<()> {
    let env = leaver().await?;
    for n in 0..200_u64 {
        let agent = format!("client-{n}/{}\u{7}", "v".repeat(4000));
        let record = Record::by(LEAVER).set("userAgent", &agent);
        env.sim
            .add_record(CLUSTER_ID, record.ago(AN_HOUR + Duration::from_secs(n)));
    }
    let status = dry_run(&env).await?;
    let usage = usage(&status);
    assert_eq!((usage.rows.len(), usage.total, usage.truncated), (20, 50, true));
    assert!(serde_json::to_string(usage)?.len() < 8 << 10);
    Ok(())
}

/// Does everything else as ever, and says why there is no list.
#[tokio::test(flavor = "multi_thread")]
async fn without_analytics_there_is_no_list_and_nothing_else_changes() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.add_record(CLUSTER_ID, Record::by(LEAVER).ago(AN_HOUR));
    logstore(&env, |l| {
        l.index = Some(Index::default().without_analytics("userAgent"))
    });
    let status = dry_run(&env).await?;
    assert_conditions(&status, &[("Inactive", "False/ActiveInWindow")]);
    let mut seen = format!("# without analytics of a field\n{}", shown(usage(&status)));
    assert_eq!(analyses(&env).len(), 0, "nothing is asked that cannot be answered");

    logstore(&env, |l| l.index = Some(Index::default()));
    let refused = FaultKind::Custom {
        status: 400,
        code: "ParameterInvalid".to_owned(),
        message: "line 1:8: Column 'verb' cannot be resolved".to_owned(),
    };
    env.sim
        .fault(Fault::new(Operation::SlsGetLogsV2, refused).about("SELECT"));
    let look_again = async |days: u16| {
        let spec = json!({"uid": UID, "mode": "DryRun", "activityCheck": {"windowDays": days}});
        env.apply("left", spec).await?;
        let looked = |s: &UserOffboardingStatus| s.activity.as_ref().is_some_and(|a| a.window_days == days);
        let status = env.wait_for("left", "another look", looked).await?;
        assert_eq!(condition(&status, "Inactive"), "False/ActiveInWindow");
        anyhow::Ok(status)
    };
    let status = look_again(6).await?;
    let _ = write!(seen, "# when SLS refuses the query\n{}", shown(usage(&status)));
    env.sim.clear_faults();

    logstore(&env, |l| {
        l.incomplete = Some(Incomplete {
            answers: u32::MAX,
            rows: 10,
            histograms: false,
        });
    });
    let status = look_again(5).await?;
    let _ = write!(seen, "# when SLS does not finish it\n{}", shown(usage(&status)));
    sees_text!("in the status", seen);
    logstore(&env, |l| l.incomplete = None);

    let spec = json!({"uid": UID, "activityCheck": {"whenActive": "Proceed"}});
    env.sim
        .fault(Fault::new(Operation::SlsGetLogsV2, FaultKind::ServerError(500)).about("SELECT"));
    env.apply("left", spec).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Says so before anything is removed, in a dry run and to whoever is to approve, and blocks nothing; a second administrator ends it.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_cluster_admin_is_named_before_it_is_removed() -> anyhow::Result<()> {
    const LAST: &str = "the last ClusterRoleBinding to cluster-admin";
    let env = leaver().await?;
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": COLLEAGUE});
    env.cluster_role_binding("leaver-admin", "cluster-admin", &[user(LEAVER), group])
        .await?;
    let status = dry_run(&env).await?;
    assert!(status.last_cluster_admin == Some(true) && message(&status, "Approved").contains(LAST));
    sees!(env, "left", "in a dry run");

    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    let digest = status.plan.as_ref().expect("a plan").digest.clone();
    assert!(message(&status, "Approved").contains(LAST) && message(&status, "Approved").ends_with(&digest));
    sees!(env, "left", "while it waits for approval");

    env.cluster_role_binding("colleague", "cluster-admin", &[user(COLLEAGUE)])
        .await?;
    let spec = json!({"uid": UID, "approval": "Manual", "activityCheck": {"windowDays": 6}});
    env.apply("left", spec).await?;
    let status = env
        .wait_for("left", "a second administrator", |s| {
            s.last_cluster_admin == Some(false)
        })
        .await?;
    assert!(!message(&status, "Ready").contains(LAST), "{status:?}");
    assert_eq!(
        status.plan.expect("a plan").digest,
        digest,
        "what is said is not in what is approved"
    );
    Ok(())
}

/// Says that ACK cannot purge the creator's kubeconfig, while ACK says who created the cluster; where it does not, says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_creator_of_the_cluster_is_named_before_the_purge() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.edit(|w| {
        let grant = Grant::new(UID, Scope::Cluster(CLUSTER_ID.to_owned()), GrantedRole::Admin);
        w.grants.push(Grant {
            is_owner: true,
            ..grant
        });
    });
    let status = dry_run(&env).await?;
    assert_eq!(status.cluster_creator, Some(true));
    sees!(env, "left", "in a dry run");
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    assert!(message(&status, "Approved").contains("created this cluster"));
    let asked = env.sim.calls().into_iter();
    let asked = asked
        .filter(|c| c.operation == Operation::CsDescribeUserPermission)
        .count();
    assert_eq!(asked, 1, "ACK said it once");
    assert_untouched(&env).await
}

/// Says nothing of who created the cluster without the right `cs:GetUserPermissions`, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_ask_who_created_the_cluster_offboards_all_the_same() -> anyhow::Result<()> {
    let env = leaver().await?;
    env.sim.edit(|w| {
        let grant = Grant::new(UID, Scope::Cluster(CLUSTER_ID.to_owned()), GrantedRole::Admin);
        w.grants.push(Grant {
            is_owner: true,
            ..grant
        });
    });
    env.sim
        .fault(Fault::new(Operation::CsDescribeUserPermission, FaultKind::Forbidden));
    let status = dry_run(&env).await?;
    assert!(status.cluster_creator.is_none() && !message(&status, "Ready").contains("created"));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

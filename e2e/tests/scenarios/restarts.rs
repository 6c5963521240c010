//! Killed at any point and restarted, the operator reaches the same final state (I6).

use crate::sight::{describe, sees, sees_text};
use crate::support::{TestEnv, approvals, assert_stored_before_removed, env, read_backup};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{CLUSTER_ID, OperatorOptions, PATIENCE, issue_kubeconfig, kubeconfig_state, state, user},
    observer::Invariant,
    proxy::{Judge, Proxy, Upstream, Verdict},
    simulator::{
        Operation, Record,
        world::{CertificateState, Guard},
    },
};
use ack_offboarding_operator::api::UserOffboardingStatus;
use anyhow::Context;
use http::{Method, StatusCode, Uri};
use k8s_openapi::api::{core::v1::ConfigMap, rbac::v1::RoleBinding};
use kube::Api;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU32, Ordering},
    },
    time::Duration,
};

/// Kills the operator when its `target`-th effect was carried out.
#[derive(Default)]
struct Killer {
    pid: AtomicI32,
    target: AtomicU32,
    effects: AtomicU32,
}

impl Killer {
    fn judge(self: &Arc<Self>) -> Judge {
        let killer = self.clone();
        Arc::new(move |method, uri, status| killer.look(method, uri, status))
    }

    fn look(&self, method: &Method, uri: &Uri, status: StatusCode) -> Verdict {
        let is_event = uri.path().contains("/events");
        if *method == Method::GET || is_event || !status.is_success() {
            return Verdict::Relay;
        }
        // The cloud's queries are POST as well, but only the purge goes through a proxy that counts.
        let number = self.effects.fetch_add(1, Ordering::SeqCst) + 1;
        if number != self.target.load(Ordering::SeqCst) {
            return Verdict::Relay;
        }
        if let Some(pid) = Pid::from_raw(self.pid.load(Ordering::SeqCst)) {
            kill_process(pid, Signal::KILL).expect("the operator lives until it is killed");
        }
        Verdict::Swallow
    }

    fn arm(&self, target: u32) {
        self.effects.store(0, Ordering::SeqCst);
        self.target.store(target, Ordering::SeqCst);
    }

    fn has_killed(&self) -> bool {
        let target = self.target.load(Ordering::SeqCst);
        target > 0 && self.effects.load(Ordering::SeqCst) >= target
    }
}

/// What the end of a run is compared by: everything but times, names and digests.
#[derive(Debug, PartialEq)]
struct End {
    conditions: BTreeSet<String>,
    removed: Value,
    planned: u32,
    backups: usize,
    stored: BTreeSet<String>,
    left_in_shared: Value,
    certificate: Option<CertificateState>,
    bindings: Vec<String>,
}

async fn give_access(env: &TestEnv, n: u32, uid: &str) -> anyhow::Result<()> {
    issue_kubeconfig(&env.sim, uid, CertificateState::Unexpired);
    let colleague = user("200000000000000002");
    env.cluster_role_binding(&format!("everywhere-{n}"), "view", &[user(uid)])
        .await?;
    env.role_binding(
        "team-a",
        &format!("own-{n}"),
        "edit",
        &[user(&format!("{uid}-1700000000"))],
    )
    .await?;
    env.role_binding("team-b", &format!("shared-{n}"), "edit", &[user(uid), colleague])
        .await?;
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": uid});
    env.role_binding("team-b", &format!("group-{n}"), "view", &[group])
        .await?;
    Ok(())
}

async fn end(env: &TestEnv, n: u32, uid: &str, status: UserOffboardingStatus) -> anyhow::Result<End> {
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-b");
    let shared = api.get_opt(&format!("shared-{n}")).await?;
    let of_this = |map: &&ConfigMap| {
        map.metadata
            .labels
            .as_ref()
            .and_then(|l| l.get("ack-offboarding.io/ram-uid"))
            .is_some_and(|l| l == uid)
    };
    let backups = env.backups().await?;
    let parts: Vec<_> = backups
        .iter()
        .filter(of_this)
        .map(read_backup)
        .collect::<Result<_, _>>()?;
    let name = |name: &str| name.trim_end_matches(char::is_numeric).to_owned();
    Ok(End {
        conditions: status
            .conditions
            .iter()
            .map(|c| format!("{} {}/{}", c.type_, c.status, c.reason))
            .collect(),
        removed: serde_json::to_value(status.removed)?,
        planned: status.plan.map_or(0, |p| p.total),
        backups: parts.len(),
        stored: parts
            .iter()
            .flat_map(|p| &p.entries)
            .map(|e| format!("{:?} {}", e.action, name(&e.key.name)))
            .collect(),
        left_in_shared: serde_json::to_value(shared.map(|b| b.subjects))?,
        certificate: kubeconfig_state(&env.sim, uid),
        bindings: env.bindings_of(uid).await?,
    })
}

/// What the leaver of a run has.
#[derive(Clone, Copy, PartialEq)]
enum Access {
    Bindings,
    KubeconfigOnly,
}

/// Whether a backup was made of the access of `uid`.
async fn has_backup(env: &TestEnv, uid: &str) -> anyhow::Result<bool> {
    let label = |map: &ConfigMap| map.metadata.labels.as_ref()?.get("ack-offboarding.io/ram-uid").cloned();
    Ok(env
        .backups()
        .await?
        .iter()
        .any(|map| label(map).as_deref() == Some(uid)))
}

/// Approves the plan of an object that waits for it, but only before its run has begun.
async fn approve(env: &TestEnv, name: &str, uid: &str) -> anyhow::Result<()> {
    let status = env.status(name).await?;
    if state(&status) == "AwaitingApproval" && !has_backup(env, uid).await? {
        let approved = [status.plan.expect("a plan").digest];
        env.apply(
            name,
            json!({"uid": uid, "approval": "Manual", "approvals": approvals(&approved)}),
        )
        .await?;
    }
    Ok(())
}

/// Runs the offboarding again and again, and kills the operator after its 1st, 2nd, ... effect, until there is no n-th.
/// Returns how many it was killed at, after comparing each end with that of a run that was not interrupted.
async fn kill_after_each_effect(access: Access, approval: &str) -> anyhow::Result<(u32, String)> {
    let mut env = env().await;
    // The answer to a change whose client is killed is in no audit log: the observer takes the binding for unchanged.
    for invariant in [Invariant::I1, Invariant::I5] {
        env.breaks_on_purpose(
            invariant,
            "clients are killed in the midst of their requests; this test looks by itself",
        );
    }
    let killer = Arc::new(Killer::default());
    let api_server = Proxy::start(Upstream::api_server(&env.cluster)?, killer.judge()).await?;
    let cloud = Proxy::start(Upstream::Http(env.sim.address()), killer.judge()).await?;
    let mut options = OperatorOptions::default();
    (options.api_server, options.cs) = (Some(api_server.url()), Some(cloud.url()));
    // What the leaver does in mid-run must not stop the operator; what ACK makes of it is another matter.
    env.sim.edit(|w| w.purge.guard = Guard::Nothing);

    let mut expected: Option<End> = None;
    let mut killed = 0;
    let mut seen = String::new();
    for n in 0..100 {
        let uid = format!("{}", 400_000_000_000_000_000_u64 + u64::from(n));
        let name = format!("left-{n}");
        match access {
            Access::Bindings => give_access(&env, n, &uid).await?,
            Access::KubeconfigOnly => issue_kubeconfig(&env.sim, &uid, CertificateState::Unexpired),
        }
        killer.arm(n);
        env.start_operator(&options).await?;
        killer
            .pid
            .store(i32::try_from(env.operator()?.pid())?, Ordering::SeqCst);
        env.apply(&name, json!({"uid": uid, "approval": approval})).await?;
        eventually("the end, or the kill", PATIENCE, async || {
            approve(&env, &name, &uid).await?;
            Ok((killer.has_killed() || state(&env.status(&name).await?) == "Offboarded").then_some(()))
        })
        .await?;
        let was_killed = killer.has_killed();
        if was_killed {
            killed += 1;
            env.kill_operator();
            killer.arm(0);
            if has_backup(&env, &uid).await? {
                // The run has begun: the leaver's own requests must not stop it half-way.
                env.sim
                    .add_record(CLUSTER_ID, Record::by(&uid).ago(Duration::from_secs(60)));
            }
            env.start_operator(&options).await?;
        }
        eventually("the end", PATIENCE, async || {
            approve(&env, &name, &uid).await?;
            Ok((state(&env.status(&name).await?) == "Offboarded").then_some(()))
        })
        .await
        .with_context(|| format!("killed after effect {n}"))?;
        let status = env.status(&name).await?;
        // Each run has a UID of its own.
        seen = describe(&status).replace(&uid, "400000000000000000");
        env.kill_operator();
        let end = end(&env, n, &uid, status).await?;
        match &expected {
            None => expected = Some(end),
            Some(expected) => assert_eq!(&end, expected, "I6: killed after effect {n}"),
        }
        if n > 0 && !was_killed {
            break;
        }
        // Its watch must not wake the next operator.
        env.delete(&name).await?;
        env.sim
            .edit(|w| w.cluster_mut(CLUSTER_ID).map(|c| c.certificates.remove(&uid)));
    }
    let expected = expected.expect("run 0");
    match access {
        Access::Bindings => {
            assert_eq!(
                expected.removed,
                json!({"deleted": 2, "disarmed": 0, "subjectsRemoved": 1, "disappeared": 0, "total": 3})
            );
            assert_eq!((expected.backups, expected.planned), (2, 3));
            assert_stored_before_removed(&env).await?;
        }
        Access::KubeconfigOnly => {
            assert_eq!(
                (expected.backups, expected.certificate),
                (0, Some(CertificateState::Removed))
            );
        }
    }
    Ok((killed, seen))
}

/// Finds in the cluster, the backups and ACK what was done, and does the rest.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_of_its_effects_the_operator_reaches_the_same_end() -> anyhow::Result<()> {
    // Status, backup, three bindings, two barriers, status, backup of the group, two barriers more, purge, status.
    let (killed, seen) = kill_after_each_effect(Access::Bindings, "Automatic").await?;
    sees_text!("at every end", seen);
    assert!(killed >= 12, "only {killed} effects were found to kill at");
    Ok(())
}

/// Finds the approval in the backups, and finishes what was approved.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_effect_of_an_approved_run_it_needs_no_second_approval() -> anyhow::Result<()> {
    let (killed, seen) = kill_after_each_effect(Access::Bindings, "Manual").await?;
    sees_text!("at every end", seen);
    assert!(killed >= 12, "only {killed} effects were found to kill at");
    Ok(())
}

/// Reads from ACK what became of the purge.
#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_effect_of_a_purge_alone_it_reaches_the_same_end() -> anyhow::Result<()> {
    let (killed, seen) = kill_after_each_effect(Access::KubeconfigOnly, "Automatic").await?;
    sees_text!("at every end", seen);
    assert!(killed >= 5, "only {killed} effects were found to kill at");
    Ok(())
}

/// Nothing but whether its own credentials serve: the status says that it is done, and the index that it still is.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_the_end_asks_the_cloud_for_nothing() -> anyhow::Result<()> {
    let mut env = env().await;
    env.start_operator(&OperatorOptions::default()).await?;
    give_access(&env, 0, "400000000000000000").await?;
    env.apply("left", json!({"uid": "400000000000000000"})).await?;
    let before = env.wait_for_state("left", "Offboarded").await?;
    env.stop_operator().await?;
    let asked = |env: &TestEnv| {
        let calls = env.sim.calls().into_iter();
        calls
            .filter(|call| call.operation != Operation::StsGetCallerIdentity)
            .count()
    };
    let calls = asked(&env);

    env.start_operator(&OperatorOptions::default()).await?;
    let log = env.operator()?.log().to_owned();
    eventually(
        "the restarted operator to have looked at the object",
        PATIENCE,
        async || {
            Ok(std::fs::read_to_string(&log)?
                .contains("reconciled object=\"left\"")
                .then_some(()))
        },
    )
    .await?;
    assert_eq!(asked(&env), calls);
    assert_eq!(env.status("left").await?, before, "and the status stays as it was");
    sees!(env, "left", "after the restart");
    Ok(())
}

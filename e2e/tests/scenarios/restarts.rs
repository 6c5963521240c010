//! Killed at any point and restarted, the operator reaches the same final state (I6).

use crate::support::{TestStage, stage};
use ack_offboarding_e2e::{
    cluster::eventually,
    proxy::{Judge, Proxy, Upstream, Verdict},
    simulator::world::CertificateState,
    stage::{CLUSTER_ID, OperatorOptions, PATIENCE, issue_kubeconfig, kubeconfig_state, state, user},
};
use ack_offboarding_operator::{api::UserOffboardingStatus, rbac::backup};
use http::{Method, StatusCode, Uri};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU32, Ordering},
    },
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

async fn give_access(stage: &TestStage, n: u32, uid: &str) -> anyhow::Result<()> {
    issue_kubeconfig(&stage.sim, uid, CertificateState::Unexpired);
    let colleague = user("200000000000000002");
    stage
        .cluster_role_binding(&format!("everywhere-{n}"), "view", &[user(uid)])
        .await?;
    stage
        .role_binding(
            "team-a",
            &format!("own-{n}"),
            "edit",
            &[user(&format!("{uid}-1700000000"))],
        )
        .await?;
    stage
        .role_binding("team-b", &format!("shared-{n}"), "edit", &[user(uid), colleague])
        .await?;
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": uid});
    stage
        .role_binding("team-b", &format!("group-{n}"), "view", &[group])
        .await?;
    Ok(())
}

async fn end(stage: &TestStage, n: u32, uid: &str, status: UserOffboardingStatus) -> anyhow::Result<End> {
    let shared = Api::<RoleBinding>::namespaced(stage.admin(), "team-b")
        .get(&format!("shared-{n}"))
        .await?;
    let of_this = |map: &&k8s_openapi::api::core::v1::ConfigMap| {
        map.metadata
            .labels
            .as_ref()
            .and_then(|l| l.get("ack-offboarding.io/ram-uid"))
            .is_some_and(|l| l == uid)
    };
    let backups = stage.backups().await?;
    let parts: Vec<_> = backups
        .iter()
        .filter(of_this)
        .map(backup::read)
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
        left_in_shared: serde_json::to_value(shared.subjects)?,
        certificate: kubeconfig_state(&stage.sim, uid),
        bindings: stage.bindings_of(uid).await?,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_each_of_its_effects_the_operator_reaches_the_same_end() -> anyhow::Result<()> {
    let mut stage = stage().await;
    let killer = Arc::new(Killer::default());
    let url: Uri = stage.cluster.url().parse()?;
    let address = url.authority().expect("an address").as_str().parse()?;
    let api_server = Proxy::start(Upstream::Https(address, stage.cluster.ca_pem()), killer.judge()).await?;
    let cloud = Proxy::start(Upstream::Http(stage.sim.address()), killer.judge()).await?;
    let mut options = OperatorOptions::default();
    (options.api_server, options.cs) = (Some(api_server.url()), Some(cloud.url()));

    let mut expected = None;
    let mut killed = 0;
    // Run 0 is not interrupted; run n is killed after its n-th effect, until there is no n-th.
    for n in 0..100 {
        let (uid, name) = (
            format!("{}", 400_000_000_000_000_000_u64 + u64::from(n)),
            format!("left-{n}"),
        );
        give_access(&stage, n, &uid).await?;
        killer.arm(n);
        stage.start_operator(&options).await?;
        killer
            .pid
            .store(i32::try_from(stage.operator()?.pid())?, Ordering::SeqCst);
        stage.apply(&name, json!({"uid": uid})).await?;
        eventually("the end, or the kill", PATIENCE, async || {
            Ok((killer.has_killed() || state(&stage.status(&name).await?) == "Offboarded").then_some(()))
        })
        .await?;
        let was_killed = killer.has_killed();
        if was_killed {
            killed += 1;
            stage.kill_operator();
            killer.arm(0);
            stage.start_operator(&options).await?;
        }
        let status = stage.wait_for_state(&name, "Offboarded").await?;
        stage.kill_operator();
        let end = end(&stage, n, &uid, status).await?;
        match &expected {
            None => {
                assert_eq!(
                    end.removed,
                    json!({"deleted": 2, "subjectsRemoved": 1, "byAck": 0, "total": 3})
                );
                assert_eq!((end.backups, end.stored.len(), end.planned), (2, 4, 3));
                expected = Some(end);
            }
            Some(expected) => assert_eq!(&end, expected, "killed after effect {n}"),
        }
        if n > 0 && !was_killed {
            break;
        }
        // Its watch must not wake the next operator.
        stage.delete(&name).await?;
        stage
            .sim
            .edit(|w| w.cluster_mut(CLUSTER_ID).map(|c| c.certificates.remove(&uid)));
    }
    // Status, backup, three bindings, two fences twice, status, backup of the group, purge, and more of the status.
    assert!(killed >= 12, "only {killed} effects were found to kill at");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_after_the_end_asks_the_cloud_for_nothing() -> anyhow::Result<()> {
    let mut stage = stage().await;
    stage.start_operator(&OperatorOptions::default()).await?;
    give_access(&stage, 0, "400000000000000000").await?;
    stage.apply("left", json!({"uid": "400000000000000000"})).await?;
    let before = stage.wait_for_state("left", "Offboarded").await?;
    stage.stop_operator().await?;
    let calls = stage.sim.calls().len();

    stage.start_operator(&OperatorOptions::default()).await?;
    let log = stage.operator()?.log().to_owned();
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
    assert_eq!(stage.sim.calls().len(), calls);
    assert_eq!(stage.status("left").await?, before, "and the status stays as it was");
    Ok(())
}

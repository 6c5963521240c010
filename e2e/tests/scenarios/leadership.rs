//! Several operators, of which one works at a time; and how one ends.

use crate::support::{TestEnv, UID, assert_gone, assert_stored_before_removed, env, give_access};
use ack_offboarding_e2e::{
    cluster::{BARRIER, OPERATOR_NAMESPACE, Process, Signal, eventually},
    env::{OperatorOptions, PATIENCE, listens_at, user},
    proxy::{Proxy, Upstream},
    simulator::{Fault, FaultKind, Operation},
};
use http::Method;
use k8s_openapi::{
    api::{coordination::v1::Lease, rbac::v1::RoleBinding},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio::sync::Semaphore;

const LEASE: &str = "ack-offboarding-operator";
const LEADS: &str = "this process is the leader";
const STANDS_BY: &str = "another process is the leader; this one is on standby";

/// One of several operators.
struct Replica {
    process: Process,
    name: &'static str,
}

impl Replica {
    async fn start(env: &mut TestEnv, name: &'static str, lease: &str) -> anyhow::Result<Replica> {
        Replica::with(env, name, lease, |_| {}).await
    }

    /// One whose credentials Alibaba Cloud does not accept.
    async fn without_credentials(env: &mut TestEnv, name: &'static str, lease: &str) -> anyhow::Result<Replica> {
        let secret = ("ALIBABA_CLOUD_ACCESS_KEY_SECRET".to_owned(), "another".to_owned());
        Replica::with(env, name, lease, |options| options.env.push(secret)).await
    }

    /// One that asks another URL for the API server.
    async fn behind(
        env: &mut TestEnv,
        name: &'static str,
        lease: &str,
        api_server: Option<String>,
    ) -> anyhow::Result<Replica> {
        Replica::with(env, name, lease, |options| options.api_server = api_server).await
    }

    async fn with(
        env: &mut TestEnv,
        name: &'static str,
        lease: &str,
        change: impl FnOnce(&mut OperatorOptions),
    ) -> anyhow::Result<Replica> {
        let mut options = OperatorOptions::default()
            .flag("--leader-elect=true")
            .flag(&format!("--lease-duration={lease}"));
        options.env.push(("HOSTNAME".to_owned(), name.to_owned()));
        change(&mut options);
        let process = env.another_operator(&options).await?;
        Ok(Replica { process, name })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.process.log()).unwrap_or_default()
    }

    /// When it said this for the first time.
    fn said(&self, what: &str) -> Option<Timestamp> {
        let log = self.log();
        let line = log.lines().find(|line| line.contains(what))?;
        line.split_whitespace().next()?.parse().ok()
    }

    async fn says(&self, what: &str) -> anyhow::Result<Timestamp> {
        let name = self.name;
        eventually(&format!("{name} to say {what:?}"), PATIENCE, async || {
            Ok(self.said(what))
        })
        .await
    }

    /// What it answers to the kubelet.
    async fn answers(&self, path: &str) -> anyhow::Result<u16> {
        self.says("serving /healthz").await?;
        let log = self.log();
        let address = listens_at(&log).expect("an address");
        Ok(reqwest::get(format!("http://{address}{path}")).await?.status().as_u16())
    }
}

fn leases(env: &TestEnv) -> Api<Lease> {
    Api::namespaced(env.admin(), OPERATOR_NAMESPACE)
}

async fn holder(env: &TestEnv) -> anyhow::Result<String> {
    let lease = leases(env).get(LEASE).await?;
    let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    Ok(holder.split('_').next().unwrap_or_default().to_owned())
}

/// What an operator asked the API server for.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<(Method, String)>>>);

impl Requests {
    /// What changes something, the Lease and events aside.
    fn changes(&self) -> Vec<(Method, String)> {
        let all = self.0.lock().expect("the lock");
        all.iter()
            .filter(|(method, path)| *method != Method::GET && !path.contains("/leases") && !path.contains("/events"))
            .cloned()
            .collect()
    }

    fn leases(&self) -> usize {
        self.0
            .lock()
            .expect("the lock")
            .iter()
            .filter(|(_, path)| path.contains("/leases"))
            .count()
    }

    /// A proxy that notes them, and lets nothing through while `cut`, and what the gate holds up not before it says so.
    async fn proxy(&self, env: &TestEnv, cut: Arc<AtomicBool>, gate: Option<Gate>) -> anyhow::Result<Proxy> {
        let noted = self.0.clone();
        let before =
            move |method: &Method, uri: &http::Uri, _: &bytes::Bytes| -> futures::future::BoxFuture<'static, ()> {
                noted
                    .lock()
                    .expect("the lock")
                    .push((method.clone(), uri.path().to_owned()));
                match (cut.load(Ordering::SeqCst), &gate) {
                    (true, _) => Box::pin(std::future::pending()),
                    (false, Some(gate)) => gate.pass(method, uri),
                    (false, None) => Box::pin(async {}),
                }
            };
        Proxy::stepping_in(Upstream::api_server(&env.cluster)?, Arc::new(before)).await
    }
}

/// Holds up some requests, between the operator and the API server.
#[derive(Clone)]
struct Gate {
    holds: fn(&Method, &str) -> bool,
    arrived: Arc<Semaphore>,
    go_on: Arc<Semaphore>,
}

impl Gate {
    /// Lets so many of them through.
    fn after(first: usize, holds: fn(&Method, &str) -> bool) -> Self {
        Gate {
            holds,
            arrived: Arc::new(Semaphore::new(0)),
            go_on: Arc::new(Semaphore::new(first)),
        }
    }

    fn pass(&self, method: &Method, uri: &http::Uri) -> futures::future::BoxFuture<'static, ()> {
        if !(self.holds)(method, uri.path()) {
            return Box::pin(async {});
        }
        self.arrived.add_permits(1);
        let go_on = self.go_on.clone();
        Box::pin(async move { go_on.acquire().await.expect("it is open").forget() })
    }

    /// Waits until so many more have come.
    async fn have_come(&self, count: u32) -> anyhow::Result<()> {
        self.arrived.acquire_many(count).await?.forget();
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_one_works_and_when_it_is_killed_the_next_one_does() -> anyhow::Result<()> {
    let mut env = env().await;
    let mut replicas = Vec::new();
    for name in ["a", "b", "c"] {
        replicas.push(Replica::start(&mut env, name, "5s").await?);
    }
    for round in 0..2 {
        eventually("all of them to know who leads", PATIENCE, async || {
            let know = |r: &Replica| r.said(LEADS).is_some() || r.said(STANDS_BY).is_some();
            Ok(replicas.iter().all(know).then_some(()))
        })
        .await?;
        let leader = holder(&env).await?;
        for replica in &replicas {
            assert_eq!(
                replica.said(LEADS).is_some(),
                replica.name == leader,
                "{}",
                replica.name
            );
            // A standby knows as much as the leader.
            assert_eq!(
                (replica.answers("/healthz").await?, replica.answers("/readyz").await?),
                (200, 200)
            );
        }
        let position = replicas.iter().position(|r| r.name == leader).expect("the leader");
        replicas.remove(position).process.kill();
        let uid = format!("25908395708943769{round}");
        env.role_binding("team-a", &format!("leaver-{round}"), "view", &[user(&uid)])
            .await?;
        let name = format!("left-{round}");
        env.apply(&name, json!({"uid": uid})).await?;
        env.wait_for_state(&name, "Offboarded").await?;
        assert_eq!(env.bindings_of(&uid).await?, Vec::<String>::new());
    }
    let transitions = leases(&env)
        .get(LEASE)
        .await?
        .spec
        .and_then(|spec| spec.lease_transitions);
    assert_eq!(transitions, Some(3));
    assert_stored_before_removed(&env).await
}

/// A run is frozen between two effects, and thaws when another process has finished it.
/// A pod of an update to rejected credentials takes the Lease only if nobody else does: not when it is first, and not when the leader
/// is killed while another is there.
#[tokio::test(flavor = "multi_thread")]
async fn one_whose_credentials_are_rejected_lets_the_others_lead() -> anyhow::Result<()> {
    let mut env = env().await;
    let broken = Replica::without_credentials(&mut env, "broken", "10s").await?;
    broken.says("it lets other processes lead").await?;
    let mut first = Replica::start(&mut env, "first", "10s").await?;
    first.says(LEADS).await?;
    let mut second = Replica::start(&mut env, "second", "10s").await?;
    second.says(STANDS_BY).await?;
    first.process.kill();
    second.says(LEADS).await?;
    assert_eq!(holder(&env).await?, "second");
    assert_eq!(broken.said(LEADS), None);
    assert_eq!(
        (broken.answers("/healthz").await?, broken.answers("/readyz").await?),
        (200, 503)
    );
    // Alone, it leads: to say in the status what is wrong.
    second.process.kill();
    broken.says(LEADS).await?;
    env.apply("left", json!({"uid": "259083957089437690"})).await?;
    env.wait_for_state("left", "CredentialsRejected").await.map(drop)
}

/// It is frozen right before it would look at the clock: what a process has permission for, and has not sent when it is stopped, is sent
/// when it goes on, and is refused for the uid and resourceVersion that it is pinned to (SECURITY.md, "What is left").
#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_frozen_past_its_time_changes_nothing_when_it_thaws() -> anyhow::Result<()> {
    let mut env = env().await;
    let requests = Requests::default();
    let gate = Gate::after(60, |method, path| {
        *method == Method::GET && path.ends_with("/useroffboardings/left")
    });
    let proxy = requests.proxy(&env, Arc::default(), Some(gate.clone())).await?;
    for n in 0..200 {
        env.role_binding("team-a", &format!("leaver-{n}"), "view", &[user(UID)])
            .await?;
    }
    give_access(&env).await?;
    let frozen = Replica::behind(&mut env, "frozen", "5s", Some(proxy.url())).await?;
    frozen.says(LEADS).await?;
    let other = Replica::start(&mut env, "other", "5s").await?;
    other.says(STANDS_BY).await?;
    env.apply("left", json!({"uid": UID})).await?;
    // Eight at a time: each of the eight waits for the answer after which it looks at the clock and acts.
    gate.have_come(68).await?;
    frozen.process.signal(Signal::STOP)?;
    let left = env.bindings_of(UID).await?.len();
    assert!((1..202).contains(&left), "it was frozen half-way: {left}");
    gate.go_on.add_permits(1000);
    other.says(LEADS).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;

    // What it would change now is somebody else's. The garbage collector takes a while over two hundred.
    let bindings = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    eventually("the old one to be gone", PATIENCE, async || {
        Ok(bindings.get_opt("leaver-7").await?.is_none().then_some(()))
    })
    .await?;
    env.role_binding("team-a", "leaver-7", "view", &[user("200000000000000002")])
        .await?;
    let (changes, asked) = (requests.changes(), requests.leases());
    frozen.process.signal(Signal::CONT)?;
    frozen.says(STANDS_BY).await?;
    eventually("it to ask for the Lease some more", PATIENCE, async || {
        Ok((requests.leases() > asked + 3).then_some(()))
    })
    .await?;
    assert_eq!(requests.changes(), changes, "the stale one changed nothing");
    assert_eq!(holder(&env).await?, "other");
    let status = env.status("left").await?;
    assert_gone(&env, &status).await?;
    assert_stored_before_removed(&env).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_reach_the_api_server_stands_by_before_another_starts() -> anyhow::Result<()> {
    let mut env = env().await;
    let (requests, cut) = (Requests::default(), Arc::new(AtomicBool::new(false)));
    let proxy = requests.proxy(&env, cut.clone(), None).await?;
    let lonely = Replica::behind(&mut env, "lonely", "6s", Some(proxy.url())).await?;
    lonely.says(LEADS).await?;
    let other = Replica::start(&mut env, "other", "6s").await?;
    other.says(STANDS_BY).await?;
    cut.store(true, Ordering::SeqCst);
    let started = other.says(LEADS).await?;
    let stopped = lonely
        .said("this process is now on standby")
        .expect("it noticed by itself");
    assert!(stopped < started, "{stopped} is before {started}");
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;

    // When it can reach it again, it is a standby like any other, and takes over when its turn comes.
    cut.store(false, Ordering::SeqCst);
    lonely.says(STANDS_BY).await?;
    drop(other);
    eventually("the lonely one to lead again", PATIENCE, async || {
        Ok((holder(&env).await? == "lonely").then_some(()))
    })
    .await
}

/// Clocks are not compared: what counts is how long the Lease was seen not to change.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_times_are_minutes_off_is_taken_over_after_its_duration() -> anyhow::Result<()> {
    for off in [SignedDuration::from_mins(-10), SignedDuration::from_mins(10)] {
        let mut env = env().await;
        let time = json!(Timestamp::now() + off);
        let spec = json!({
            "holderIdentity": "somebody", "leaseDurationSeconds": 7, "renewTime": time, "acquireTime": time, "leaseTransitions": 4,
        });
        let metadata = ObjectMeta {
            name: Some(LEASE.to_owned()),
            ..ObjectMeta::default()
        };
        let lease = Lease {
            metadata,
            spec: serde_json::from_value(spec)?,
        };
        leases(&env).create(&PostParams::default(), &lease).await?;
        let replica = Replica::start(&mut env, "a", "5s").await?;
        let seen = replica.says(STANDS_BY).await?;
        let led = replica.says(LEADS).await?;
        let waited = led.duration_since(seen);
        // Seen before it is said: by a moment.
        assert!(waited > SignedDuration::from_millis(6_500), "{waited:#}");
        let spec = leases(&env).get(LEASE).await?.spec.expect("a spec");
        assert_eq!(spec.lease_transitions, Some(5));
        let renewed = spec.renew_time.expect("a time").0;
        assert!(renewed.duration_since(Timestamp::now()).abs() < SignedDuration::from_mins(1));
    }
    Ok(())
}

/// Somebody writes to the Lease between the leader's read and its write, at every other renewal: it is tried again in time.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_lease_does_not_depose_the_leader() -> anyhow::Result<()> {
    let mut env = env().await;
    let writes = Arc::new(AtomicUsize::new(0));
    let before = {
        let (writes, leases) = (writes.clone(), leases(&env));
        move |method: &Method, uri: &http::Uri, _: &bytes::Bytes| -> futures::future::BoxFuture<'static, ()> {
            if *method != Method::PUT || !uri.path().contains("/leases/") {
                return Box::pin(async {});
            }
            let number = writes.fetch_add(1, Ordering::SeqCst);
            let leases = leases.clone();
            Box::pin(async move {
                if number.is_multiple_of(2) {
                    let note = json!({"metadata": {"annotations": {"example.com/note": number.to_string()}}});
                    let patched = leases.patch(LEASE, &PatchParams::default(), &Patch::Merge(note)).await;
                    patched.expect("an edit");
                }
            })
        }
    };
    let proxy = Proxy::stepping_in(Upstream::api_server(&env.cluster)?, Arc::new(before)).await?;
    let replica = Replica::behind(&mut env, "a", "10s", Some(proxy.url())).await?;
    replica.says(LEADS).await?;
    eventually("four conflicts, and what follows them", PATIENCE, async || {
        Ok((writes.load(Ordering::SeqCst) > 8).then_some(()))
    })
    .await?;
    assert_eq!(replica.log().matches(LEADS).count(), 1);
    assert_eq!(replica.said("this process is now on standby"), None);
    assert_eq!(holder(&env).await?, "a");
    Ok(())
}

/// Somebody is faster, between its read of a Lease that is free and its write: it stands by. So where there is no Lease yet, and where one
/// was given back.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_loses_the_race_for_the_lease_stands_by() -> anyhow::Result<()> {
    for given_back in [false, true] {
        let mut env = env().await;
        let lease = |spec: serde_json::Value| json!({"metadata": {"name": LEASE}, "spec": spec});
        if given_back {
            let free = serde_json::from_value(lease(json!({"holderIdentity": "", "leaseDurationSeconds": 1})))?;
            leases(&env).create(&PostParams::default(), &free).await?;
        }
        let before = {
            let leases = leases(&env);
            let faster = lease(json!({"holderIdentity": "faster", "leaseDurationSeconds": 600}));
            move |method: &Method, uri: &http::Uri, _: &bytes::Bytes| -> futures::future::BoxFuture<'static, ()> {
                if *method == Method::GET || !uri.path().contains("/leases") {
                    return Box::pin(async {});
                }
                let (leases, faster) = (leases.clone(), faster.clone());
                Box::pin(async move {
                    let taken = match given_back {
                        true => {
                            leases
                                .patch(LEASE, &PatchParams::default(), &Patch::Merge(faster))
                                .await
                        }
                        false => {
                            let faster = serde_json::from_value(faster).expect("a Lease");
                            leases.create(&PostParams::default(), &faster).await
                        }
                    };
                    taken.expect("the Lease");
                })
            }
        };
        let proxy = Proxy::stepping_in(Upstream::api_server(&env.cluster)?, Arc::new(before)).await?;
        let replica = Replica::behind(&mut env, "a", "10s", Some(proxy.url())).await?;
        replica.says(STANDS_BY).await?;
        assert_eq!(replica.said(LEADS), None);
        assert_eq!(holder(&env).await?, "faster");
    }
    Ok(())
}

/// The effect in hand is finished, no other is started, and the Lease is given back: the next one need not wait for its end.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_told_to_stop_finishes_the_effect_in_hand_and_starts_no_other() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    for n in 0..18 {
        env.role_binding("team-b", &format!("more-{n}"), "view", &[user(UID)])
            .await?;
    }
    let gate = Gate::after(0, |method, path| {
        *method == Method::PATCH && path.contains("bindings") && !path.ends_with(BARRIER)
    });
    let before = {
        let gate = gate.clone();
        move |method: &Method, uri: &http::Uri, _: &bytes::Bytes| gate.pass(method, uri)
    };
    let proxy = Proxy::stepping_in(Upstream::api_server(&env.cluster)?, Arc::new(before)).await?;
    let mut first = Replica::behind(&mut env, "first", "10s", Some(proxy.url())).await?;
    first.says(LEADS).await?;
    let second = Replica::start(&mut env, "second", "10s").await?;
    second.says(STANDS_BY).await?;
    env.apply("left", json!({"uid": UID})).await?;
    // Eight at a time.
    gate.have_come(8).await?;
    first.process.signal(Signal::TERM)?;
    first.says("received a signal to stop").await?;
    // It waits for the effect in hand, and keeps the Lease meanwhile.
    let renewed = async || {
        let lease = leases(&env).get(LEASE).await?;
        anyhow::Ok(lease.spec.and_then(|spec| spec.renew_time).map(|time| time.0))
    };
    for _ in 0..2 {
        let last = renewed().await?;
        eventually("a renewal", PATIENCE, async || {
            Ok((renewed().await? != last).then_some(()))
        })
        .await?;
        assert_eq!(holder(&env).await?, "first");
    }
    assert_eq!(first.process.try_wait()?, None);
    assert_eq!(env.bindings_of(UID).await?.len(), 20);
    gate.go_on.add_permits(100);
    let ended = first.process.wait(PATIENCE).await?;
    assert!(ended.success(), "{ended}");
    assert_eq!(gate.arrived.available_permits(), 0, "no other was started");
    assert_eq!(env.bindings_of(UID).await?.len(), 12, "those in hand were finished");
    assert_eq!(first.log().matches("released the Lease").count(), 1);

    second.says(LEADS).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    assert_eq!(status.removed.map(|removed| removed.deleted), Some(20));
    assert_stored_before_removed(&env).await
}

/// The first list of objects is not answered: that holds up no shutdown either.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_told_to_stop_before_its_first_list_is_answered_ends() -> anyhow::Result<()> {
    let mut env = env().await;
    let before = |method: &Method, uri: &http::Uri, _: &bytes::Bytes| -> futures::future::BoxFuture<'static, ()> {
        match *method == Method::GET && uri.path().ends_with("/useroffboardings") {
            true => Box::pin(futures::future::pending()),
            false => Box::pin(async {}),
        }
    };
    let proxy = Proxy::stepping_in(Upstream::api_server(&env.cluster)?, Arc::new(before)).await?;
    let options = OperatorOptions {
        api_server: Some(proxy.url()),
        ..OperatorOptions::default()
    };
    env.start_operator(&options).await?;
    let lists = "useroffboardings?&limit=500";
    eventually("the list to be asked for", PATIENCE, async || {
        Ok(env.operator_log().contains(lists).then_some(()))
    })
    .await?;
    env.stop_operator().await
}

/// A cloud that does not answer does not hold up a shutdown; and the next one need not wait for the Lease's end.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_for_the_cloud_ends_at_once() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.sim.fault(Fault::new(Operation::ImsGetUser, FaultKind::Hang));
    let mut replica = Replica::start(&mut env, "a", "5m").await?;
    replica.says(LEADS).await?;
    let second = Replica::start(&mut env, "second", "5m").await?;
    second.says(STANDS_BY).await?;
    env.apply("left", json!({"uid": UID})).await?;
    eventually("the question", PATIENCE, async || {
        let asked = env
            .sim
            .calls()
            .iter()
            .any(|call| call.operation == Operation::ImsGetUser);
        Ok(asked.then_some(()))
    })
    .await?;
    replica.process.signal(Signal::TERM)?;
    // One try would take 15 s, and all of them a minute and a half.
    let told = replica.says("received a signal to stop").await?;
    assert!(replica.process.wait(PATIENCE).await?.success());
    let stopped = replica.said("start: stopped").expect("it says so");
    assert!(stopped.duration_since(told) < SignedDuration::from_secs(10));
    // Within a minute, though the Lease would be good for five.
    second.says(LEADS).await.map(drop)
}

/// Alive, but not ready: it does not know who is bound where.
#[tokio::test(flavor = "multi_thread")]
async fn one_without_a_complete_index_is_not_ready() -> anyhow::Result<()> {
    let mut env = env().await;
    let (requests, cut) = (Requests::default(), Arc::new(AtomicBool::new(true)));
    let proxy = requests.proxy(&env, cut.clone(), None).await?;
    let replica = Replica::behind(&mut env, "a", "5s", Some(proxy.url())).await?;
    assert_eq!(
        (replica.answers("/healthz").await?, replica.answers("/readyz").await?),
        (200, 503)
    );
    assert_eq!(replica.said(LEADS), None);
    drop((replica, proxy));
    let replica = Replica::start(&mut env, "b", "5s").await?;
    eventually("it to be ready", PATIENCE, async || {
        Ok((replica.answers("/readyz").await? == 200).then_some(()))
    })
    .await
}

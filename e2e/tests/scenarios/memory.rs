//! What others make large does not make the operator large: objects are as large as etcd takes, and there are many of them.
//!
//! It is the tests' build that is measured: its code is larger than the release's and its data the same, so what holds here holds
//! there, and nothing is built twice.

use crate::support::{TestEnv, UID, env};
use ack_offboarding_e2e::{
    cluster::{BARRIER, eventually},
    env::{OperatorOptions, condition, user},
    proxy::{Before, Judge, Proxy, Upstream, Verdict},
    scale::process,
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::{Method, Uri};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// For hundreds of megabytes through an API server on a busy machine.
const LONG: Duration = Duration::from_secs(180);
/// In one binding, as JSON.
const BODY: usize = 600_000;

/// So many RoleBindings, each with so many subjects that nobody else names.
async fn crowd(env: &TestEnv, count: usize, each: usize) -> anyhow::Result<()> {
    let api: Api<RoleBinding> = Api::namespaced(env.admin(), "default");
    let create = |n: usize| {
        let api = api.clone();
        async move {
            let subjects: Vec<_> = (0..each)
                .map(|m| user(&(100_000_000 + n * each + m).to_string()))
                .collect();
            let binding: RoleBinding = serde_json::from_value(json!({
                "metadata": {"name": format!("crowd-{n:03}")},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                "subjects": subjects,
            }))?;
            api.create(&PostParams::default(), &binding).await?;
            anyhow::Ok(())
        }
    };
    futures::stream::iter((0..count).map(create))
        .buffer_unordered(4)
        .try_collect()
        .await
}

/// So many RoleBindings of 0.6 MB, half of it subjects, with `first` among them.
async fn fill(env: &TestEnv, count: usize, first: &Value) -> anyhow::Result<()> {
    fill_with(env, count, first, BODY).await
}

/// The same, each of `body` bytes.
async fn fill_with(env: &TestEnv, count: usize, first: &Value, body: usize) -> anyhow::Result<()> {
    let api: Api<RoleBinding> = Api::namespaced(env.admin(), "default");
    let people = (0..body / 2 / 80).map(|n| user(&format!("person-{n:012}")));
    let subjects: Vec<_> = std::iter::once(first.clone()).chain(people).collect();
    let create = |n: usize| {
        let (api, subjects) = (api.clone(), &subjects);
        async move {
            let binding: RoleBinding = serde_json::from_value(json!({
                "metadata": {"name": format!("large-{n:03}"), "annotations": {"note": "x".repeat((body / 2).saturating_sub(40_000).min(200_000))}},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                "subjects": subjects,
            }))?;
            api.create(&PostParams::default(), &binding).await?;
            anyhow::Ok(())
        }
    };
    futures::stream::iter((0..count).map(create))
        .buffer_unordered(4)
        .try_collect()
        .await
}

/// Starts the operator, and waits until it has read all bindings: what was not read yet takes no memory.
async fn start(env: &mut TestEnv) -> anyhow::Result<()> {
    env.start_operator(&OperatorOptions::default()).await?;
    eventually("the index", LONG, async || {
        Ok(env.operator_log().contains("the index is complete").then_some(()))
    })
    .await
}

async fn until_offboarded(env: &TestEnv) -> anyhow::Result<()> {
    eventually("the offboarding", LONG, async || {
        let status = env.status("left").await?;
        Ok(condition(&status, "Offboarded").starts_with("True/").then_some(()))
    })
    .await
}

fn peak(env: &mut TestEnv) -> anyhow::Result<u64> {
    Ok(process::of(env.operator()?.pid())?.peak.mib())
}

/// Two hundred bindings of 0.6 MB that name nobody with a UID: neither the first list nor one in the barrier's place holds them.
#[tokio::test(flavor = "multi_thread")]
async fn large_bindings_of_others_are_listed_one_at_a_time() -> anyhow::Result<()> {
    let mut env = env().await;
    fill(&env, 200, &user("somebody")).await?;
    start(&mut env).await?;
    let at_start = peak(&mut env)?;
    eprintln!("the peak after the first list: {at_start} MiB");
    assert!(at_start < 96, "{at_start} MiB to start");

    Api::<ClusterRoleBinding>::all(env.admin())
        .delete(BARRIER, &DeleteParams::default())
        .await?;
    env.apply("left", json!({"uid": UID})).await?;
    eventually("a list in the barrier's place", LONG, async || {
        Ok(env
            .operator_log()
            .contains("listing all bindings instead")
            .then_some(()))
    })
    .await?;
    eventually("a look", LONG, async || {
        let status = env.status("left").await?;
        Ok((!status.conditions.is_empty()).then_some(()))
    })
    .await?;
    let listed = peak(&mut env)?;
    eprintln!("the peak after lists in the barrier's place: {listed} MiB");
    assert!(listed < 96, "{listed} MiB to list in the barrier's place");
    Ok(())
}

/// Forty bindings of 0.6 MB that name the leaver beside thousands of others: each is read, stored and disarmed in turn.
#[tokio::test(flavor = "multi_thread")]
async fn large_bindings_of_the_leaver_are_removed_one_at_a_time() -> anyhow::Result<()> {
    let mut env = env().await;
    fill(&env, 40, &user(UID)).await?;
    start(&mut env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    until_offboarded(&env).await?;
    assert!(
        env.bindings_of(UID).await?.is_empty(),
        "all bindings are without the leaver"
    );
    let peak = peak(&mut env)?;
    eprintln!("the peak after the removal: {peak} MiB");
    assert!(peak < 64, "{peak} MiB to remove them");
    Ok(())
}

/// Of bindings that take more than half of the room each, one is in memory at a time: one backup is stored, and then the next is read.
#[tokio::test(flavor = "multi_thread")]
async fn bindings_of_more_than_a_megabyte_are_stored_one_after_the_other() -> anyhow::Result<()> {
    let mut env = env().await;
    fill_with(&env, 10, &user(UID), 2_000_000).await?;
    let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let before: Before = {
        let (open, most) = (open.clone(), most.clone());
        Arc::new(move |method: &Method, uri: &Uri, body: &Bytes| {
            // The list of what passed the checks is small.
            let stores = *method == Method::POST && uri.path().ends_with("/configmaps") && body.len() > 10_000;
            let (open, most) = (open.clone(), most.clone());
            Box::pin(async move {
                if stores {
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    // Whoever else wants to store one comes meanwhile.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                }
            })
        })
    };
    let proxy = Proxy::stepping_in(Upstream::api_server(&env.cluster)?, before).await?;
    env.start_operator(&OperatorOptions {
        api_server: Some(proxy.url()),
        ..OperatorOptions::default()
    })
    .await?;
    env.apply("left", json!({"uid": UID})).await?;
    until_offboarded(&env).await?;
    assert_eq!(
        most.load(Ordering::SeqCst),
        1,
        "so many backups were on their way at once"
    );
    Ok(())
}

/// Seven hundred thousand UIDs in a hundred bindings: what is kept of each is a hash. One of them is found by it, and taken out.
#[tokio::test(flavor = "multi_thread")]
async fn bindings_that_name_thousands_of_uids_take_little_room() -> anyhow::Result<()> {
    let mut env = env().await;
    crowd(&env, 100, 7_000).await?;
    start(&mut env).await?;
    let at_start = peak(&mut env)?;
    eprintln!("the peak after the first list: {at_start} MiB");
    assert!(at_start < 48, "{at_start} MiB for 700,000 UIDs");
    let uid = (100_000_000 + 40 * 7_000).to_string();
    env.apply("left", json!({"uid": uid})).await?;
    until_offboarded(&env).await?;
    assert!(env.bindings_of(&uid).await?.is_empty());
    let after = peak(&mut env)?;
    eprintln!("the peak after the removal: {after} MiB");
    assert!(after < 64, "{after} MiB to take one out");
    Ok(())
}

/// The API server's history does not go back to where the watch ended: everything is listed once more, beside what is known. And then
/// the largest object that etcd takes comes as an event.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_after_an_expired_watch_and_a_large_event_take_little_room() -> anyhow::Result<()> {
    let mut env = env().await;
    fill(&env, 100, &user("somebody")).await?;
    let expired = Arc::new(AtomicUsize::new(0));
    let upstream = Upstream::api_server(&env.cluster)?;
    let proxy = {
        let expired = expired.clone();
        let judge: Judge = Arc::new(move |method: &Method, uri: &Uri, _| {
            let watches =
                uri.path().ends_with("/rolebindings") && uri.query().is_some_and(|q| q.contains("watch=true"));
            match *method == Method::GET && watches && expired.fetch_add(1, Ordering::SeqCst) < 1 {
                true => Verdict::Expire,
                false => Verdict::Relay,
            }
        });
        Proxy::start(upstream, judge).await?
    };
    let options = OperatorOptions {
        api_server: Some(proxy.url()),
        ..OperatorOptions::default()
    };
    env.start_operator(&options).await?;
    eventually("a second list", LONG, async || {
        let lists = env
            .operator_log()
            .matches("the index contains a full list kind=\"RoleBinding\"")
            .count();
        Ok((lists == 2).then_some(()))
    })
    .await?;
    let listed = peak(&mut env)?;
    eprintln!("the peak after the second list: {listed} MiB");
    assert!(listed < 96, "{listed} MiB to list twice");

    let subjects: Vec<_> = std::iter::once(user(UID))
        .chain((0..11_000).map(|n| user(&format!("person-{n:012}"))))
        .collect();
    env.role_binding("default", "largest", "view", &subjects).await?;
    env.apply("left", json!({"uid": UID})).await?;
    until_offboarded(&env).await?;
    assert!(env.bindings_of(UID).await?.is_empty(), "the event was taken in");
    let after = peak(&mut env)?;
    eprintln!("the peak after the event, and the removal: {after} MiB");
    assert!(after < 96, "{after} MiB");
    Ok(())
}

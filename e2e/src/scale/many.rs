//! One leaver with very many bindings: how long the operator takes, as a ratio to a bare client that makes the same requests.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use k8s_openapi::api::{core::v1::ConfigMap, rbac::v1::RoleBinding};
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde::Serialize;
use serde_json::{Value, json};

use super::{leavers, seed};
use crate::env::OwnEnv;
use crate::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT},
    follow::Updates,
};

/// As many as the operator changes at a time.
const PARALLEL: usize = 8;
const DEADLINE: Duration = Duration::from_secs(600);
const NAME: &str = "holds-many";

/// What was measured.
#[derive(Debug, Serialize)]
pub(super) struct Many {
    /// How many bindings the leaver had.
    pub(super) bindings: u32,
    /// From the API server's answer to the watch event with `Offboarded=True`.
    pub(super) offboarded_ms: u64,
    /// The same requests by a bare client.
    pub(super) bare_ms: u64,
    /// Bindings that named nobody when `Offboarded` was True and were still there: the garbage collector removes some 20 a second.
    pub(super) left_to_the_collector: usize,
    /// What the operator asked for, in requests.
    pub(super) requests: Requests,
}

/// The operator's requests, each of which takes the API server's time.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Requests {
    get_bindings: usize,
    get_objects: usize,
    get_config_maps: usize,
    create_config_maps: usize,
    patch_bindings: usize,
    delete_bindings: usize,
}

impl Many {
    /// How often longer the operator took.
    pub(super) fn ratio(&self) -> f64 {
        self.offboarded_ms as f64 / self.bare_ms.max(1) as f64
    }
}

/// Offboards the one who holds many, then lets a bare client do the same to another one's.
pub(super) async fn measure(env: &OwnEnv, count: u32) -> anyhow::Result<Many> {
    let before = requests(env)?;
    let mut updates = Updates::begin(env.offboardings()).await?;
    env.apply(NAME, json!({"uid": seed::holds_many(0), "kubeconfig": "Keep"}))
        .await?;
    let begun = Instant::now();
    let done = tokio::time::timeout(DEADLINE, leavers::until_offboarded(&mut updates, NAME, count)).await;
    done.with_context(|| format!("{NAME} was not offboarded within {DEADLINE:?}:\n{}", env.operator_log()))??;
    let offboarded = begun.elapsed();
    let (left, shared) = still_there(&env.admin()).await?;
    let expected = (0..count).filter(|binding| seed::is_shared(*binding)).count();
    anyhow::ensure!(
        shared == expected,
        "{shared} of {expected} shared bindings kept their colleague, and nobody else"
    );
    let after = requests(env)?;
    let asked = Requests {
        get_bindings: after.get_bindings - before.get_bindings,
        get_objects: after.get_objects - before.get_objects,
        get_config_maps: after.get_config_maps - before.get_config_maps,
        create_config_maps: after.create_config_maps - before.create_config_maps,
        patch_bindings: after.patch_bindings - before.patch_bindings,
        delete_bindings: after.delete_bindings - before.delete_bindings,
    };
    anyhow::ensure!(
        asked.patch_bindings >= count as usize && asked.delete_bindings + shared >= count as usize,
        "the audit log has the operator's requests: {asked:?}"
    );
    eprintln!(
        "  the operator: {} ms, {left} left to the garbage collector",
        offboarded.as_millis()
    );
    let bare = bare(env, count, asked).await?;
    eprintln!("  a bare client with the same requests: {} ms", bare.as_millis());
    Ok(Many {
        bindings: count,
        offboarded_ms: offboarded.as_millis().try_into()?,
        bare_ms: bare.as_millis().try_into()?,
        left_to_the_collector: left,
        requests: asked,
    })
}

/// How many of the leaver's bindings name nobody and still exist, and how many name the colleague alone.
async fn still_there(client: &Client) -> anyhow::Result<(usize, usize)> {
    let prefix = seed::many_prefix(0);
    let (mut empty, mut shared) = (0, 0);
    let mut params = ListParams::default().limit(500);
    loop {
        let page = Api::<RoleBinding>::all(client.clone()).list(&params).await?;
        for binding in page.items.iter().filter(|b| b.name_any().starts_with(&prefix)) {
            match binding.subjects.as_deref() {
                None | Some([]) => empty += 1,
                Some([one]) if one.name == seed::COLLEAGUE => shared += 1,
                Some(others) => anyhow::bail!("{} still has {others:?}", binding.name_any()),
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok((empty, shared)),
        }
    }
}

/// What the operator has asked for until now, by the API server's audit log.
fn requests(env: &OwnEnv) -> anyhow::Result<Requests> {
    let log = std::fs::read_to_string(env.cluster.audit_log())?;
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
    let mut kinds: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains(&operator)) {
        let event: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/user/username") == operator && !text("/requestURI").contains("dryRun=") {
            let kind = (text("/verb").to_owned(), text("/objectRef/resource").to_owned());
            *kinds.entry(kind).or_default() += 1;
        }
    }
    let of = |verb: &str, resource: &str| kinds.get(&(verb.to_owned(), resource.to_owned())).copied().unwrap_or(0);
    Ok(Requests {
        get_bindings: of("get", "rolebindings"),
        get_objects: of("get", "useroffboardings"),
        get_config_maps: of("get", "configmaps"),
        create_config_maps: of("create", "configmaps"),
        patch_bindings: of("patch", "rolebindings"),
        delete_bindings: of("delete", "rolebindings"),
    })
}

/// The same reads, creates, PATCHes and DELETEs, as many at a time, with nothing computed in between.
async fn bare(env: &OwnEnv, count: u32, asked: Requests) -> anyhow::Result<Duration> {
    let client = env.admin();
    let backups = Api::<ConfigMap>::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let mut maps: Vec<ConfigMap> = backups.list(&ListParams::default()).await?.items;
    maps.retain(|map| map.name_any().starts_with("offboarding-"));
    anyhow::ensure!(!maps.is_empty(), "the operator has made backups");
    let maps: Vec<Vec<u8>> = (0..asked.create_config_maps)
        .map(|n| {
            let ConfigMap {
                data,
                binary_data,
                immutable,
                ..
            } = &maps[n % maps.len()];
            let copy = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("bare-{n}")},
                "data": data, "binaryData": binary_data, "immutable": immutable,
            });
            copy.to_string().into_bytes()
        })
        .collect();
    let folder = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/configmaps");
    let object = format!("/apis/ack-offboarding.io/v1alpha1/useroffboardings/{NAME}");
    let made = maps.len().max(1);
    let begun = Instant::now();
    let creates = stream::iter(maps).map(|body| send(&client, Method::POST, &folder, "application/json", body));
    creates
        .buffer_unordered(PARALLEL)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let removals = stream::iter(0..count as usize).map(|n| {
        let (client, object, folder) = (client.clone(), object.clone(), folder.clone());
        async move {
            let (namespace, name) = seed::many_place(1, n as u32);
            let binding = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}");
            let share = |all: usize| (n + 1) * all / count as usize - n * all / count as usize;
            let mut last = String::new();
            for _ in 0..share(asked.get_bindings).max(1) {
                last = get(&client, &binding).await?;
            }
            for _ in 0..share(asked.get_config_maps) {
                get(&client, &format!("{folder}/bare-{}", n % made)).await?;
            }
            for _ in 0..share(asked.get_objects) {
                get(&client, &object).await?;
            }
            let pin = |text: &str| -> anyhow::Result<Value> {
                let answer: Value = serde_json::from_str(text)?;
                let metadata = &answer["metadata"];
                Ok(json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}))
            };
            let shared = seed::is_shared(n as u32);
            let colleague = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": seed::COLLEAGUE});
            let left: Vec<Value> = shared.then_some(colleague).into_iter().collect();
            let patch = json!({"metadata": pin(&last)?, "subjects": left}).to_string().into_bytes();
            let after = send(&client, Method::PATCH, &binding, "application/merge-patch+json", patch).await?;
            if shared {
                return Ok(after);
            }
            let delete = json!({
                "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": pin(&after)?, "propagationPolicy": "Orphan",
            });
            let delete = delete.to_string().into_bytes();
            send(&client, Method::DELETE, &binding, "application/json", delete).await
        }
    });
    removals
        .buffer_unordered(PARALLEL)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(begun.elapsed())
}

async fn get(client: &Client, path: &str) -> anyhow::Result<String> {
    client
        .request_text(Request::get(path).body(Vec::new())?)
        .await
        .with_context(|| format!("GET {path}"))
}

async fn send(client: &Client, method: Method, path: &str, kind: &str, body: Vec<u8>) -> anyhow::Result<String> {
    let what = format!("{method} {path}");
    let request = Request::builder().method(method).uri(path).header("content-type", kind);
    client.request_text(request.body(body)?).await.context(what)
}

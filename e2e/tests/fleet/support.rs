//! What the tests share: several clusters at a time, a hub's kubeconfig for them, and the plugin.

pub(crate) use ack_offboarding_e2e::plugin::{Said, ended as finish, run, terminal};
use ack_offboarding_e2e::{
    cluster::{Cluster, Options, eventually, pool},
    env::{Env, OperatorOptions, PATIENCE, plugin_binary, user},
};
use ack_offboarding_operator::api::PermissionScan;
use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tokio::{net::TcpListener, sync::Mutex, task::JoinHandle};

/// The leaver.
pub(crate) const UID: &str = "259083957089437690";
/// The name in the leaver's client certificate.
pub(crate) const LEAVER: &str = "259083957089437690-1700000000";

/// A stage on a cluster of the pool.
pub(crate) type TestEnv = Env<pool::Lease>;

/// One test at a time takes its clusters, so that no two tests wait for each other's.
static TAKING: Mutex<()> = Mutex::const_new(());

/// Clusters with nothing of ours in them.
pub(crate) async fn clusters<const N: usize>() -> [pool::Lease; N] {
    let _taking = TAKING.lock().await;
    let mut taken = Vec::new();
    for _ in 0..N {
        taken.push(pool::acquire(Options::default()).await.expect("a cluster"));
    }
    taken.try_into().unwrap_or_else(|_| unreachable!("N were taken"))
}

/// Takes our kinds out of a cluster of the pool, which may have them from an earlier test.
pub(crate) async fn without_our_kinds(cluster: &Cluster) -> anyhow::Result<()> {
    let kinds: Api<CustomResourceDefinition> = Api::all(cluster.admin());
    for name in ["useroffboardings", "permissionscans"] {
        let name = format!("{name}.ack-offboarding.io");
        if kinds.get_opt(&name).await?.is_some() {
            kinds.delete(&name, &DeleteParams::default()).await?;
        }
    }
    eventually("our kinds to be gone", PATIENCE, async || {
        let groups = cluster.admin().list_api_groups().await?.groups;
        let ours = groups.iter().any(|group| group.name == "ack-offboarding.io");
        Ok((!ours).then_some(()))
    })
    .await
}

/// A stage without the operator.
pub(crate) async fn installed(cluster: pool::Lease) -> TestEnv {
    Env::set(cluster).await.expect("a stage")
}

/// A stage with the operator running.
pub(crate) async fn running(cluster: pool::Lease) -> TestEnv {
    let mut env = installed(cluster).await;
    env.start_operator(&OperatorOptions::default())
        .await
        .expect("the operator");
    env
}

/// A PermissionScan that an operator would have made, with a deleted identity in it for each of these UIDs.
pub(crate) async fn scanned(env: &TestEnv, uids: &[&str]) -> anyhow::Result<()> {
    let scan = json!({
        "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "PermissionScan", "metadata": {"name": "default"}, "spec": {},
    });
    let api: Api<PermissionScan> = Api::all(env.admin());
    api.create(&PostParams::default(), &serde_json::from_value(scan)?)
        .await?;
    let finding = |uid: &&str| {
        json!({
            "uid": uid, "type": "RamUser", "state": "Deleted", "dormant": "Unknown", "access": "ClusterAdmin", "bindingsTotal": 2,
            "kubeconfig": "Unexpired",
        })
    };
    let status = json!({"status": {
        "lastScanTime": "2026-01-01T00:00:00Z", "truncated": false, "findings": uids.iter().map(finding).collect::<Vec<_>>(),
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Scanned", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
    }});
    api.patch_status("default", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// Binds the leaver in this cluster: how many bindings differs from cluster to cluster, so that plans differ.
pub(crate) async fn bind(env: &TestEnv, namespaces: &[&str]) -> anyhow::Result<()> {
    for namespace in namespaces {
        env.role_binding(namespace, "leaver", "edit", &[user(LEAVER)]).await?;
    }
    Ok(())
}

/// An address at which somebody takes connections and never answers.
pub(crate) struct Silent {
    pub(crate) address: String,
    task: JoinHandle<()>,
}

impl Silent {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.push(stream);
            }
        });
        Ok(Silent { address, task })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A loopback address at which nobody listens.
pub(crate) async fn closed() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    Ok(listener.local_addr()?.to_string())
}

/// A kubeconfig of one cluster, under another address.
pub(crate) fn at(kubeconfig: &Path, server: &str, name: &str) -> anyhow::Result<PathBuf> {
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig)?)?;
    config["clusters"][0]["cluster"]["server"] = server.into();
    let path = kubeconfig.with_file_name(format!("{name}.kubeconfig"));
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}

/// One kubeconfig with a context for each of these, by name.
pub(crate) fn hub(path: &Path, members: &[(&str, &Path)]) -> anyhow::Result<()> {
    let (mut clusters, mut users, mut contexts) = (Vec::new(), Vec::new(), Vec::new());
    for (name, kubeconfig) in members {
        let one: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig)?)
            .with_context(|| format!("{}", kubeconfig.display()))?;
        clusters.push(json!({"name": name, "cluster": one["clusters"][0]["cluster"]}));
        users.push(json!({"name": name, "user": one["users"][0]["user"]}));
        contexts.push(json!({"name": name, "context": {"cluster": name, "user": name}}));
    }
    let hub = json!({"apiVersion": "v1", "kind": "Config", "clusters": clusters, "users": users, "contexts": contexts});
    std::fs::write(path, hub.to_string())?;
    Ok(())
}

/// How each cluster ended, in the order of the report: `name: Ended/NotCovered`.
pub(crate) fn ended(report: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let clusters = report["clusters"].as_array().unwrap().iter();
    clusters
        .map(|cluster| {
            let how = format!("{}/{}", text(&cluster["ended"]), text(&cluster["notCovered"]));
            format!("{}: {}", text(&cluster["name"]), how.trim_end_matches('/'))
        })
        .collect()
}

/// A cluster of a report, by name.
pub(crate) fn cluster<'a>(report: &'a Value, name: &str) -> &'a Value {
    let clusters = report["clusters"].as_array().unwrap();
    clusters.iter().find(|cluster| cluster["name"] == name).unwrap()
}

/// The plugin's command line with this kubeconfig, in a home of its own.
pub(crate) fn command(folder: &Path, kubeconfig: &Path, args: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(plugin_binary()?);
    let home = folder.join("home");
    std::fs::create_dir_all(home.join("tmp"))?;
    command
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", &home)
        .env("TMPDIR", home.join("tmp"))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUST_LOG", "trace")
        .env("TERM", "xterm-256color")
        .current_dir(&home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs `fleet` with the contexts of a kubeconfig.
pub(crate) async fn fleet(folder: &Path, kubeconfig: &Path, args: &[&str]) -> anyhow::Result<Said> {
    run(command(folder, kubeconfig, &[&["fleet"], args].concat())?).await
}

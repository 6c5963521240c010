//! The local cluster behaves as the tests that use it assume: who a certificate is, what the operator's token may do, and that
//! nothing is left behind.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use ack_offboarding_e2e::cluster::{
    Cluster, FENCE, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, Options, Process, ScratchDir, eventually,
    pool::{self, Lease},
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
const LEAVER: &str = "259083957089437690-1717171717";

async fn cluster() -> Lease {
    pool::acquire(Options::default()).await.unwrap()
}

/// A cluster with the operator installed, and a client with its token.
async fn cluster_with_operator() -> (Lease, Client) {
    let cluster = cluster().await;
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    let operator = cluster
        .service_account_client(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    (cluster, operator)
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

/// Creates the RoleBinding `name` in `team-a`, of the ClusterRole `view` to these users.
async fn bind_view(cluster: &Cluster, name: &str, users: &[&str]) -> RoleBinding {
    cluster.ensure_namespace("team-a").await.unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "team-a", "labels": {"team": "a"}, "annotations": {"note": "kept"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": users.iter().map(|name| user(name)).collect::<Vec<_>>(),
    });
    let binding = serde_json::from_value(binding).unwrap();
    Api::<RoleBinding>::namespaced(cluster.admin(), "team-a")
        .create(&PostParams::default(), &binding)
        .await
        .unwrap()
}

#[track_caller]
fn assert_forbidden<T: std::fmt::Debug>(what: &str, outcome: kube::Result<T>, reason: &str) {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(reason) => {}
        Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains(reason) => {}
        other => panic!("{what}: expected a refusal that says {reason:?}, got {other:?}"),
    }
}

#[tokio::test]
async fn a_client_certificate_is_the_leaver_and_its_requests_are_in_the_audit_log() {
    let cluster = cluster().await;
    let leaver = cluster.user_client(LEAVER, &[]).unwrap();
    let pods = Api::<ConfigMap>::namespaced(leaver, "team-a");
    cluster.ensure_namespace("team-a").await.unwrap();

    assert_forbidden(
        "list without a binding",
        pods.list(&ListParams::default()).await,
        LEAVER,
    );

    bind_view(&cluster, "leaver", &[LEAVER]).await;
    eventually("the binding to take effect", DEADLINE, async || {
        Ok(pods.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();

    // The log is written before the answer is sent: nothing to wait for.
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let codes: Vec<u64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["user"]["username"] == LEAVER && event["objectRef"]["resource"] == "configmaps")
        .map(|event| event["responseStatus"]["code"].as_u64().unwrap())
        .collect();
    assert_eq!((codes.first(), codes.last()), (Some(&403), Some(&200)), "{codes:?}");
    assert!(!log.contains("/readyz"), "health checks are not recorded");
    assert!(!log.contains("RequestReceived"), "one record a request");
}

#[tokio::test]
async fn the_kubeconfig_files_work_with_kubectl() {
    let (cluster, _) = cluster_with_operator().await;
    let whoami = |kubeconfig: PathBuf| {
        let output = cluster
            .kubectl()
            .env("KUBECONFIG", kubeconfig)
            .args(["auth", "whoami", "-o", "json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["status"]["userInfo"].clone()
    };

    assert_eq!(whoami(cluster.admin_kubeconfig())["username"], "kubernetes-admin");
    let somebody = whoami(cluster.user_kubeconfig(LEAVER, &["team-a", "team-b"]).unwrap());
    assert_eq!(somebody["username"], LEAVER);
    assert_eq!(somebody["groups"], json!(["team-a", "team-b", "system:authenticated"]));
    let operator = cluster
        .service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    assert_eq!(
        whoami(operator)["username"],
        format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}")
    );
}

#[tokio::test]
async fn a_token_names_its_audience_and_the_key_that_verifies_it() {
    let (cluster, _) = cluster_with_operator().await;
    let token = cluster
        .request_token(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, "sts.aliyuncs.com")
        .await
        .unwrap();
    let jwks = cluster.jwks().await.unwrap();
    let key = &jwks["keys"][0];
    assert_eq!((&key["alg"], &key["use"]), (&json!("ES256"), &json!("sig")));
    // Header, claims, signature.
    assert_eq!(token.split('.').count(), 3);
}

/// What the operator may do to bindings: take subjects out, delete with preconditions, annotate its fences.
#[tokio::test]
async fn the_operator_may_remove_access() {
    let (cluster, operator) = cluster_with_operator().await;
    let shared = bind_view(&cluster, "shared", &["stays", LEAVER, "stays-too"]).await;
    let bindings = Api::<RoleBinding>::namespaced(operator.clone(), "team-a");

    let shrink = json!({
        "metadata": {"resourceVersion": shared.metadata.resource_version},
        "subjects": [user("stays"), user("stays-too")],
    });
    let shrunk = bindings
        .patch("shared", &PatchParams::default(), &Patch::Merge(&shrink))
        .await
        .unwrap();
    let left: Vec<String> = shrunk
        .subjects
        .clone()
        .unwrap()
        .into_iter()
        .map(|subject| subject.name)
        .collect();
    assert_eq!(left, ["stays", "stays-too"]);
    assert_eq!(shrunk.metadata.labels, shared.metadata.labels);

    let stale = bindings
        .patch("shared", &PatchParams::default(), &Patch::Merge(&shrink))
        .await;
    assert!(matches!(stale, Err(kube::Error::Api(status)) if status.is_conflict()));

    let with = |resource_version: &Option<String>| {
        DeleteParams::default().preconditions(Preconditions {
            uid: shrunk.metadata.uid.clone(),
            resource_version: resource_version.clone(),
        })
    };
    let stale = bindings
        .delete("shared", &with(&shared.metadata.resource_version))
        .await;
    assert!(matches!(stale, Err(kube::Error::Api(status)) if status.is_conflict()));
    bindings
        .delete("shared", &with(&shrunk.metadata.resource_version))
        .await
        .unwrap();

    let nonce = Patch::Merge(json!({"metadata": {"annotations": {"ack-offboarding.io/nonce": "1"}}}));
    let fence = Api::<RoleBinding>::namespaced(operator.clone(), OPERATOR_NAMESPACE);
    fence.patch(FENCE, &PatchParams::default(), &nonce).await.unwrap();
    Api::<ClusterRoleBinding>::all(operator)
        .patch(FENCE, &PatchParams::default(), &nonce)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_operator_may_store_and_read_a_backup_but_not_change_it() {
    let (cluster, operator) = cluster_with_operator().await;
    let backup = json!({"metadata": {"name": "backup"}, "data": {"a": "b"}, "immutable": false});
    let backup: ConfigMap = serde_json::from_value(backup).unwrap();
    let backups = Api::<ConfigMap>::namespaced(operator.clone(), OPERATOR_NAMESPACE);
    backups.create(&PostParams::default(), &backup).await.unwrap();
    backups.get("backup").await.unwrap();
    let change = Patch::Merge(json!({"data": {"a": "c"}}));
    assert_forbidden(
        "patch",
        backups.patch("backup", &PatchParams::default(), &change).await,
        "cannot patch",
    );
    assert_forbidden(
        "replace",
        backups.replace("backup", &PostParams::default(), &backup).await,
        "cannot update",
    );
    assert_forbidden(
        "delete",
        backups.delete("backup", &DeleteParams::default()).await,
        "cannot delete",
    );

    let elsewhere = Api::<ConfigMap>::namespaced(operator.clone(), "default");
    assert_forbidden(
        "list elsewhere",
        elsewhere.list(&ListParams::default()).await,
        "cannot list",
    );
    let profile = Api::<ConfigMap>::namespaced(operator.clone(), "kube-system");
    cluster
        .set_cluster_profile("c0123456789abcdef0123456789abcdef", "1234567890123456")
        .await
        .unwrap();
    assert_eq!(
        profile.get("ack-cluster-profile").await.unwrap().data.unwrap()["uid"],
        "1234567890123456"
    );
    assert_forbidden(
        "another",
        profile.get("extension-apiserver-authentication").await,
        "cannot get",
    );
    let secrets = Api::<Secret>::namespaced(operator, OPERATOR_NAMESPACE);
    assert_forbidden("read a Secret", secrets.get("any").await, "cannot get");
}

/// RBAC alone would allow all of these patches, as it has to grant `patch` and `bind`: the admission policy refuses them.
#[tokio::test]
async fn the_operator_cannot_promote_anybody() {
    let (cluster, operator) = cluster_with_operator().await;
    bind_view(&cluster, "shared", &["stays", LEAVER]).await;
    let apply = PatchParams::apply("operator").force();
    let merge = PatchParams::default();
    let itself = json!({"kind": "ServiceAccount", "name": OPERATOR_SERVICE_ACCOUNT, "namespace": OPERATOR_NAMESPACE});
    let bindings = Api::<RoleBinding>::namespaced(operator.clone(), "team-a");
    let cluster_bindings = Api::<ClusterRoleBinding>::all(operator.clone());
    let fence = Api::<RoleBinding>::namespaced(operator.clone(), OPERATOR_NAMESPACE);

    for (what, patch, refusal) in [
        (
            "add a subject",
            json!({"subjects": [user("stays"), user(LEAVER), itself]}),
            "adds no subject",
        ),
        (
            "replace a subject",
            json!({"subjects": [user("stays"), user("other")]}),
            "adds no subject",
        ),
        ("replace all subjects", json!({"subjects": [itself]}), "adds no subject"),
        (
            "change a subject's kind",
            json!({"subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "stays"}]}),
            "adds no subject",
        ),
        ("change the roleRef", json!({"roleRef": {"name": "cluster-admin"}}), ""),
        (
            "change a label",
            json!({"metadata": {"labels": {"team": "b"}}}),
            "no label",
        ),
        ("remove the labels", json!({"metadata": {"labels": null}}), "no label"),
        (
            "change an annotation",
            json!({"metadata": {"annotations": {"note": "changed"}}}),
            "no annotation",
        ),
        (
            "add an owner",
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}}),
            "no owner",
        ),
        (
            "add a finalizer",
            json!({"metadata": {"finalizers": ["example.com/hold"]}}),
            "no finalizer",
        ),
        (
            "shrink and label",
            json!({"metadata": {"labels": {"x": "y"}}, "subjects": [user("stays")]}),
            "no label",
        ),
    ] {
        assert_forbidden(
            what,
            bindings.patch("shared", &merge, &Patch::Merge(&patch)).await,
            refusal,
        );
    }

    let promote = Patch::Merge(json!({"subjects": [itself]}));
    let outcome = cluster_bindings.patch("cluster-admin", &merge, &promote).await;
    assert_forbidden("bind itself to cluster-admin", outcome, "adds no subject");
    let outcome = fence.patch(FENCE, &merge, &promote).await;
    assert_forbidden("give a fence a subject", outcome, "adds no subject");
    let label = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    assert_forbidden("label a fence", fence.patch(FENCE, &merge, &label).await, "no label");
    // The name of a fence is worth nothing in another namespace.
    bind_view(&cluster, FENCE, &["stays"]).await;
    let annotation = Patch::Merge(json!({"metadata": {"annotations": {"x": "y"}}}));
    assert_forbidden(
        "annotate",
        bindings.patch(FENCE, &merge, &annotation).await,
        "no annotation",
    );

    let new = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "new"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [itself],
    });
    let typed: RoleBinding = serde_json::from_value(new.clone()).unwrap();
    assert_forbidden(
        "create",
        bindings.create(&PostParams::default(), &typed).await,
        "cannot create",
    );
    assert_forbidden(
        "create by apply",
        bindings.patch("new", &apply, &Patch::Apply(&new)).await,
        "",
    );
    assert_forbidden(
        "replace",
        bindings.replace("shared", &PostParams::default(), &typed).await,
        "",
    );

    let after = Api::<RoleBinding>::namespaced(cluster.admin(), "team-a")
        .get("shared")
        .await
        .unwrap();
    assert_eq!(after.subjects.unwrap().len(), 2);
}

/// A second lock: even were `create` granted by mistake, the policy would refuse it.
#[tokio::test]
async fn the_operator_creates_no_binding_even_when_rbac_lets_it() {
    let (cluster, operator) = cluster_with_operator().await;
    cluster.ensure_namespace("team-a").await.unwrap();
    let grant = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "a-mistake"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR_SERVICE_ACCOUNT, "namespace": OPERATOR_NAMESPACE}],
    });
    Api::<ClusterRoleBinding>::all(cluster.admin())
        .create(&PostParams::default(), &serde_json::from_value(grant).unwrap())
        .await
        .unwrap();
    let secrets = Api::<Secret>::all(operator.clone());
    eventually("the mistake to take effect", DEADLINE, async || {
        Ok(secrets.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();

    let new = json!({
        "metadata": {"name": "new"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    });
    let new: RoleBinding = serde_json::from_value(new).unwrap();
    let bindings = Api::<RoleBinding>::namespaced(operator, "team-a");
    assert_forbidden(
        "create",
        bindings.create(&PostParams::default(), &new).await,
        "creates no binding",
    );
}

#[tokio::test]
async fn without_subject_removal_the_operator_deletes_bindings_but_changes_none() {
    let cluster = cluster().await;
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    cluster
        .install_operator_without_subject_removal(OPERATOR_NAMESPACE)
        .await
        .unwrap();
    let operator = cluster
        .service_account_client(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    bind_view(&cluster, "shared", &["stays", LEAVER]).await;
    let bindings = Api::<RoleBinding>::namespaced(operator.clone(), "team-a");

    let shrink = Patch::Merge(json!({"subjects": [user("stays")]}));
    let outcome = bindings.patch("shared", &PatchParams::default(), &shrink).await;
    assert_forbidden("shrink", outcome, "cannot patch");
    bindings.delete("shared", &DeleteParams::default()).await.unwrap();
    let nonce = Patch::Merge(json!({"metadata": {"annotations": {"ack-offboarding.io/nonce": "1"}}}));
    Api::<ClusterRoleBinding>::all(operator)
        .patch(FENCE, &PatchParams::default(), &nonce)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_reset_cluster_holds_nothing_of_the_test_before() {
    let (cluster, _) = cluster_with_operator().await;
    cluster.set_cluster_profile("c1", "1").await.unwrap();
    bind_view(&cluster, "held", &[LEAVER]).await;
    let admin = cluster.admin();
    let bindings = Api::<RoleBinding>::all(admin.clone());
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    let held = Api::<RoleBinding>::namespaced(admin.clone(), "team-a");
    held.patch("held", &PatchParams::default(), &hold).await.unwrap();
    held.delete("held", &DeleteParams::default()).await.unwrap();

    cluster.reset().await.unwrap();

    let built_in = |labels: &Option<std::collections::BTreeMap<String, String>>| {
        labels
            .as_ref()
            .is_some_and(|labels| labels.contains_key("kubernetes.io/bootstrapping"))
    };
    let left = bindings.list(&ListParams::default()).await.unwrap().items;
    assert!(
        left.iter().all(|binding| built_in(&binding.metadata.labels)),
        "{left:?}"
    );
    assert!(!left.is_empty(), "the control plane keeps its own");
    let profile = Api::<ConfigMap>::namespaced(admin, "kube-system")
        .get_opt("ack-cluster-profile")
        .await
        .unwrap();
    assert!(profile.is_none());
    assert!(!std::fs::read_to_string(cluster.audit_log()).unwrap().contains(LEAVER));
    // And it can be installed anew.
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
}

/// With kube-controller-manager, what is owned goes with its owner, and a namespace can be deleted.
#[tokio::test]
async fn the_controller_manager_collects_garbage_and_deletes_namespaces() {
    let cluster = pool::acquire(Options {
        controller_manager: true,
    })
    .await
    .unwrap();
    cluster.ensure_namespace("team-b").await.unwrap();
    let admin = cluster.admin();
    let objects = Api::<ConfigMap>::namespaced(admin.clone(), "team-b");
    let owner: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "owner"}})).unwrap();
    let owner = objects.create(&PostParams::default(), &owner).await.unwrap();
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid.unwrap()},
    ]}});
    objects
        .create(&PostParams::default(), &serde_json::from_value(owned).unwrap())
        .await
        .unwrap();

    objects.delete("owner", &DeleteParams::background()).await.unwrap();
    eventually("the owned object to go", DEADLINE, async || {
        Ok(objects.get_opt("owned").await?.is_none().then_some(()))
    })
    .await
    .unwrap();

    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(admin);
    namespaces.delete("team-b", &DeleteParams::default()).await.unwrap();
    eventually("the namespace to go", DEADLINE, async || {
        Ok(namespaces.get_opt("team-b").await?.is_none().then_some(()))
    })
    .await
    .unwrap();
}

/// Set for the child process of the next test: the file into which it writes what it started.
const REPORT: &str = "E2E_TEST_REPORT";

/// Not a test by itself: what the next test runs in a process that is then killed.
#[tokio::test]
async fn child_that_waits_to_be_killed() {
    let Some(report) = std::env::var_os(REPORT) else { return };
    let cluster = Cluster::start(Options {
        controller_manager: true,
    })
    .await
    .unwrap();
    let mut sleeper = Command::new("sleep");
    sleeper.arg("600");
    let sleeper = Process::spawn("sleep", &sleeper, &cluster.dir().join("sleep.log")).unwrap();
    let text =
        json!({"dir": cluster.dir(), "apiserver": cluster.apiserver().pid(), "sleep": sleeper.pid()}).to_string();
    let report = PathBuf::from(report);
    std::fs::write(report.with_extension("part"), text).unwrap();
    std::fs::rename(report.with_extension("part"), report).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_is_left_behind_by_a_process_that_is_killed() {
    let scratch = ScratchDir::new("test").unwrap();
    let report = scratch.path().join("report.json");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_waits_to_be_killed", "--nocapture"])
        .env(REPORT, &report)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let started: Value = eventually("the child's cluster", Duration::from_secs(120), async || {
        assert!(child.try_wait()?.is_none(), "the child ended by itself");
        Ok(std::fs::read(&report)
            .ok()
            .map(|text| serde_json::from_slice(&text).unwrap()))
    })
    .await
    .unwrap();
    let dir = PathBuf::from(started["dir"].as_str().unwrap());
    let of_the_cluster = || processes_that_mention(&dir);
    let before = of_the_cluster();
    assert!(
        before.len() >= 3,
        "etcd, kube-apiserver and kube-controller-manager run: {before:?}"
    );
    assert!(is_alive(&started["sleep"]) && dir.is_dir());

    child.kill().unwrap();
    child.wait().unwrap();

    eventually("the processes and the folder to be gone", DEADLINE, async || {
        let alive = is_alive(&started["apiserver"]) || is_alive(&started["sleep"]) || !of_the_cluster().is_empty();
        Ok((!alive && !dir.exists()).then_some(()))
    })
    .await
    .unwrap();
}

/// A zombie counts as gone: it has no memory, and waits only for its parent to look.
fn is_alive(pid: &Value) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| !arguments.is_empty())
}

/// The ids of the processes that work in `dir`, the watchdog that is to remove it not among them.
fn processes_that_mention(dir: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        if std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir)) {
            found.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

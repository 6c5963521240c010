//! The commands that the documentation gives do what it says: they are taken out of the pages, and run.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ack_offboarding_e2e::{
    cluster::{Cluster, OPERATOR_NAMESPACE, Options, pool},
    env::{CLUSTER_ID, Env, OperatorOptions, issue_kubeconfig, user},
    simulator::world::CertificateState,
    states,
};
use ack_offboarding_operator::rbac::backup;
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{Api, api::ListParams};
use serde_json::json;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

const UID: &str = "259083957089437690";
const NAMESPACE: &str = "ack-offboarding-system";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The block of shell commands in a page that contains `words`.
#[track_caller]
fn commands(page: &str, words: &str) -> String {
    let text = std::fs::read_to_string(repository().join(page)).unwrap();
    let blocks = text
        .split("```sh\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let found: Vec<_> = blocks.filter(|block| block.contains(words)).collect();
    assert_eq!(found.len(), 1, "{page} has {} blocks with {words:?}", found.len());
    found[0].to_owned()
}

/// Runs commands as the cluster's administrator, in a folder; whether they succeeded, and what they printed.
fn attempt(cluster: &Cluster, folder: &Path, commands: &str) -> (bool, String) {
    let output = cluster.shell(commands).unwrap().current_dir(folder).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), printed)
}

#[track_caller]
fn run(cluster: &Cluster, folder: &Path, commands: &str) -> String {
    let (succeeded, printed) = attempt(cluster, folder, commands);
    assert!(succeeded, "{commands}\n{printed}");
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_found_checked_and_restored_as_described() -> anyhow::Result<()> {
    let mut env = Env::set(pool::acquire(Options::default()).await?).await?;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": UID});
    env.cluster_role_binding("everywhere", "view", &[user(UID)]).await?;
    env.role_binding("team-a", "own", "edit", &[user(&format!("{UID}-1700000000"))])
        .await?;
    env.role_binding("team-a", "shared", "edit", &[user("259083957089437777"), user(UID)])
        .await?;
    env.role_binding("team-a", "of-a-group", "view", &[group]).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("a-leaver", json!({"uid": UID})).await?;
    env.wait_for_state("a-leaver", "Offboarded").await?;
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());

    let (cluster, page) = (&*env.cluster, "docs/restore.md");
    let folder = cluster.dir();
    let run = |commands: &str| run(cluster, folder, commands);
    // The operator made two: what it removed, and before the purge, what ACK might take.
    let named: Vec<String> = serde_json::from_str(&run(&commands(page, "get uo a-leaver -o")))?;
    let listed = run(&commands(page, "ack-offboarding.io/ram-uid="));
    let names: Vec<_> = named
        .iter()
        .map(|name| name.strip_prefix(&format!("{NAMESPACE}/")).unwrap())
        .collect();
    assert!(
        names.len() == 2 && names.iter().all(|name| listed.contains(name)),
        "{names:?} {listed}"
    );
    let with = |words: &str, name: &str| commands(page, words).replace("NAME", name);
    // No prerequisite: a convenience of the page.
    if Command::new("jq").arg("--version").output().is_ok() {
        for name in &names {
            let sums = run(&with("sha256sum", name));
            let sums: Vec<_> = sums.split_whitespace().collect();
            assert_eq!(sums[0], sums[1], "{name}");
        }
    }

    // Lost with the namespace, say, and put back from a copy.
    let guide = "docs/operations.md";
    let before = env.backups().await?;
    run(&commands(guide, "> ack-offboarding-backups.yaml"));
    let of_the_operator = ListParams::default().labels("app.kubernetes.io/managed-by=ack-offboarding-operator");
    let maps = Api::<ConfigMap>::namespaced(env.admin(), OPERATOR_NAMESPACE);
    for map in maps.list(&of_the_operator).await? {
        let name = map.metadata.name.unwrap_or_default();
        env.cluster.lose_config_map(OPERATOR_NAMESPACE, &name).await?;
    }
    run(&commands(guide, "kubectl create -f ack-offboarding-backups.yaml"));
    let after = env.backups().await?;
    let kept = |map: &ConfigMap| {
        (
            map.metadata.name.clone(),
            map.data.clone(),
            backup::read(map, Timestamp::now()).is_ok(),
        )
    };
    assert_eq!(
        before.iter().map(kept).collect::<Vec<_>>(),
        after.iter().map(kept).collect::<Vec<_>>()
    );
    assert!(after.iter().all(|map| backup::read(map, Timestamp::now()).is_ok()));

    run("kubectl delete uo a-leaver");
    // What a backup of something large looks like.
    let pack = r"kubectl -n NAMESPACE get configmap NAME -o jsonpath='{.data.deleted\.yaml}' | gzip > deleted.yaml.gz
                 kubectl -n NAMESPACE create configmap packed --from-file=deleted.yaml.gz";
    run(&pack.replace("NAMESPACE", NAMESPACE).replace("NAME", names[0]));
    run(&with("gunzip", "packed"));
    assert_eq!(
        env.bindings_of(UID).await?,
        ["ClusterRoleBinding everywhere", "RoleBinding team-a/own"]
    );
    run("kubectl delete clusterrolebinding everywhere; kubectl -n team-a delete rolebinding own");

    let created = run(&with(r".data.deleted\.yaml}' | kubectl create", names[0]));
    assert!(
        created.contains("everywhere created") && created.contains("own created"),
        "{created}"
    );
    run(&with("--force-conflicts", names[0]));
    let before = run(&with(r"{.data.shrunk\.yaml}", names[0]));
    assert!(
        before.contains("259083957089437777") && before.contains("\"shared\""),
        "{before}"
    );
    run(
        &commands(page, "kubectl patch rolebinding NAME -n NAMESPACE --type=json")
            .replace("rolebinding NAME -n NAMESPACE", "rolebinding shared -n team-a"),
    );
    let (succeeded, printed) = attempt(cluster, folder, &with("kept", names[1]));
    assert!(
        !succeeded && printed.contains("\"of-a-group\" already exists"),
        "{printed}"
    );

    let restored = [
        "ClusterRoleBinding everywhere",
        "RoleBinding team-a/own",
        "RoleBinding team-a/shared",
    ];
    assert_eq!(env.bindings_of(UID).await?, restored);
    assert_eq!(
        env.bindings_of("259083957089437777").await?,
        ["RoleBinding team-a/shared"]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_object_is_read_as_described() -> anyhow::Result<()> {
    let mut env = Env::set(pool::acquire(Options::default()).await?).await?;
    env.role_binding("team-a", "own", "edit", &[user(UID)]).await?;
    env.sim.edit(|world| {
        world
            .cluster_mut(CLUSTER_ID)
            .map(|cluster| cluster.audit_enabled = false)
    });
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("a-leaver", json!({"uid": UID})).await?;
    env.wait_for_state("a-leaver", "WaitingForInactivity").await?;

    let cluster = &*env.cluster;
    let printed = run(
        cluster,
        cluster.dir(),
        &commands("docs/gitops/README.md", "[?(@.type==\"Ready\")].message"),
    );
    assert!(
        printed.contains("WaitingForInactivity") && printed.contains("audit log is off"),
        "{printed}"
    );
    let digest = run(
        cluster,
        cluster.dir(),
        &commands("docs/gitops/README.md", "{.status.plan.digest}"),
    );
    assert!(digest.starts_with("sha256:"), "{digest}");
    let described = run(cluster, cluster.dir(), "kubectl describe uo a-leaver");
    assert!(
        described.contains("Events:") && described.contains("AuditDisabled"),
        "{described}"
    );

    let guide = "docs/operations.md";
    let run = |words: &str| run(cluster, cluster.dir(), &commands(guide, words));
    let report = run("custom-columns");
    assert!(
        report.contains(UID) && report.contains("WaitingForInactivity"),
        "{report}"
    );
    assert!(run("{.status.conditions[?(@.type==\"Ready\")].message}").contains("audit log is off"));
    run("\"suspend\":true");
    env.wait_for_state("a-leaver", "Suspended").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_made_again_and_moved_as_described() -> anyhow::Result<()> {
    let mut env = Env::set(pool::acquire(Options::default()).await?).await?;
    env.role_binding("team-a", "own", "edit", &[user(UID)]).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("a-leaver", json!({"uid": UID})).await?;
    env.wait_for_state("a-leaver", "Offboarded").await?;
    let (cluster, guide) = (&*env.cluster, "docs/operations.md");
    let run = |commands: &str| run(cluster, cluster.dir(), commands);
    let first = run("kubectl get uo a-leaver -o jsonpath='{.metadata.uid}'");
    let listed = run(&commands(guide, "-L ack-offboarding.io/object-uid"));
    assert_eq!(
        listed.matches(&first).count(),
        2,
        "of a backup, and of the object: {listed}"
    );

    // As a Git tool that replaces does.
    let manifest = r#"{"apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding", "metadata": {"name": "a-leaver"}, "spec": {"uid": "UID"}}"#;
    std::fs::write(cluster.dir().join("a-leaver.json"), manifest.replace("UID", UID))?;
    run("kubectl replace --force -f a-leaver.json");
    let status = env.wait_for_state("a-leaver", "NothingToRemove").await?;
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert!(ready.message.contains(&first[..8]), "{}", ready.message);
    assert_eq!(status.removed.unwrap_or_default().total, 0);
    let listed = run(&commands(guide, "-L ack-offboarding.io/object-uid"));
    assert_eq!(listed.matches(&first).count(), 1, "of a backup alone: {listed}");

    // No prerequisite: a convenience of the page.
    if Command::new("jq").arg("--version").output().is_ok() {
        run(&commands(guide, "> objects-to-move.json"));
        run("kubectl delete uo a-leaver");
        env.role_binding("team-a", "own", "edit", &[user(UID)]).await?;
        run(&commands(guide, "create -f objects-to-move.json"));
        env.wait_for_state("a-leaver", "Suspended").await?;
        assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/own"]);
    }
    Ok(())
}

/// Whatever makes an object wait for a person has its section.
#[test]
fn the_operations_guide_has_each_stalled_reason() {
    let guide = std::fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let guide = guide.split_once("## Each Stalled reason\n").unwrap().1;
    let guide = guide.split("\n## ").next().unwrap();
    let sections: BTreeSet<_> = guide.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let states = std::fs::read_dir(states::folder()).unwrap();
    let names: Vec<_> = states
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let stalled = names.iter().filter_map(|name| name.strip_suffix("-stalled.json"));
    assert_eq!(sections, stalled.collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_is_installed_as_described() {
    let cluster = pool::acquire(Options::default()).await.unwrap();
    let (page, root) = ("docs/install.md", repository());
    let applied = commands(page, "kubectl apply -f crds/");
    run(&cluster, &root, &applied);

    let start = commands(page, "create token");
    let kubeconfig = start
        .lines()
        .skip_while(|line| !line.starts_with("server="))
        .take_while(|line| !line.starts_with("export"));
    let kubeconfig: Vec<_> = kubeconfig.collect();
    run(&cluster, cluster.dir(), &kubeconfig.join("\n"));
    let asked = "kubectl --kubeconfig operator.kubeconfig auth";
    let who = run(&cluster, cluster.dir(), &format!("{asked} whoami"));
    assert!(
        who.contains("system:serviceaccount:ack-offboarding-system:ack-offboarding-operator"),
        "{who}"
    );
    assert_eq!(
        run(&cluster, cluster.dir(), &format!("{asked} can-i list rolebindings -A")).trim(),
        "yes"
    );
}

//! ack-ram-tool, Alibaba Cloud's own tool for what this operator does, runs as it is against the simulator and a real API server: what it
//! takes for the truth is what they say.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use ack_offboarding_e2e::access::binding;
use ack_offboarding_e2e::cluster::{Options as ClusterOptions, pool};
use ack_offboarding_e2e::env::plugin_binary;
use ack_offboarding_e2e::simulator::world::{AccessKey, Cluster, Principal, Role, User};
use ack_offboarding_e2e::simulator::{Operation, Options, Simulator, World};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{Api, api::PostParams};
use serde_json::Value;

const ACCOUNT: &str = "1000000000000001";
const CALLER: &str = "200000000000000001";
const COLLEAGUE: &str = "200000000000000002";
const GONE: &str = "259083957089437690";
const ROLE: &str = "300000000000000001";

/// Builds the tool from its Go module; quick when Go has built it before.
fn tool(folder: &Path) -> PathBuf {
    let binary = folder.join("ack-ram-tool");
    let output = Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&binary)
        .arg("github.com/AliyunContainerService/ack-ram-tool/cmd/ack-ram-tool")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("ack-ram-tool"))
        .env("CGO_ENABLED", "0")
        .output()
        .expect("go, which the README lists");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    binary
}

struct Tool<'a> {
    binary: PathBuf,
    folder: &'a Path,
    simulator: &'a Simulator,
}

impl Tool<'_> {
    /// What it prints, without colours.
    fn prints(&self, arguments: &[&str]) -> String {
        let address = self.simulator.https_url().expect("https");
        let address = address.trim_start_matches("https://");
        let output = Command::new(&self.binary)
            .args(["rbac", "scan-user-permissions", "--ignore-aliyun-cli-credentials"])
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder)
            .env("SSL_CERT_FILE", self.folder.join("ca.pem"))
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "ak")
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "sk")
            .env("ALIBABA_CLOUD_STS_ENDPOINT", address)
            .env("RAM_ENDPOINT", address)
            .env("CS_ENDPOINT", address)
            .output()
            .expect("ack-ram-tool");
        let printed = String::from_utf8(output.stdout).expect("text");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}{said}");
        plain(&printed)
    }

    /// The rows of its table: UID, whether it calls that deleted, type, name, binding.
    fn finds(&self, arguments: &[&str]) -> BTreeSet<String> {
        let printed = self.prints(arguments);
        let rows = printed
            .lines()
            .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        rows.map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }
}

/// What `kubectl ack-offboard scan --direct` finds, as rows of ack-ram-tool's table.
fn scan_direct(
    kubeconfig: &Path,
    simulator: &Simulator,
    folder: &Path,
    arguments: &[&str],
) -> anyhow::Result<BTreeSet<String>> {
    let url = simulator.url();
    let endpoints = ["sts", "ims", "ram", "cs", "sls"].map(|service| format!("--{service}-endpoint={url}"));
    let output = Command::new(plugin_binary()?)
        .args([
            "scan",
            "--direct",
            "-o",
            "json",
            "--region=cn-hangzhou",
            "--cluster-id=c1",
        ])
        .arg(format!("--account-id={ACCOUNT}"))
        .args(endpoints)
        .args(arguments)
        .env_clear()
        .env("HOME", folder)
        .env("KUBECONFIG", kubeconfig)
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "ak")
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "sk")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.code() == Some(1), "{:?}: {said}", output.status);
    let found: Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows = BTreeSet::new();
    for finding in found["items"].as_array().into_iter().flatten() {
        let deleted = if finding["state"] == "Deleted" {
            " (deleted)"
        } else {
            ""
        };
        let who = [
            text(&finding["uid"]) + deleted,
            text(&finding["type"]),
            text(&finding["name"]),
        ];
        for binding in finding["bindings"].as_array().into_iter().flatten() {
            let namespace = binding["namespace"].as_str().unwrap_or("-");
            let place = format!("{}/{namespace}/{}", text(&binding["kind"]), text(&binding["name"]));
            let row = who.iter().chain([&place]).filter(|part| !part.is_empty()).cloned();
            rows.insert(row.collect::<Vec<_>>().join(" "));
        }
    }
    Ok(rows)
}

/// Text without the sequences that set colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        all + part.split_once('m').map_or("", |(_, rest)| rest)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn it_finds_the_identities_and_bindings_that_there_are() -> anyhow::Result<()> {
    let cluster = pool::acquire(ClusterOptions::default()).await?;
    let folder = tempfile::tempdir()?;
    let caller = Principal::RamUser {
        user_id: CALLER.to_owned(),
    };
    let mut world = World {
        account_id: ACCOUNT.to_owned(),
        access_keys: vec![AccessKey::new("ak", "sk", caller)],
        users: vec![User::new(CALLER, "caller"), User::new(COLLEAGUE, "colleague")],
        roles: vec![Role::new(ROLE, "Deployer")],
        ..World::default()
    };
    world.add_cluster(Cluster::new("c1"));
    let simulator = Simulator::start(Options {
        world,
        ca_out: Some(folder.path().join("ca.pem")),
        ..Options::default()
    })?;
    let kubeconfig = cluster.user_kubeconfig(&format!("{CALLER}-1700000000"), &["system:masters"])?;
    simulator.attach_user_kubeconfig("c1", CALLER, &kubeconfig);

    let (gone, letters) = (format!("{GONE}-1700000000"), format!("{GONE}-c7f1"));
    let namespaced: Api<RoleBinding> = Api::namespaced(cluster.admin(), "default");
    for (name, subjects) in [
        ("t-gone", vec![("User", gone.as_str())]),
        ("t-role", vec![("User", ROLE)]),
        ("t-group", vec![("Group", GONE)]),
        ("t-letters", vec![("User", letters.as_str())]),
        ("t-nobody", vec![("User", "jane")]),
    ] {
        let created = binding("RoleBinding", name, &subjects);
        namespaced.create(&PostParams::default(), &created).await?;
    }
    let everywhere: Api<ClusterRoleBinding> = Api::all(cluster.admin());
    for (name, subjects) in [
        ("t-shared", vec![("User", COLLEAGUE), ("User", GONE)]),
        ("t-account", vec![("ServiceAccount", GONE)]),
        ("t-root", vec![("User", ACCOUNT)]),
    ] {
        let created = binding("ClusterRoleBinding", name, &subjects);
        everywhere.create(&PostParams::default(), &created).await?;
    }

    let tool = Tool {
        binary: tool(folder.path()),
        folder: folder.path(),
        simulator: &simulator,
    };
    let deleted = [
        // It guesses the type of whom it does not find by the first digit.
        format!("{GONE} (deleted) RamUser RoleBinding/default/t-gone"),
        format!("{GONE} (deleted) RamUser ClusterRoleBinding/-/t-shared"),
        // It counts whatever bears the name; the operator does not, and does not lose sight of names with other suffixes.
        format!("{GONE} (deleted) RamUser RoleBinding/default/t-group"),
        format!("{GONE} (deleted) RamUser ClusterRoleBinding/-/t-account"),
    ];
    let there = [
        format!("{COLLEAGUE} RamUser colleague ClusterRoleBinding/-/t-shared"),
        format!("{ROLE} RamRole Deployer RoleBinding/default/t-role"),
        format!("{ACCOUNT} Root ClusterRoleBinding/-/t-root"),
    ];
    let all: BTreeSet<_> = deleted.iter().chain(&there).cloned().collect();
    let deleted: BTreeSet<_> = deleted.into_iter().collect();
    assert_eq!(tool.finds(&["-c", "c1"]), deleted);
    assert_eq!(tool.finds(&["-c", "c1", "--all-users"]), all);
    let one: BTreeSet<_> = there[..1].iter().cloned().collect();
    assert_eq!(tool.finds(&["-c", "c1", "--user-id", COLLEAGUE]), one);
    let everywhere = tool.prints(&["-c", "all"]);
    assert!(everywhere.contains("ClusterId: c1"), "{everywhere}");

    let asked: BTreeSet<_> = simulator
        .calls()
        .iter()
        .filter(|call| call.succeeded())
        .map(|call| format!("{:?}", call.operation))
        .collect();
    let expected = [
        Operation::StsGetCallerIdentity,
        Operation::RamListUsers,
        Operation::RamListRoles,
        Operation::CsDescribeClusterUserKubeconfig,
        Operation::CsDescribeClustersV1,
    ];
    assert_eq!(asked, expected.map(|operation| format!("{operation:?}")).into());
    // `scan --direct` of the plugin finds the same, but for what is no RAM identity.
    let is_ours = |row: &&String| !row.ends_with("/t-group") && !row.ends_with("/t-account");
    let ours = |rows: &BTreeSet<String>| -> BTreeSet<String> {
        let typed = |row: &String| row.replace(" (deleted) RamUser ", " (deleted) Unknown ");
        rows.iter().filter(is_ours).map(typed).collect()
    };
    let direct = |arguments: &[&str]| scan_direct(&cluster.admin_kubeconfig(), &simulator, folder.path(), arguments);
    assert_eq!(direct(&[])?, ours(&deleted));
    assert_eq!(direct(&["--all"])?, ours(&all));
    assert_eq!(direct(&["--uid", COLLEAGUE])?, ours(&one));

    // What they say changes what it finds: the table comes from them.
    simulator.edit(|world| world.users.push(User::new(GONE, "back")));
    assert_eq!(tool.finds(&["-c", "c1"]), BTreeSet::new());
    Ok(())
}

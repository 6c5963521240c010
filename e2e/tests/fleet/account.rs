//! All clusters of an Alibaba Cloud account: in every region and state, with a kubeconfig of the shortest lifetime for each.

use crate::support::{Said, TestEnv, UID, bind, cluster, clusters, command, ended, installed, run, running, scanned};
use ack_offboarding_e2e::simulator::{
    Fault, FaultKind, Operation, Options, Simulator, Throttle, World,
    world::{AccessKey, CertificateState, Cluster, Principal, Role, User},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Whoever runs the plugin.
pub(crate) const CALLER: &str = "200000000000000001";
pub(crate) const KEY: &str = "LTAI-of-a-person";
pub(crate) const SECRET: &str = "secret-of-a-person-0123456789";

/// An account with these clusters, as ID, region, name and state; three on a page.
pub(crate) fn account(folder: &Path, clusters: &[(&str, &str, &str, &str)]) -> anyhow::Result<Simulator> {
    let caller = Principal::RamUser {
        user_id: CALLER.to_owned(),
    };
    let mut world = World {
        access_keys: vec![AccessKey::new(KEY, SECRET, caller)],
        users: vec![User::new(CALLER, "caller")],
        // ack-ram-tool gives up where there is none.
        roles: vec![Role::new("300000000000000001", "Deployer")],
        clusters_per_page: Some(3),
        ..World::default()
    };
    for (id, region, name, state) in clusters {
        world.add_cluster(Cluster::new(id).placed(region, name, state));
    }
    Simulator::start(Options {
        world,
        ca_out: Some(folder.join("ca.pem")),
        ..Options::default()
    })
}

/// The caller's kubeconfig in a cluster, as ACK would issue it.
pub(crate) fn caller(cluster: &ack_offboarding_e2e::cluster::Cluster) -> anyhow::Result<PathBuf> {
    cluster.user_kubeconfig(&format!("{CALLER}-1700000000"), &["system:masters"])
}

/// `fleet` over the account's clusters.
pub(crate) fn over_account(folder: &Path, sim: &Simulator, args: &[&str]) -> anyhow::Result<Command> {
    let url = sim.url();
    let endpoints = [
        format!("--sts-endpoint={url}"),
        format!("--cs-endpoint={url}"),
        "--region=cn-hangzhou".to_owned(),
    ];
    let mut all = [&["fleet"], args, &["--all-clusters"]].concat();
    all.extend(endpoints.iter().map(String::as_str));
    let mut command = command(folder, Path::new("/nonexistent"), &all)?;
    command
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET);
    Ok(command)
}

/// Parameters of the calls of one operation.
fn asked(sim: &Simulator, operation: Operation, name: &str) -> Vec<String> {
    let calls = sim.calls().into_iter().filter(|call| call.operation == operation);
    calls.map(|call| call.parameter(name).to_owned()).collect()
}

const FOUR: [(&str, &str, &str, &str); 4] = [
    ("c1", "cn-hangzhou", "prod", "running"),
    ("c2", "cn-beijing", "prod", "running"),
    ("c3", "cn-beijing", "old", "deleting"),
    ("c4", "cn-hangzhou", "test", "running"),
];

async fn two_of_four(folder: &Path) -> anyhow::Result<(Simulator, [TestEnv; 2])> {
    let [one, two] = clusters().await;
    let envs = [installed(one).await, installed(two).await];
    let sim = account(folder, &FOUR)?;
    for (env, id) in envs.iter().zip(["c1", "c2"]) {
        sim.attach_user_kubeconfig(id, CALLER, &caller(&env.cluster)?);
    }
    Ok((sim, envs))
}

/// Four clusters in two regions: one that is being deleted, and one for which ACK issues no kubeconfig. ack-ram-tool sees the same two, and ends
/// with 0.
#[tokio::test(flavor = "multi_thread")]
async fn every_cluster_of_the_account_is_accounted_for() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (sim, [one, two]) = two_of_four(folder.path()).await?;
    scanned(&one, &[UID]).await?;
    scanned(&two, &[]).await?;
    bind(&one, &["team-a"]).await?;
    let said = run(over_account(folder.path(), &sim, &["scan", "-o", "json"])?)
        .await?
        .ends_with(1);
    // Two have the same name.
    assert_eq!(
        ended(&said.json()),
        [
            "old: NotCovered/NoApiServer",
            "prod c1: Done",
            "prod c2: Done",
            "test: NotCovered/Unreachable",
        ]
    );
    let report = said.json();
    let field = |name: &str, field: &str| cluster(&report, name)[field].clone();
    assert_eq!(field("prod c2", "region"), "cn-beijing");
    assert_eq!(field("prod c1", "findings")[0]["uid"], UID);
    let issued = ["old", "prod c1", "prod c2", "test"].map(|name| field(name, "kubeconfigsIssued"));
    assert_eq!(issued, [0, 1, 1, 0]);
    let said = said
        .tells("Not covered: old (no API server): ACK says that it is deleting")
        .tells("Not covered: test (unreachable): ACK issues no kubeconfig")
        .tells("ACK issued 2 kubeconfigs to you, for 15 minutes each");
    assert!(!said.err.contains("Failed:"), "{}", said.err);
    assert_eq!(asked(&sim, Operation::CsDescribeClustersV1, "page_number"), ["1", "2"]);
    let kubeconfig = Operation::CsDescribeClusterUserKubeconfig;
    assert_eq!(asked(&sim, kubeconfig, "TemporaryDurationMinutes"), ["15"; 3]);
    assert_eq!(asked(&sim, kubeconfig, "PrivateIpAddress"), ["false"; 3]);

    let beside = ack_ram_tool(folder.path(), &sim).await?;
    assert_eq!(beside.code, Some(0), "{beside:?}");
    let of = |id: &str| beside.out.contains(&format!("ClusterId: {id}"));
    assert_eq!(["c1", "c2", "c3"].map(of), [true, true, false], "{beside:?}");
    assert!(beside.out.contains(UID), "{beside:?}");

    run(over_account(folder.path(), &sim, &["scan", "--private-address"])?)
        .await?
        .ends_with(1);
    assert_eq!(
        asked(&sim, kubeconfig, "PrivateIpAddress").last().map(String::as_str),
        Some("true")
    );
    Ok(())
}

/// With a UID, ACK is asked once in which clusters it has a kubeconfig: also in those that cannot be asked themselves.
#[tokio::test(flavor = "multi_thread")]
async fn one_question_tells_where_a_uid_has_kubeconfigs() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (sim, [one, two]) = two_of_four(folder.path()).await?;
    scanned(&one, &[]).await?;
    scanned(&two, &[]).await?;
    sim.edit(|world| {
        for (id, state) in [("c2", CertificateState::Removed), ("c3", CertificateState::Unexpired)] {
            world.cluster_mut(id).unwrap().issue(UID, state);
        }
    });
    let said = run(over_account(
        folder.path(),
        &sim,
        &["scan", "--uid", UID, "-o", "json"],
    )?)
    .await?;
    let said = said
        .ends_with(1)
        .tells("ACK says that the UID has a kubeconfig for it: Unexpired.");
    let report = said.json();
    let state = |name: &str| cluster(&report, name)["kubeconfig"].as_str().unwrap_or("-").to_owned();
    assert_eq!(
        ["old", "prod c1", "prod c2", "test"].map(state),
        ["Unexpired", "Unissued", "Removed", "Unissued"]
    );
    assert_eq!(asked(&sim, Operation::CsListUserKubeConfigStates, "uid"), [UID]);
    Ok(())
}

/// A kubeconfig that is about to end is renewed before something is done with it, and each is counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_is_renewed_before_it_ends() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [one] = clusters().await;
    let one = running(one).await;
    bind(&one, &["team-a"]).await?;
    let sim = account(folder.path(), &FOUR[..1])?;
    sim.attach_user_kubeconfig("c1", CALLER, &caller(&one.cluster)?);
    let start = ["start", UID, "--object=left", "--yes", "-o", "json"];
    sim.edit(|world| world.kubeconfig_seconds = Some(60));
    let said = run(over_account(folder.path(), &sim, &start)?).await?.ends_with(0);
    assert_eq!(cluster(&said.json(), "prod")["kubeconfigsIssued"], 2);
    assert_eq!(
        asked(&sim, Operation::CsDescribeClusterUserKubeconfig, "cluster"),
        ["c1", "c1"]
    );
    one.wait_for_state("left", "Offboarded").await?;
    one.delete("left").await?;
    bind(&one, &["team-b"]).await?;
    sim.edit(|world| world.kubeconfig_seconds = None);
    let said = run(over_account(folder.path(), &sim, &start)?).await?.ends_with(0);
    assert_eq!(cluster(&said.json(), "prod")["kubeconfigsIssued"], 1);
    Ok(())
}

/// Without credentials, without the right to list clusters, and in an account without any.
#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_begin_without_a_list() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let sim = account(folder.path(), &[])?;
    let scan = || over_account(folder.path(), &sim, &["scan"]);
    run(scan()?).await?.ends_with(1).tells("your account has no clusters");
    sim.fault(Fault::new(Operation::CsDescribeClustersV1, FaultKind::Forbidden));
    run(scan()?).await?.ends_with(2).tells("cs:DescribeClustersV1");
    let mut without = scan()?;
    without
        .env_remove("ALIBABA_CLOUD_ACCESS_KEY_ID")
        .env_remove("ALIBABA_CLOUD_ACCESS_KEY_SECRET");
    run(without).await?.ends_with(2).tells("no Alibaba Cloud credentials");
    Ok(())
}

/// Where ACK issues no kubeconfig, the others are asked all the same; where its answer does not come, one may have been issued.
#[tokio::test(flavor = "multi_thread")]
async fn acks_refusals_are_told_apart() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let names = ["forbidden", "hanging", "throttled"];
    let sim = account(folder.path(), &names.map(|name| (name, "cn-hangzhou", name, "running")))?;
    let kubeconfig = Operation::CsDescribeClusterUserKubeconfig;
    let fault = |kind: FaultKind, about: &str| sim.fault(Fault::new(kubeconfig, kind).about(about));
    fault(FaultKind::Forbidden, "forbidden");
    fault(FaultKind::Hang, "hanging");
    fault(FaultKind::Throttled(Throttle::user()), "throttled");
    let args = ["status", "--cluster-timeout=10s", "-o", "json"];
    let said = run(over_account(folder.path(), &sim, &args)?).await?.ends_with(1);
    let expected = [
        "forbidden: NotCovered/NoRights",
        "hanging: NotCovered/Unreachable",
        "throttled: NotCovered/Unreachable",
    ];
    assert_eq!(ended(&said.json()), expected);
    let report = said.json();
    assert_eq!(
        names.map(|name| cluster(&report, name)["kubeconfigsIssued"].clone()),
        [0, 1, 0]
    );
    let asked = asked(&sim, kubeconfig, "cluster");
    let times = names.map(|name| asked.iter().filter(|cluster| *cluster == name).count());
    assert!(times[0] == 1 && times[1] == 1 && times[2] > 1, "{asked:?}");
    Ok(())
}

/// ack-ram-tool's scan of all clusters.
async fn ack_ram_tool(folder: &Path, sim: &Simulator) -> anyhow::Result<Said> {
    let binary = folder.join("ack-ram-tool");
    let built = Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&binary)
        .arg("github.com/AliyunContainerService/ack-ram-tool/cmd/ack-ram-tool")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("ack-ram-tool"))
        .env("CGO_ENABLED", "0")
        .output()?;
    anyhow::ensure!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let address = sim.https_url().unwrap();
    let address = address.trim_start_matches("https://");
    let mut tool = Command::new(&binary);
    tool.args([
        "rbac",
        "scan-user-permissions",
        "--ignore-aliyun-cli-credentials",
        "-c",
        "all",
    ])
    .env_clear()
    .env("HOME", folder)
    .env("SSL_CERT_FILE", folder.join("ca.pem"))
    .env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY)
    .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET)
    .env("ALIBABA_CLOUD_STS_ENDPOINT", address)
    .env("RAM_ENDPOINT", address)
    .env("CS_ENDPOINT", address);
    run(tool).await
}

//! `fleet scan --direct`: without operators, with the person's own credentials, and one listing of the account for all clusters.

use crate::{
    account::{CALLER, KEY, SECRET, account, caller, over_account},
    support::{UID, at, bind, closed, cluster, clusters, command, ended, hub, installed, run, without_our_kinds},
};
use ack_offboarding_e2e::{
    env::{CLUSTER_ID, user},
    simulator::{Fault, FaultKind, Operation, Simulator, World},
};
use serde_json::json;
use std::path::Path;

/// Whoever is asked beside STS and ACK.
fn endpoints(sim: &Simulator) -> Vec<String> {
    ["ims", "ram", "sls"]
        .map(|service| format!("--{service}-endpoint={}", sim.url()))
        .into()
}

fn count(sim: &Simulator, operation: Operation) -> usize {
    sim.calls().iter().filter(|call| call.operation == operation).count()
}

/// Two clusters of the account, one of them without our kinds: both are scanned, users and roles are listed once, and each deleted identity is
/// looked up once.
#[tokio::test(flavor = "multi_thread")]
async fn the_account_is_listed_once() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [one, two] = clusters().await;
    let (one, two) = (installed(one).await, installed(two).await);
    let sim = account(
        folder.path(),
        &[
            ("c1", "cn-hangzhou", "one", "running"),
            ("c2", "cn-beijing", "two", "running"),
        ],
    )?;
    for (env, id) in [(&one, "c1"), (&two, "c2")] {
        sim.attach_user_kubeconfig(id, CALLER, &caller(&env.cluster)?);
        bind(env, &["team-a"]).await?;
        // Who exists is no finding.
        env.role_binding("team-a", "caller", "view", &[user(CALLER)]).await?;
    }
    without_our_kinds(&two.cluster).await?;
    let scan = async |args: &[&str]| {
        let endpoints = endpoints(&sim);
        let all: Vec<&str> = ["scan", "--direct", "-o", "json"]
            .into_iter()
            .chain(args.iter().copied())
            .chain(endpoints.iter().map(String::as_str))
            .collect();
        run(over_account(folder.path(), &sim, &all)?).await
    };
    let said = scan(&[]).await?.ends_with(1);
    let report = said.json();
    assert_eq!(ended(&report), ["one: Done", "two: Done"], "{}", said.err);
    for name in ["one", "two"] {
        let found = &cluster(&report, name)["findings"];
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
        assert_eq!((&found[0]["uid"], &found[0]["state"]), (&UID.into(), &"Deleted".into()));
        assert!(cluster(&report, name)["gaps"].is_null());
    }
    // Users who may sign in, and those who are frozen.
    assert_eq!(count(&sim, Operation::ImsListUsers), 2);
    assert_eq!(count(&sim, Operation::ImsListUsersInRecycleBin), 1);
    assert!(count(&sim, Operation::ImsGetUser) <= 2, "both at the same time at most");

    sim.fault(Fault::new(Operation::SlsGetIndex, FaultKind::Forbidden).about("c2"));
    let said = scan(&["--all", "--uid", CALLER]).await?.ends_with(1);
    let report = said.json();
    let gaps = ["one", "two"].map(|name| cluster(&report, name)["gaps"].clone());
    assert_eq!(gaps, [json!(null), json!(["NotAsked"])]);
    assert_eq!(cluster(&report, "two")["findings"][0]["state"], "Active");
    assert_eq!(count(&sim, Operation::CsListUserKubeConfigStates), 1);

    // What was not answered is asked again, and what was is kept until then.
    let file = folder.path().join("scan.json").display().to_string();
    let scan_again = |flag: &str| format!("{flag}={file}");
    scan(&[&scan_again("--report")])
        .await?
        .ends_with(1)
        .tells("the same command, with --resume=");
    sim.fault(Fault::new(Operation::CsDescribeClusterUserKubeconfig, FaultKind::Forbidden).about("c2"));
    let kept = scan(&[&scan_again("--resume")]).await?.ends_with(1);
    let report = kept.json();
    assert_eq!(ended(&report), ["one: Done", "two: Done"], "{}", kept.err);
    assert_eq!(cluster(&report, "two")["findings"][0]["uid"], UID);
    assert_eq!(cluster(&report, "two")["gaps"], json!(["NotAsked"]));
    kept.tells("two: not covered");
    sim.clear_faults();
    let whole = scan(&[&scan_again("--resume")]).await?.ends_with(1);
    assert!(cluster(&whole.json(), "two")["gaps"].is_null(), "{}", whole.err);
    assert!(!whole.err.contains("--resume="), "{}", whole.err);
    Ok(())
}

/// Contexts: a cluster of another account, one that says nothing of itself, and one that is down are not covered, and the others are.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_account_is_not_covered() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [one, two] = clusters().await;
    let (one, two) = (installed(one).await, installed(two).await);
    bind(&one, &["team-a"]).await?;
    bind(&two, &["team-a"]).await?;
    let sim = account(folder.path(), &[(CLUSTER_ID, "cn-hangzhou", "one", "running")])?;
    let ours = World::default().account_id;
    one.cluster.set_cluster_profile(CLUSTER_ID, &ours).await?;
    two.cluster.set_cluster_profile("c2", "1999999999999999").await?;
    let admin = one.cluster.admin_kubeconfig();
    let paths = [
        ("ours", admin.clone()),
        ("theirs", two.cluster.admin_kubeconfig()),
        ("stranger", one.cluster.user_kubeconfig("a-stranger", &[])?),
        ("down", at(&admin, &format!("https://{}", closed().await?), "down")?),
    ];
    let members: Vec<_> = paths.iter().map(|(name, path)| (*name, path.as_path())).collect();
    let kubeconfig = folder.path().join("hub.kubeconfig");
    hub(&kubeconfig, &members)?;
    let mut flags = endpoints(&sim);
    flags.extend(["sts", "cs"].map(|service| format!("--{service}-endpoint={}", sim.url())));
    let scan = async |more: &[&str], kubeconfig: &Path| {
        let all: Vec<&str> = ["fleet", "scan", "--all-contexts", "--region=cn-hangzhou"]
            .into_iter()
            .chain(more.iter().copied())
            .chain(flags.iter().map(String::as_str))
            .collect();
        let mut command = command(folder.path(), kubeconfig, &all)?;
        command
            .env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY)
            .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET);
        run(command).await
    };
    let said = scan(&["--direct", "-o", "json"], &kubeconfig).await?.ends_with(1);
    assert_eq!(
        ended(&said.json()),
        [
            "ours: Done",
            "theirs: NotCovered/OtherAccount",
            "stranger: NotCovered/NoRights",
            "down: NotCovered/Unreachable",
        ],
        "{}",
        said.err
    );
    assert_eq!(cluster(&said.json(), "ours")["findings"][0]["uid"], UID);
    assert_eq!(
        cluster(&said.json(), "ours")["region"],
        "cn-hangzhou",
        "as ACK lists it"
    );
    said.tells("belongs to account 1999999999999999")
        .tells("Scan it alone, and name it: kubectl ack-offboard scan --direct --context=stranger --cluster-id=ID");

    sim.fault(Fault::new(Operation::CsDescribeClustersV1, FaultKind::Forbidden));
    let unlisted = scan(&["--direct", "-o", "json"], &kubeconfig).await?.ends_with(1);
    let ours = cluster(&unlisted.json(), "ours").clone();
    assert_eq!((&ours["ended"], &ours["gaps"]), (&json!("Done"), &json!(["NotAsked"])));
    assert!(
        ours["message"].as_str().unwrap().contains("its region is not known"),
        "{ours}"
    );
    scan(&[], &kubeconfig)
        .await?
        .ends_with(64)
        .tells("are for --all-clusters and --direct");
    Ok(())
}

//! `scan`: as the operator found it, and `--direct` without an operator.

use crate::support::{
    LEAVER, Said, TestEnv, UID, command, ended, env, give_access, person, plugin, running, shows, stranger, terminal,
};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{ACCESS_KEY, ACCESS_SECRET, ACCOUNT, CLUSTER_ID, PATIENCE, SECURITY_TOKEN, add_user, issue_kubeconfig, user},
    simulator::{
        Fault, FaultKind, Operation, PageFault,
        world::{CertificateState, RecycledUser, User},
    },
};
use ack_offboarding_operator::api::PermissionScan;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use std::path::Path;

const COLLEAGUE: &str = "201000000000000002";
const BINNED: &str = "201000000000000004";

pub(crate) async fn create_scan(env: &TestEnv) -> anyhow::Result<()> {
    let scan: PermissionScan = serde_json::from_value(json!({"metadata": {"name": "default"}, "spec": {}}))?;
    Api::all(env.admin()).create(&PostParams::default(), &scan).await?;
    Ok(())
}

/// The colleague is a user of the account, one is in the recycle bin, and the leaver is nowhere.
pub(crate) async fn give_all(env: &TestEnv) -> anyhow::Result<()> {
    give_access(env).await?;
    add_user(&env.sim, COLLEAGUE, "colleague");
    env.sim.edit(|world| {
        let binned = User::new(BINNED, "binned");
        world
            .recycle_bin
            .push(RecycledUser::new(&binned, format!("binned@{ACCOUNT}.onaliyun.com")));
    });
    issue_kubeconfig(&env.sim, BINNED, CertificateState::Unexpired);
    env.role_binding("team-a", "on-call", "edit", &[user(COLLEAGUE), user(LEAVER)])
        .await?;
    Ok(())
}

/// Nobody, then somebody, in every format; the operator looks again when it is asked to.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_found() -> anyhow::Result<()> {
    let env = running().await;
    let admin = env.cluster.admin_kubeconfig();
    let none = plugin(&admin, &["scan"]).await?.ends_with(2);
    none.prints_nothing().tells("has no PermissionScan \"default\"");
    let refused = plugin(&stranger(&env)?, &["scan"]).await?.ends_with(2);
    refused.tells("ack-offboarding-auditor");

    create_scan(&env).await?;
    let auditor = person(&env, "auditor").await?;
    eventually("the first scan", PATIENCE, async || {
        let said = plugin(&auditor, &["scan"]).await?;
        Ok((said.code == Some(0)).then_some(said))
    })
    .await?
    .prints_nothing()
    .tells("Nobody was found.");

    give_all(&env).await?;
    let found = plugin(&auditor, &["scan", "--refresh"]).await?.ends_with(1);
    shows!("scan-table", format!("{}{}", found.out, found.err));
    for format in ["wide", "json", "yaml", "name"] {
        let said = plugin(&auditor, &["scan", "-o", format]).await?.ends_with(1);
        shows!(format!("scan-{format}"), said.out);
    }
    let one = plugin(&auditor, &["scan", "--uid", COLLEAGUE]).await?.ends_with(0);
    one.prints_nothing();
    let one = plugin(&auditor, &["scan", "--uid", UID, "-o", "name"])
        .await?
        .ends_with(1);
    assert_eq!(one.out, format!("{UID}\n"));
    let all = plugin(&auditor, &["scan", "--all"]).await?.ends_with(1);
    all.tells("\"include\":\"All\"");
    let cloud = plugin(&auditor, &["scan", "--profile", "x"]).await?.ends_with(64);
    cloud.tells("--direct");

    let (seen, code) = tokio::task::spawn_blocking(move || ended(terminal(&auditor, &["scan"], false)?)).await??;
    assert_eq!(code, Some(1), "{seen}");
    assert!(seen.contains("\u{1b}[31mDeleted\u{1b}[0m"), "in red: {seen:?}");
    Ok(())
}

/// An operator that never looked is told from one that found nobody, and after ten seconds it is called one that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_looked_yet() -> anyhow::Result<()> {
    let env = env().await;
    create_scan(&env).await?;
    let admin = env.cluster.admin_kubeconfig();
    let said = plugin(&admin, &["scan"]).await?.ends_with(2);
    said.prints_nothing().tells("no scan was complete yet");
    eventually("the plugin to call it no answer", PATIENCE, async || {
        let said = plugin(&admin, &["scan"]).await?.ends_with(2);
        Ok(said.err.contains("no operator answers").then_some(()))
    })
    .await
}

/// What is shown after `--refresh` is of the scan that was asked for, or the exit code says that it is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_was_asked_for_fails_or_does_not_come() -> anyhow::Result<()> {
    let mut env = running().await;
    give_all(&env).await?;
    create_scan(&env).await?;
    let auditor = person(&env, "auditor").await?;
    let scans: Api<PermissionScan> = Api::all(env.admin());
    let is_scanned = |scan: Option<&PermissionScan>| {
        let status = scan.and_then(|scan| scan.status.as_ref());
        status.is_some_and(|status| status.last_scan_time.is_some())
    };
    let first = tokio::time::timeout(PATIENCE, await_condition(scans, "default", is_scanned)).await;
    first.map_err(|_| anyhow::anyhow!("no first scan:\n{}", env.operator_log()))??;
    plugin(&auditor, &["scan"]).await?.ends_with(1);
    env.sim.fault(Fault::new(Operation::ImsListUsers, FaultKind::Forbidden));
    let failed = plugin(&auditor, &["scan", "--refresh", "-o", "name"])
        .await?
        .ends_with(2);
    assert_eq!(failed.out, format!("{UID}\n{BINNED}\n"), "what was found before");
    failed.tells("Scanned").tells("Forbidden:");
    // Who was not found by an earlier scan may be found by the next.
    let nobody = plugin(&auditor, &["scan", "--uid", COLLEAGUE]).await?.ends_with(2);
    nobody.tells("Forbidden:");
    env.sim.clear_faults();

    env.kill_operator();
    let said = plugin(&auditor, &["scan", "--refresh", "--timeout=2s"])
        .await?
        .ends_with(3);
    said.prints_nothing().tells("no operator answered within 2 s");
    plugin(&auditor, &["scan", "--timeout=2s"]).await?.ends_with(64);
    Ok(())
}

/// The flags that lead to the simulated cloud.
fn endpoints(env: &TestEnv) -> Vec<String> {
    let url = env.sim.url();
    let services = ["sts", "ims", "ram", "cs", "sls"];
    let flags = services.map(|service| format!("--{service}-endpoint={url}"));
    flags.into_iter().chain(["--region=cn-hangzhou".to_owned()]).collect()
}

/// Scans without an operator, with credentials in the environment.
async fn direct(env: &TestEnv, secret: &str, args: &[&str]) -> anyhow::Result<Said> {
    let keys = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", SECURITY_TOKEN),
    ];
    direct_as(env, &env.cluster.admin_kubeconfig(), &keys, args).await
}

/// The same as somebody else, with these variables.
pub(crate) async fn direct_as(
    env: &TestEnv,
    kubeconfig: &Path,
    variables: &[(&str, &str)],
    args: &[&str],
) -> anyhow::Result<Said> {
    let endpoints = endpoints(env);
    let flags = endpoints.iter().map(String::as_str);
    let all: Vec<&str> = ["scan", "--direct"]
        .into_iter()
        .chain(args.iter().copied())
        .chain(flags)
        .collect();
    let mut command = command(kubeconfig, &all)?;
    command.envs(variables.iter().copied());
    let said = Said::of(tokio::task::spawn_blocking(move || command.output()).await??)?;
    for secret in [ACCESS_SECRET, SECURITY_TOKEN] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret), "{said:?}");
    }
    Ok(said)
}

/// Takes away the ConfigMap by which an ACK cluster knows itself.
async fn lose_profile(env: &TestEnv) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(env.admin(), "kube-system");
    maps.delete("ack-cluster-profile", &DeleteParams::default()).await?;
    Ok(())
}

/// The same findings without an operator; everybody with `--all`, each with all bindings; nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn direct_finds_what_the_operator_finds() -> anyhow::Result<()> {
    let env = env().await;
    give_all(&env).await?;
    for number in 0..5 {
        env.role_binding("team-b", &format!("more-{number}"), "view", &[user(UID)])
            .await?;
    }
    let found = direct(&env, ACCESS_SECRET, &[]).await?.ends_with(1);
    shows!("scan-direct", format!("{}{}", found.out, found.err));
    lose_profile(&env).await?;
    let unknown = direct(&env, ACCESS_SECRET, &[]).await?.ends_with(64);
    unknown.tells("--cluster-id=ID");
    let cluster = format!("--cluster-id={CLUSTER_ID}");
    let unknown = direct(&env, ACCESS_SECRET, &[&cluster]).await?.ends_with(64);
    unknown.tells("--account-id=ID");
    let account = format!("--account-id={ACCOUNT}");
    let direct = async |args: &[&str]| {
        let named = [cluster.as_str(), account.as_str()];
        direct(&env, ACCESS_SECRET, &[&named, args].concat()).await
    };
    let found = direct(&["--all", "-o", "json"]).await?.ends_with(1);
    let json: Value = serde_json::from_str(&found.out)?;
    let of = |uid: &str| {
        let items = json["items"].as_array().into_iter().flatten();
        items
            .into_iter()
            .find(|item| item["uid"] == uid)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(
        (of(COLLEAGUE)["state"].as_str(), of(BINNED)["state"].as_str()),
        (Some("Active"), Some("RecycleBin"))
    );
    assert_eq!(
        of(UID)["bindings"].as_array().map(Vec::len),
        Some(8),
        "all of them: {}",
        found.out
    );
    let one = direct(&["--uid", COLLEAGUE, "-o", "name"]).await?.ends_with(1);
    assert_eq!(one.out, format!("{COLLEAGUE}\n"));
    let nobody = direct(&["--uid", "201000000000000099"]).await?.ends_with(0);
    nobody.prints_nothing().tells("Nobody was found.");
    Ok(())
}

/// Nobody is called deleted where it is not known who exists.
#[tokio::test(flavor = "multi_thread")]
async fn direct_says_nothing_where_it_cannot_know() -> anyhow::Result<()> {
    let env = env().await;
    give_all(&env).await?;
    // More than a page of users.
    for number in 0..1100_u64 {
        add_user(
            &env.sim,
            &(260_000_000_000_000_000 + number).to_string(),
            &format!("user-{number}"),
        );
    }
    let said = direct(&env, "wrong", &[]).await?.ends_with(2);
    said.prints_nothing()
        .tells("nobody is called deleted")
        .tells("Renew your Alibaba Cloud credentials");
    let said = direct(&env, ACCESS_SECRET, &["--account-id=1999999999999999"])
        .await?
        .ends_with(2);
    said.prints_nothing().tells("belongs to account 1999999999999999");
    for (operation, kind, told) in [
        (Operation::ImsListUsers, FaultKind::Forbidden, "scan --help"),
        (
            Operation::ImsListUsers,
            FaultKind::Page(PageFault::Repeated),
            "A listing is not whole",
        ),
        (
            Operation::RamListRoles,
            FaultKind::Page(PageFault::Empty),
            "lacks the identity whose credentials are used",
        ),
        (Operation::ImsGetUser, FaultKind::Forbidden, "nobody is called deleted"),
    ] {
        let fault = format!("{operation:?} {kind:?}");
        env.sim.fault(Fault::new(operation, kind));
        let said = direct(&env, ACCESS_SECRET, &[]).await?;
        assert_eq!(said.code, Some(2), "{fault}: {said:#?}");
        said.prints_nothing().tells(told);
        env.sim.clear_faults();
    }
    // What is not needed is missed, and the table is shown.
    env.sim.fault(Fault::new(
        Operation::CsListClusterKubeconfigStates,
        FaultKind::Forbidden,
    ));
    let said = direct(&env, ACCESS_SECRET, &[]).await?.ends_with(1);
    said.tells("ACK does not tell the states of kubeconfigs");
    env.sim.clear_faults();
    let none = plugin(&env.cluster.admin_kubeconfig(), &["scan", "--direct"])
        .await?
        .ends_with(2);
    none.prints_nothing().tells("no Alibaba Cloud credentials");
    Ok(())
}

//! What changes something: started and approved in several clusters, each by its own plan.

use crate::support::{
    LEAVER, TestEnv, UID, bind, cluster, clusters, command, ended, finish, fleet, hub, installed, run, running,
    terminal,
};
use ack_offboarding_e2e::env::user;
use ack_offboarding_operator::api::UserOffboarding;
use kube::{ResourceExt, api::ListParams};
use serde_json::json;
use std::{path::Path, process::Command};

async fn objects(env: &TestEnv) -> anyhow::Result<Vec<UserOffboarding>> {
    Ok(env.offboardings().list(&ListParams::default()).await?.items)
}

async fn names(env: &TestEnv) -> anyhow::Result<Vec<String>> {
    Ok(objects(env).await?.iter().map(ResourceExt::name_any).collect())
}

/// Plans, starts where something would change, and later goes on where nothing could be asked.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_started_where_something_would_change() -> anyhow::Result<()> {
    let [one, two, bare] = clusters().await;
    let (one, two) = (running(one).await, running(two).await);
    bind(&one, &["team-a"]).await?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("hub.kubeconfig");
    let paths = [
        one.cluster.admin_kubeconfig(),
        two.cluster.admin_kubeconfig(),
        bare.admin_kubeconfig(),
    ];
    hub(&kubeconfig, &[("a", &paths[0]), ("b", &paths[1]), ("c", &paths[2])])?;

    let said = fleet(
        folder.path(),
        &kubeconfig,
        &["plan", UID, "--all-contexts", "-o", "json"],
    )
    .await?;
    let said = said.ends_with(1);
    let report = said.json();
    assert_eq!(ended(&said.json()), ["a: Done", "b: Done", "c: NotCovered/NoOperator"]);
    assert_eq!(cluster(&report, "a")["plan"]["total"], 1, "{report:#}");
    assert_eq!(cluster(&report, "b")["message"], "Nothing would change.");
    let said = fleet(folder.path(), &kubeconfig, &["plan", UID, "--all-contexts"])
        .await?
        .ends_with(1);
    assert!(said.out.contains("== a ==\nPlan for UID"), "{}", said.out);
    assert!(
        names(&one).await?.is_empty() && names(&two).await?.is_empty(),
        "no dry run is left"
    );

    let path = folder.path().join("report.json");
    let path = path.to_str().unwrap();
    let start = [
        "start",
        UID,
        "--object=left",
        "--reason=TICKET-7",
        "--all-contexts",
        "-o",
        "json",
    ];
    fleet(folder.path(), &kubeconfig, &start)
        .await?
        .ends_with(64)
        .tells("--yes");
    assert!(names(&one).await?.is_empty(), "nobody was asked");

    let said = fleet(
        folder.path(),
        &kubeconfig,
        &[&start[..], &["--yes", "--report", path]].concat(),
    )
    .await?;
    let said = said.ends_with(1).tells("Not covered: c (no operator)");
    let first = said.json();
    assert_eq!(ended(&said.json()), ["a: Done", "b: Done", "c: NotCovered/NoOperator"]);
    assert_eq!(cluster(&first, "a")["offboardings"][0]["name"], "left");
    assert_eq!(
        cluster(&first, "b")["message"],
        "nothing would change, so nothing was created"
    );
    assert_eq!(
        (names(&one).await?, names(&two).await?.len()),
        (vec!["left".to_owned()], 0)
    );
    assert_eq!(objects(&one).await?[0].spec.reason.as_deref(), Some("TICKET-7"));
    one.wait_for_state("left", "Offboarded").await?;
    assert!(one.bindings_of(UID).await?.is_empty());

    // The third cluster gets an operator; the first two are not asked again.
    let three = running(bare).await;
    bind(&three, &["team-c"]).await?;
    let said = fleet(
        folder.path(),
        &kubeconfig,
        &[&start[..], &["--yes", "--resume", path]].concat(),
    )
    .await?;
    let said = said.ends_with(0);
    assert_eq!(ended(&said.json()), ["a: Done", "b: Done", "c: Done"]);
    let second = said.json();
    for name in ["a", "b"] {
        assert_eq!(cluster(&second, name), cluster(&first, name));
    }
    three.wait_for_state("left", "Offboarded").await?;
    // Once more, without the file: nothing is created twice.
    let said = fleet(folder.path(), &kubeconfig, &[&start[..], &["--yes"]].concat())
        .await?
        .ends_with(0);
    let message = cluster(&said.json(), "a")["message"].as_str().unwrap().to_owned();
    assert!(
        message.starts_with("UserOffboarding left deals with it already; it is Offboarded"),
        "{message}"
    );
    // A dry run ends nothing, and is not taken for what was asked.
    two.apply("looked-at", json!({"uid": UID, "mode": "DryRun"})).await?;
    let said = fleet(folder.path(), &kubeconfig, &[&start[..], &["--yes"]].concat()).await?;
    assert_eq!(ended(&said.ends_with(1).json()), ["a: Done", "b: Held", "c: Done"]);
    Ok(())
}

/// The clusters' plans differ, and each is approved by its own digest.
#[tokio::test(flavor = "multi_thread")]
async fn each_plan_is_approved_by_its_own_digest() -> anyhow::Result<()> {
    let [one, two, other] = clusters().await;
    let (one, two, other) = (running(one).await, running(two).await, installed(other).await);
    bind(&one, &["team-a"]).await?;
    bind(&two, &["team-a", "team-b"]).await?;
    for env in [&one, &two] {
        env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
        env.wait_for_state("left", "AwaitingApproval").await?;
    }
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("hub.kubeconfig");
    let paths = [&one, &two, &other].map(|env| env.cluster.admin_kubeconfig());
    hub(&kubeconfig, &[("a", &paths[0]), ("b", &paths[1]), ("c", &paths[2])])?;
    let args = [
        "approve",
        "left",
        "--all-contexts",
        "--reason=TICKET-7",
        "--yes",
        "-o",
        "json",
    ];
    let said = fleet(folder.path(), &kubeconfig, &args).await?.ends_with(1);
    let said = said.tells("== a ==\nPlan for UID").tells("== b ==\nPlan for UID");
    assert_eq!(
        ended(&said.json()),
        ["a: Done", "b: Done", "c: NotCovered/NoSuchObject"]
    );
    let mut digests = Vec::new();
    for (env, name) in [(&one, "a"), (&two, "b")] {
        let object = env.offboardings().get("left").await?;
        let [approval] = &object.spec.approvals[..] else {
            anyhow::bail!("one approval: {:?}", object.spec.approvals)
        };
        assert_eq!(approval.reason.as_deref(), Some("TICKET-7"));
        let message = format!("approved {}", approval.digest);
        assert_eq!(cluster(&said.json(), name)["message"], message.as_str());
        digests.push(approval.digest.clone());
        env.wait_for_state("left", "Offboarded").await?;
        assert!(env.bindings_of(UID).await?.is_empty());
    }
    assert_ne!(digests[0], digests[1]);
    let said = fleet(folder.path(), &kubeconfig, &args).await?.ends_with(1);
    assert_eq!(
        ended(&said.json()),
        ["a: Done", "b: Done", "c: NotCovered/NoSuchObject"]
    );
    Ok(())
}

/// One plan changes while somebody looks at it: that one is not approved, the other is.
#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_there_is_one_question() -> anyhow::Result<()> {
    let [one, two] = clusters().await;
    let (one, two) = (running(one).await, running(two).await);
    for env in [&one, &two] {
        bind(env, &["team-a"]).await?;
        env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
        env.wait_for_state("left", "AwaitingApproval").await?;
    }
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("hub.kubeconfig");
    let paths = [&one, &two].map(|env| env.cluster.admin_kubeconfig());
    hub(&kubeconfig, &[("a", &paths[0]), ("b", &paths[1])])?;
    let ask = async |answer: Option<&'static str>| {
        let kubeconfig = kubeconfig.clone();
        tokio::task::spawn_blocking(move || {
            let mut session = terminal(&kubeconfig, &["fleet", "approve", "left", "--all-contexts"], false)?;
            session.exp_string("Approve these plans in 2 clusters: a, b?")?;
            if let Some(answer) = answer {
                session.send(answer)?;
                session.flush()?;
            }
            anyhow::Ok(session)
        })
        .await?
    };
    for (answer, code) in [("n\r", 1), ("\u{3}", 130)] {
        let session = ask(Some(answer)).await?;
        let (said, ended) = tokio::task::spawn_blocking(move || finish(session)).await??;
        assert_eq!(ended, Some(code), "{said}");
    }
    for env in [&one, &two] {
        assert!(env.offboardings().get("left").await?.spec.approvals.is_empty());
    }
    let mut session = ask(None).await?;
    two.role_binding("team-b", "new", "view", &[user(LEAVER)]).await?;
    two.wait_for("left", "a plan with the new binding", |status| {
        status.plan.as_ref().is_some_and(|plan| plan.total == 2)
    })
    .await?;
    let (said, ended) = tokio::task::spawn_blocking(move || {
        session.send("y\r")?;
        session.flush()?;
        finish(session)
    })
    .await??;
    assert_eq!(ended, Some(2), "{said}");
    assert!(said.contains("is another one by now"), "{said}");
    assert_eq!(one.offboardings().get("left").await?.spec.approvals.len(), 1);
    assert!(two.offboardings().get("left").await?.spec.approvals.is_empty());
    assert_eq!(two.bindings_of(UID).await?.len(), 2, "nothing was touched");
    Ok(())
}

/// Ctrl-C while the plans are made: what was created for them is removed.
#[tokio::test(flavor = "multi_thread")]
async fn dry_runs_are_removed_after_ctrl_c() -> anyhow::Result<()> {
    use ack_offboarding_e2e::{cluster::eventually, env::PATIENCE};
    let [one] = clusters().await;
    // No operator runs: the plan does not come.
    let one = installed(one).await;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("hub.kubeconfig");
    hub(&kubeconfig, &[("a", &one.cluster.admin_kubeconfig())])?;
    let mut command = command(folder.path(), &kubeconfig, &["fleet", "plan", UID, "--all-contexts"])?;
    let child = command.spawn()?;
    eventually("the dry run", PATIENCE, async || {
        Ok((names(&one).await?.len() == 1).then_some(()))
    })
    .await?;
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)?;
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await??;
    assert_eq!(output.status.code(), Some(130));
    assert!(names(&one).await?.is_empty());
    // Nobody answers, and it says so.
    let said = run(self::command_of(folder.path(), &kubeconfig)?).await?.ends_with(1);
    assert_eq!(ended(&said.json()), ["a: NotCovered/NoOperator"]);
    assert!(names(&one).await?.is_empty());
    Ok(())
}

fn command_of(folder: &Path, kubeconfig: &Path) -> anyhow::Result<Command> {
    command(
        folder,
        kubeconfig,
        &["fleet", "plan", UID, "--all-contexts", "-o", "json"],
    )
}

//! Ctrl-C: no other cluster begins, and each says where it stood.

use crate::support::{Said, Silent, at, closed, cluster, clusters, command, ended, fleet, hub, installed, scanned};
use ack_offboarding_e2e::{cluster::eventually, env::PATIENCE};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_and_what_was_not_is_told() -> anyhow::Result<()> {
    let [one] = clusters().await;
    let one = installed(one).await;
    scanned(&one, &[]).await?;
    let folder = tempfile::tempdir()?;
    let silent = Silent::start().await?;
    let admin = one.cluster.admin_kubeconfig();
    let hanging = at(&admin, &format!("https://{}", silent.address), "hanging")?;
    let kubeconfig = folder.path().join("hub.kubeconfig");
    hub(
        &kubeconfig,
        &[("done", &admin), ("hanging", &hanging), ("later", &admin)],
    )?;
    let report = folder.path().join("report.json");
    let path = report.to_str().unwrap();
    let args = [
        "fleet",
        "scan",
        "--all-contexts",
        "--concurrency=1",
        "--cluster-timeout=10m",
        "--report",
        path,
    ];
    let child = command(folder.path(), &kubeconfig, &args)?.spawn()?;
    let read = || -> Option<Value> { serde_json::from_slice(&std::fs::read(&report).ok()?).ok() };
    eventually("the first cluster to be done", PATIENCE, async || {
        Ok(read()
            .filter(|report| cluster(report, "done")["ended"] == "Done")
            .map(drop))
    })
    .await?;
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let said = Said::of(tokio::task::spawn_blocking(move || child.wait_with_output()).await??)?;
    let said = said
        .ends_with(130)
        .tells("3 clusters: 1 done, 2 not covered.")
        .tells("Not covered: later (interrupted): interrupted before its turn")
        .tells("--resume=");
    assert!(said.out.contains("hanging"), "{}", said.out);
    let first = read().unwrap();
    assert_eq!(
        ended(&first),
        [
            "done: Done",
            "hanging: NotCovered/Interrupted",
            "later: NotCovered/Interrupted"
        ]
    );

    // Where it goes on, the one that is done is not asked again: its cluster is gone, and that is not noticed.
    let gone = at(&admin, &format!("https://{}", closed().await?), "gone")?;
    hub(&kubeconfig, &[("done", &gone), ("hanging", &admin), ("later", &admin)])?;
    let said = fleet(
        folder.path(),
        &kubeconfig,
        &["scan", "--all-contexts", "--resume", path, "-o", "json"],
    )
    .await?;
    let said = said.ends_with(0);
    assert_eq!(ended(&said.json()), ["done: Done", "hanging: Done", "later: Done"]);
    assert_eq!(cluster(&said.json(), "done"), cluster(&first, "done"));
    assert_eq!(ended(&read().unwrap()), ended(&said.json()));

    // Of another verb, or no report at all.
    let other = ["status", "--all-contexts", "--resume", path];
    fleet(folder.path(), &kubeconfig, &other)
        .await?
        .ends_with(64)
        .tells("is of `fleet scan`");
    let other = ["scan", "--all-contexts", "--resume", kubeconfig.to_str().unwrap()];
    fleet(folder.path(), &kubeconfig, &other)
        .await?
        .ends_with(64)
        .tells("is no report");
    Ok(())
}

//! How long many clusters take: as long as the slowest, not as long as all of them.

use crate::{
    account::{CALLER, account, caller, over_account},
    support::{Silent, at, closed, clusters, ended, installed, run, scanned},
};
use ack_offboarding_e2e::simulator::{Fault, FaultKind, Operation};
use std::time::{Duration, Instant};

/// 20 clusters on three API servers, one of them dead and one hanging. The bound is made of this run's own times; the hanging one has a
/// deadline of ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn twenty_clusters_take_as_long_as_the_slowest() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let [one, two, three] = clusters().await;
    let envs = [installed(one).await, installed(two).await, installed(three).await];
    for env in &envs {
        scanned(env, &[]).await?;
    }
    let ids: Vec<String> = (1..=20).map(|n| format!("c{n:02}")).collect();
    let listed: Vec<_> = ids
        .iter()
        .map(|id| (id.as_str(), "cn-hangzhou", id.as_str(), "running"))
        .collect();
    let sim = account(folder.path(), &listed)?;
    let silent = Silent::start().await?;
    let (dead, hanging) = ("c05", "c11");
    for (env, id) in envs.iter().cycle().zip(&ids) {
        let own = caller(&env.cluster)?;
        let kubeconfig = match id.as_str() {
            id if id == dead => at(&own, &format!("https://{}", closed().await?), id)?,
            id if id == hanging => at(&own, &format!("https://{}", silent.address), id)?,
            _ => own,
        };
        sim.attach_user_kubeconfig(id, CALLER, &kubeconfig);
    }
    // As far away as a region: asked one after the other, the live ones alone would take longer than the bound allows.
    let latency = FaultKind::Latency(Duration::from_millis(400));
    sim.fault(Fault::new(Operation::CsDescribeClusterUserKubeconfig, latency));
    let scan = over_account(folder.path(), &sim, &["scan", "-o", "json"])?;
    let began = Instant::now();
    let said = run(scan).await?.ends_with(1);
    let total = began.elapsed().as_secs_f64();

    let expected: Vec<String> = ids
        .iter()
        .map(|id| match id == dead || id == hanging {
            true => format!("{id}: NotCovered/Unreachable"),
            false => format!("{id}: Done"),
        })
        .collect();
    assert_eq!(ended(&said.json()), expected, "none is lost");
    let report = said.json();
    let clusters = report["clusters"].as_array().unwrap().iter();
    let live = clusters.filter(|cluster| cluster["ended"] == "Done");
    let took: Vec<f64> = live
        .map(|cluster| cluster["tookMs"].as_f64().unwrap() / 1000.0)
        .collect();
    let (sum, slowest) = (took.iter().sum::<f64>(), took.iter().copied().fold(0.0, f64::max));
    let bound = 1.5 * (sum / 8.0 + slowest) + 10.0;
    eprintln!("total {total:.2} s; live: sum {sum:.2} s, slowest {slowest:.2} s; bound {bound:.2} s");
    assert!(total <= bound, "{total:.2} s is more than {bound:.2} s");
    Ok(())
}

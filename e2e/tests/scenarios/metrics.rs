//! What Prometheus is told.

use crate::support::{TestEnv, UID, env, give_access, running};
use ack_offboarding_e2e::{
    cluster::{BARRIER, Process, ScratchDir, eventually},
    env::{OperatorOptions, PATIENCE},
    simulator::{Fault, FaultKind, Operation},
};
use ack_offboarding_operator::api::{Reason, scan::FindingState};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};

/// The value of a sample, such as `ack_offboarding_leader` or `...{state="Offboarded"}`.
#[track_caller]
fn value(metrics: &str, sample: &str) -> f64 {
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
        .unwrap_or_else(|| panic!("no {sample} in\n{metrics}"))
}

/// The metrics of docs/metrics.md.
fn documented() -> BTreeSet<String> {
    let page = include_str!("../../../docs/metrics.md");
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

/// The metrics of a scrape, as they are queried: a counter ends in `_total`.
fn families(metrics: &str) -> BTreeSet<String> {
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| match kind {
            "counter" => format!("{name}_total"),
            _ => name.to_owned(),
        })
        .collect()
}

/// An offboarding in whose course RAM fails once.
async fn offboard_with_a_retry(env: &TestEnv) -> anyhow::Result<()> {
    env.sim
        .fault(Fault::new(Operation::RamListRoles, FaultKind::ServerError(503)).times(1));
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await.map(drop)
}

/// The queries of the chart's dashboard.
fn queries() -> Vec<String> {
    let dashboard = include_str!("../../../charts/ack-offboarding-operator/files/dashboard.json");
    let dashboard: Value = serde_json::from_str(dashboard).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets
        .map(|target| target["expr"].as_str().expect("a query").to_owned())
        .collect()
}

/// Each query of the dashboard returns series, from a real Prometheus that scrapes the running operator. Where there is no Prometheus
/// (Debian: prometheus), this is not tested, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn each_query_of_the_dashboard_returns_series() -> anyhow::Result<()> {
    if Command::new("prometheus").arg("--version").output().is_err() {
        eprintln!("NOT TESTED: there is no prometheus on the PATH.");
        return Ok(());
    }
    let env = running().await;
    give_access(&env).await?;
    offboard_with_a_retry(&env).await?;
    let folder = ScratchDir::new("prometheus")?;
    let config = format!(
        "global: {{scrape_interval: 1s}}\n\
         scrape_configs: [{{job_name: operator, static_configs: [{{targets: [{:?}]}}]}}]\n",
        env.operator_address()?
    );
    std::fs::write(folder.path().join("prometheus.yml"), config)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = Command::new("prometheus");
    command
        .current_dir(folder.path())
        .args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--log.level=warn",
        ])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let prometheus = Process::spawn("prometheus", &command, &folder.path().join("prometheus.log"))?;
    let queries = queries();
    assert!(queries.len() > 10);
    for query in queries {
        let what = format!("series of {query}");
        let series = eventually(&what, PATIENCE, async || {
            let url = reqwest::Url::parse_with_params(
                &format!("http://127.0.0.1:{port}/api/v1/query"),
                [("query", query.as_str())],
            )?;
            // Until it listens.
            let Ok(answer) = reqwest::get(url).await else {
                return Ok(None);
            };
            let answer: Value = serde_json::from_str(&answer.text().await?).unwrap_or_default();
            anyhow::ensure!(answer["status"] != "error", "{query}: {answer}");
            let series = answer["data"]["result"].as_array().map_or(0, Vec::len);
            Ok((series > 0).then_some(series))
        });
        let series = series.await.map_err(|error| error.context(prometheus.log_tail(2000)))?;
        assert!(series > 0, "{query}");
    }
    Ok(())
}

/// Counts what was done, and tells the state of each object.
#[tokio::test(flavor = "multi_thread")]
async fn an_offboarding_is_counted() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    offboard_with_a_retry(&env).await?;
    env.apply("mistyped", json!({"uid": "200000000000000001", "approval": "Manual"}))
        .await?;
    let metrics = eventually("the objects in the metrics", PATIENCE, async || {
        let metrics = env.metrics().await?;
        let both = value(&metrics, "ack_offboarding_objects{state=\"Offboarded\"}") == 1.0
            && value(&metrics, "ack_offboarding_objects{state=\"NothingToRemove\"}") == 1.0;
        Ok(both.then_some(metrics))
    })
    .await?;
    for (sample, expected) in [
        ("ack_offboarding_leader", 1.0),
        ("ack_offboarding_index_synced", 1.0),
        ("ack_offboarding_stalled", 0.0),
        ("ack_offboarding_access_returned", 0.0),
        ("ack_offboarding_oldest_wait_seconds", 0.0),
        ("ack_offboarding_backups_total", 1.0),
        ("ack_offboarding_bindings_removed_total{action=\"Delete\"}", 2.0),
        ("ack_offboarding_bindings_removed_total{action=\"RemoveSubject\"}", 0.0),
        ("ack_offboarding_barrier_failures_total", 0.0),
        (
            "ack_offboarding_cloud_requests_total{service=\"cs\",operation=\"CleanClusterUserPermissions\",outcome=\"Ok\"}",
            1.0,
        ),
        (
            "ack_offboarding_cloud_requests_total{service=\"ram\",operation=\"ListRoles\",outcome=\"Server\"}",
            1.0,
        ),
        (
            "ack_offboarding_cloud_retries_total{service=\"ram\",operation=\"ListRoles\"}",
            1.0,
        ),
    ] {
        assert_eq!(value(&metrics, sample), expected, "{sample}\n{metrics}");
    }
    assert!(value(&metrics, "ack_offboarding_barrier_duration_seconds_count") >= 1.0);
    let lag = value(&metrics, "ack_offboarding_index_lag_seconds");
    assert!(lag > 0.0, "it was measured");
    assert_eq!(documented(), families(&metrics), "docs/metrics.md");
    assert!(value(&metrics, "ack_offboarding_reconciles_total{outcome=\"Reported\"}") >= 2.0);
    Ok(())
}

/// Measures how far the index is behind, with nothing to offboard; where that cannot be known, it says so.
#[tokio::test(flavor = "multi_thread")]
async fn the_lag_of_an_idle_operators_index_is_measured() -> anyhow::Result<()> {
    let mut env = env().await;
    let lag = async |env: &TestEnv| {
        // Until it listens.
        let metrics = env.metrics().await.unwrap_or_default();
        let sample = "ack_offboarding_index_lag_seconds ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(sample));
        line.and_then(|value| value.parse::<f64>().ok())
    };
    env.start_operator(&OperatorOptions::default()).await?;
    let measured = eventually("a lag", PATIENCE, async || {
        Ok(lag(&env).await.filter(|lag| !lag.is_nan()))
    });
    let measured = measured.await?;
    assert!(measured > 0.0 && measured <= 1.0, "{measured}");

    // Nothing can be written without the barrier, and so nothing be measured.
    env.stop_operator().await?;
    let barrier = Api::<ClusterRoleBinding>::all(env.admin());
    barrier.delete(BARRIER, &DeleteParams::default()).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    let tried = async || {
        Ok(env
            .operator_log()
            .contains("the lag of the index is unknown")
            .then_some(()))
    };
    eventually("the lag to be looked for", PATIENCE, tried).await?;
    assert!(lag(&env).await.is_some_and(f64::is_nan));
    Ok(())
}

/// Says as little of a thousand objects as of one: no label holds a UID, a name or a message.
#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_with_a_thousand_objects_is_small() -> anyhow::Result<()> {
    let env = running().await;
    let spec = |number: u32| json!({"uid": format!("3000000000000{number:05}"), "suspend": true});
    stream::iter(0..1000)
        .map(|number| {
            let env = &env;
            async move { env.apply(&format!("leaver-{number}"), spec(number)).await.map(drop) }
        })
        .buffer_unordered(16)
        .try_collect::<Vec<()>>()
        .await?;
    let metrics = eventually("all objects in the metrics", PATIENCE, async || {
        let metrics = env.metrics().await?;
        let states = metrics
            .lines()
            .filter(|line| line.starts_with("ack_offboarding_objects{"));
        let counts = states.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok((counts.sum::<f64>() == 1000.0).then_some(metrics))
    })
    .await?;
    assert!(metrics.len() < 200_000, "{} bytes", metrics.len());
    let names = ["le", "service", "operation", "outcome", "action", "state"];
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, labels)) = line.split_once('{') else {
            continue;
        };
        let labels = labels.split_once('}').expect("the end of the labels").0;
        for (name, value) in labels.split(',').filter_map(|label| label.split_once('=')) {
            let value = value.trim_matches('"');
            assert!(names.contains(&name), "a label that is not known to be bounded: {line}");
            let bounded = match name {
                "state" if line.starts_with("ack_offboarding_scan_identities{") => {
                    FindingState::ALL.iter().any(|state| state.as_str() == value)
                }
                "state" => Reason::parse(value).is_some(),
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                // Of the operations, GetLogsV2 has a digit.
                "operation" if value == "GetLogsV2" => true,
                _ => !value.is_empty() && value.chars().all(|c| c.is_ascii_alphabetic()),
            };
            assert!(bounded, "a value that is not known to be bounded: {line}");
        }
    }
    Ok(())
}

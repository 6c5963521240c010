//! What Prometheus is told.

use crate::support::{UID, give_access, running};
use ack_offboarding_e2e::{
    cluster::eventually,
    simulator::{Fault, FaultKind, Operation},
    stage::PATIENCE,
};
use ack_offboarding_operator::api::Reason;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::collections::BTreeSet;

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

/// Counts what was done, and tells the state of each object.
#[tokio::test(flavor = "multi_thread")]
async fn an_offboarding_is_counted() -> anyhow::Result<()> {
    let stage = running().await;
    give_access(&stage).await?;
    stage
        .sim
        .fault(Fault::new(Operation::RamListRoles, FaultKind::ServerError(503)).times(1));
    stage.apply("left", json!({"uid": UID})).await?;
    stage.wait_for_state("left", "Offboarded").await?;
    stage
        .apply("mistyped", json!({"uid": "200000000000000001", "approval": "Manual"}))
        .await?;
    let metrics = eventually("the objects in the metrics", PATIENCE, async || {
        let metrics = stage.metrics().await?;
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
        ("ack_offboarding_fence_failures_total", 0.0),
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
    assert!(value(&metrics, "ack_offboarding_fence_duration_seconds_count") >= 1.0);
    assert_eq!(documented(), families(&metrics), "docs/metrics.md");
    assert!(value(&metrics, "ack_offboarding_reconciles_total{outcome=\"Reported\"}") >= 2.0);
    Ok(())
}

/// Says as little of a thousand objects as of one: no label holds a UID, a name or a message.
#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_with_a_thousand_objects_is_small() -> anyhow::Result<()> {
    let stage = running().await;
    let spec = |number: u32| json!({"uid": format!("3000000000000{number:05}"), "suspend": true});
    stream::iter(0..1000)
        .map(|number| {
            let stage = &stage;
            async move { stage.apply(&format!("leaver-{number}"), spec(number)).await.map(drop) }
        })
        .buffer_unordered(16)
        .try_collect::<Vec<()>>()
        .await?;
    let metrics = eventually("all objects in the metrics", PATIENCE, async || {
        let metrics = stage.metrics().await?;
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
                "state" => Reason::parse(value).is_some(),
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                _ => !value.is_empty() && value.chars().all(|c| c.is_ascii_alphabetic()),
            };
            assert!(bounded, "a value that is not known to be bounded: {line}");
        }
    }
    Ok(())
}

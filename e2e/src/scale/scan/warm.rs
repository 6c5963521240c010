//! The operator's own scan, once its index is complete: what it asks the API server for, and how long it takes.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    time::{Duration, Instant},
};

use ack_offboarding_operator::api::{PermissionScan, scan::SCAN_REQUESTED};
use anyhow::Context;
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT},
    env::OwnEnv,
};

const NAME: &str = "default";
const DEADLINE: Duration = Duration::from_secs(120);
/// The operator scans no sooner after another scan.
const LEAST: Duration = Duration::from_secs(5);

/// What was measured.
#[derive(Debug, Serialize)]
pub(in crate::scale) struct Warm {
    /// From the request to the watch event with the result.
    took_ms: u64,
    /// LISTs of bindings that the operator asked for meanwhile.
    pub(in crate::scale) lists: usize,
    /// GETs of bindings, likewise.
    pub(in crate::scale) gets: usize,
    /// Findings in the status.
    pub(in crate::scale) findings: usize,
}

/// Has the operator scan once, and then once more, which is measured.
///
/// # Errors
/// When it does not scan, or finds nobody.
pub(in crate::scale) async fn measure(env: &OwnEnv) -> anyhow::Result<Warm> {
    let api: Api<PermissionScan> = Api::all(env.admin());
    let scan: PermissionScan = serde_json::from_value(json!({"metadata": {"name": NAME}, "spec": {}}))?;
    api.create(&PostParams::default(), &scan).await?;
    let first = until(&api, |scan| is_complete(scan, None)).await?;
    let attempted = first.status.and_then(|status| status.last_attempt_time);
    let since = attempted.map(|time| Timestamp::now().duration_since(time.0).unsigned_abs());
    // As soon as it may scan again: what is measured is the scan, not the wait.
    tokio::time::sleep((LEAST + Duration::from_secs(1)).saturating_sub(since.unwrap_or_default())).await;

    let log = env.cluster.audit_log();
    let mut from_here = File::open(&log)?;
    from_here.seek(SeekFrom::End(0))?;
    let request = Timestamp::now().to_string();
    let annotate = json!({"metadata": {"annotations": {SCAN_REQUESTED: request}}});
    let begun = Instant::now();
    api.patch(NAME, &PatchParams::default(), &Patch::Merge(annotate))
        .await?;
    let scanned = until(&api, |scan| is_complete(scan, Some(&request))).await?;
    let took = begun.elapsed();
    let status = scanned.status.unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    anyhow::ensure!(
        ready.is_some_and(|ready| ready.status == "True") && !status.findings.is_empty(),
        "the scan found nobody: {ready:?}"
    );
    let (lists, gets) = asked_for_bindings(from_here)?;
    let warm = Warm {
        took_ms: took.as_millis().try_into()?,
        lists,
        gets,
        findings: status.findings.len(),
    };
    eprintln!(
        "The operator's scan: {} ms, {} findings; {lists} LISTs and {gets} GETs of bindings.",
        warm.took_ms, warm.findings
    );
    Ok(warm)
}

/// Whether this request, or any at all, was dealt with.
fn is_complete(scan: &PermissionScan, request: Option<&str>) -> bool {
    scan.status.as_ref().is_some_and(|status| match request {
        Some(request) => status.last_request.as_deref() == Some(request),
        None => status.last_scan_time.is_some(),
    })
}

async fn until(api: &Api<PermissionScan>, is: impl Fn(&PermissionScan) -> bool) -> anyhow::Result<PermissionScan> {
    let is_there = |scan: Option<&PermissionScan>| scan.is_some_and(&is);
    let found = tokio::time::timeout(DEADLINE, await_condition(api.clone(), NAME, is_there)).await;
    let found = found.with_context(|| format!("the operator did not scan within {DEADLINE:?}"))??;
    found.context("the PermissionScan is gone")
}

/// How many LISTs and GETs of bindings the operator asked for, by the rest of the audit log.
fn asked_for_bindings(log: File) -> anyhow::Result<(usize, usize)> {
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
    let (mut lists, mut gets) = (0, 0);
    for line in BufReader::new(log).lines() {
        let line = line?;
        if !line.contains(&operator) {
            continue;
        }
        let event: Value = serde_json::from_str(&line)?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let is_binding = matches!(text("/objectRef/resource"), "rolebindings" | "clusterrolebindings");
        match text("/verb") {
            "list" if is_binding && text("/user/username") == operator => lists += 1,
            "get" if is_binding && text("/user/username") == operator => gets += 1,
            _ => {}
        }
    }
    Ok((lists, gets))
}

//! `backups` and `restore`.

mod changes;
mod forged;
mod rights;
mod terminal;

use crate::support::{Said, TestEnv, UID};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Somebody who stays.
const COLLEAGUE: &str = "259083957089437777";

/// Offboards the leaver, as `left`.
async fn offboard(env: &TestEnv, more: Value) -> anyhow::Result<()> {
    let mut spec = more;
    spec["uid"] = json!(UID);
    env.apply("left", spec).await?;
    env.wait_for_state("left", "Offboarded").await?;
    Ok(())
}

/// Runs the plugin as the cluster's administrator, where nobody can be asked.
async fn plugin(env: &TestEnv, args: &[&str]) -> anyhow::Result<Said> {
    crate::support::plugin(&env.cluster.admin_kubeconfig(), args).await
}

/// The outcome of each binding, as `KIND/NAMESPACE/NAME` to its word.
fn outcomes(said: &Said) -> anyhow::Result<BTreeMap<String, String>> {
    let json: Value = serde_json::from_str(&said.out)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let results = json["results"].as_array().into_iter().flatten();
    Ok(results
        .map(|result| {
            let key = [&result["kind"], &result["namespace"], &result["name"]].map(text);
            let key: Vec<_> = key.into_iter().filter(|part| !part.is_empty()).collect();
            (key.join("/"), text(&result["outcome"]))
        })
        .collect())
}

/// What is said of a binding.
fn message(said: &Said, name: &str) -> anyhow::Result<String> {
    let json: Value = serde_json::from_str(&said.out)?;
    let results = json["results"].as_array().into_iter().flatten();
    let found = results.into_iter().find(|result| result["name"] == name);
    Ok(found.unwrap_or(&Value::Null)["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

//! What the tests share.

use ack_offboarding_e2e::{
    cluster::{Options, pool},
    env::{Env, OperatorOptions},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The leaver.
pub(crate) const UID: &str = "259083957089437690";
/// Somebody who stays.
pub(crate) const COLLEAGUE: &str = "259083957089437777";

pub(crate) type TestEnv = Env<pool::Lease>;

/// A stage with the operator running.
pub(crate) async fn running() -> TestEnv {
    let cluster = pool::acquire(Options::default()).await.expect("a cluster");
    let mut env = Env::set(cluster).await.expect("a stage");
    env.start_operator(&OperatorOptions::default())
        .await
        .expect("the operator");
    env
}

/// Offboards the leaver.
pub(crate) async fn offboard(env: &TestEnv, more: Value) -> anyhow::Result<()> {
    let mut spec = json!({"uid": UID});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    env.apply("left", spec).await?;
    env.wait_for_state("left", "Offboarded").await?;
    Ok(())
}

/// What a run of the plugin came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The outcome of each binding, as `KIND/NAMESPACE/NAME` to its word.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        let json = self.json();
        let results = json["results"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        results
            .map(|result| {
                let key = [&result["kind"], &result["namespace"], &result["name"]].map(text);
                let key: Vec<_> = key.into_iter().filter(|part| !part.is_empty()).collect();
                (key.join("/"), text(&result["outcome"]))
            })
            .collect()
    }

    /// What is said of a binding.
    pub(crate) fn message(&self, name: &str) -> String {
        let json = self.json();
        let mut results = json["results"].as_array().unwrap().iter();
        let result = results.find(|result| result["name"] == name).unwrap();
        result["message"].as_str().unwrap().to_owned()
    }
}

/// Runs the plugin as the cluster's administrator, where nobody can be asked.
pub(crate) fn plugin(env: &TestEnv, args: &[&str]) -> Ran {
    plugin_as(&env.cluster.admin_kubeconfig(), args)
}

/// Runs the plugin with this kubeconfig.
pub(crate) fn plugin_as(kubeconfig: &Path, args: &[&str]) -> Ran {
    let output = Command::new(binary())
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn binary() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        // All packages, so that dependencies have the features that the tests' own build gave them: nothing is built twice.
        let cargo = escargot::CargoBuild::new()
            .manifest_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml"))
            .package("kubectl-ack-offboard")
            .args(["--package=ack-offboarding-operator", "--package=ack-offboarding-e2e"])
            .bin("kubectl-ack_offboard");
        cargo.run().expect("the plugin builds").path().to_owned()
    };
    BUILT.get_or_init(build).clone()
}

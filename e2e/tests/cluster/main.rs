//! The local cluster behaves as the tests that use it assume.
//!
//! One binary, so that all of these tests share one pool of clusters.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backups;
mod leftovers;
mod operator_permissions;
mod people;
mod refusals;
mod reset;

use std::time::Duration;

use ack_offboarding_e2e::cluster::{
    Cluster, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, Options,
    pool::{self, Lease},
};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);
const LEAVER: &str = "259083957089437690-1717171717";

async fn cluster() -> Lease {
    pool::acquire(Options::default()).await.unwrap()
}

/// A cluster with the operator installed, and a client with its token.
async fn cluster_with_operator() -> (Lease, Client) {
    let cluster = cluster().await;
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    let operator = cluster
        .service_account_client(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    (cluster, operator)
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

/// Creates the RoleBinding `name` in `team-a`, of the ClusterRole `view` to these users.
async fn bind_view(cluster: &Cluster, name: &str, users: &[&str]) -> RoleBinding {
    cluster.ensure_namespace("team-a").await.unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "team-a", "labels": {"team": "a"}, "annotations": {"note": "kept"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": users.iter().map(|name| user(name)).collect::<Vec<_>>(),
    });
    let binding = serde_json::from_value(binding).unwrap();
    Api::<RoleBinding>::namespaced(cluster.admin(), "team-a")
        .create(&PostParams::default(), &binding)
        .await
        .unwrap()
}

#[track_caller]
fn assert_forbidden<T: std::fmt::Debug>(what: &str, outcome: kube::Result<T>, reason: &str) {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 403 && status.message.contains(reason) => {}
        Err(kube::Error::Api(status)) if status.code == 422 && status.message.contains(reason) => {}
        other => panic!("{what}: expected a refusal that says {reason:?}, got {other:?}"),
    }
}

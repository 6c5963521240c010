//! What a leaver has in a cluster.

use crate::{
    cluster::Cluster,
    env::{Env, issue_kubeconfig, user},
    simulator::world::CertificateState,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::ops::Deref;

/// Gives a UID what a leaver has: a kubeconfig, a cluster-wide binding, and one in a namespace by the name in its certificate.
///
/// # Errors
/// When the API server refuses a binding.
pub async fn give<C: Deref<Target = Cluster>>(env: &Env<C>, uid: &str, name: &str) -> anyhow::Result<()> {
    issue_kubeconfig(&env.sim, uid, CertificateState::Unexpired);
    env.cluster_role_binding("leaver-everywhere", "view", &[user(uid)])
        .await?;
    env.role_binding("team-a", "leaver", "edit", &[user(name)]).await?;
    Ok(())
}

/// A binding of the ClusterRole view; a subject is a kind and a name.
///
/// # Panics
/// When `T` is no binding.
pub fn binding<T: DeserializeOwned>(kind: &str, name: &str, subjects: &[(&str, &str)]) -> T {
    let subject = |(kind, name): &(&str, &str)| match *kind {
        "ServiceAccount" => json!({"kind": kind, "name": name, "namespace": "default"}),
        _ => json!({"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}),
    };
    let value: Value = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": subjects.iter().map(subject).collect::<Vec<_>>(),
    });
    serde_json::from_value(value).expect("a binding")
}

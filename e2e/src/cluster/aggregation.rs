//! Fills the ClusterRoles `admin`, `edit` and `view`, which kube-controller-manager would do: they are empty until somebody collects
//! the rules of the roles that they aggregate, and bindings to them are what most people have.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

/// Collects the rules of the built-in aggregated roles, once: roles that are added later are not seen.
pub(super) async fn fill(client: &Client) -> anyhow::Result<()> {
    let roles = Api::<ClusterRole>::all(client.clone());
    // In this order: `edit` aggregates `view`, and `admin` aggregates `edit`.
    stream::iter(["view", "edit", "admin"])
        .map(Ok)
        .try_for_each(|name| fill_one(&roles, name))
        .await
}

async fn fill_one(roles: &Api<ClusterRole>, name: &str) -> anyhow::Result<()> {
    let selector = format!("rbac.authorization.k8s.io/aggregate-to-{name}=true");
    let parts = roles.list(&ListParams::default().labels(&selector)).await?;
    let rules: Vec<PolicyRule> = parts
        .items
        .into_iter()
        .flat_map(|role| role.rules.unwrap_or_default())
        .collect();
    let patch = Patch::Merge(json!({ "rules": rules }));
    roles
        .patch(name, &PatchParams::default(), &patch)
        .await
        .with_context(|| format!("cannot fill ClusterRole {name}"))?;
    Ok(())
}

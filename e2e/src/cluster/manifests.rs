//! Applies manifests, as `kubectl apply --server-side` does.

use anyhow::Context;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams, TypeMeta},
    core::GroupVersionKind,
};

/// The objects of a file of YAML documents; empty documents are skipped.
pub(super) fn parse(yaml: &str) -> anyhow::Result<Vec<DynamicObject>> {
    let documents: Vec<Option<DynamicObject>> = serde_saphyr::from_multiple(yaml).context("cannot read a manifest")?;
    Ok(documents.into_iter().flatten().collect())
}

/// Applies objects in the form of JSON, in their order, taking over fields that somebody else has changed.
pub async fn apply_objects(client: &Client, objects: &[serde_json::Value]) -> anyhow::Result<()> {
    let objects: Result<Vec<_>, _> = objects
        .iter()
        .map(|object| serde_json::from_value(object.clone()))
        .collect();
    apply(client, &objects.context("cannot read an object")?).await
}

/// Applies the objects in their order, taking over fields that somebody else has changed.
pub(super) async fn apply(client: &Client, objects: &[DynamicObject]) -> anyhow::Result<()> {
    let params = PatchParams::apply("ack-offboarding-e2e").force();
    for object in objects {
        let types = object.types.as_ref().context("a manifest has no kind")?;
        let name = object.metadata.name.as_deref().context("a manifest has no name")?;
        api_of(client, types, object.metadata.namespace.as_deref())?
            .patch(name, &params, &Patch::Apply(object))
            .await
            .with_context(|| format!("cannot apply {} {name}", types.kind))?;
    }
    Ok(())
}

/// The API of a kind whose plural is regular, as all plurals here are.
fn api_of(client: &Client, types: &TypeMeta, namespace: Option<&str>) -> anyhow::Result<Api<DynamicObject>> {
    let kind = GroupVersionKind::try_from(types).context("a manifest's apiVersion cannot be read")?;
    let resource = ApiResource::from_gvk(&kind);
    Ok(match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    })
}

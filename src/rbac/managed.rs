//! Who would bring a deleted binding back: Git and Helm owners, as objects tell.

use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap};

/// The Git or Helm owner of an object: for example `Flux Kustomization team-a/rbac`, `Argo CD application rbac`,
/// `Helm release team-a/rbac`, or the controller in its ownerReferences.
///
/// Labels and annotations are those that Flux (kustomize-controller, helm-controller), Argo CD (label, annotation or
/// tracking ID) and Helm document.
///
/// At most 256 characters: labels are short, annotations and owner references are anybody's text.
pub(super) fn manager_of(
    labels: &Texts<'_>,
    annotations: &Texts<'_>,
    owner: Option<&OwnerReference>,
) -> Option<String> {
    Some(
        named_manager(labels, annotations, owner)?
            .chars()
            .filter(|c| !c.is_control())
            .take(256)
            .collect(),
    )
}

/// Labels or annotations.
pub(super) type Texts<'a> = Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>;

/// The owner that a controller noted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnerReference {
    kind: String,
    name: String,
}

fn named_manager(labels: &Texts<'_>, annotations: &Texts<'_>, owner: Option<&OwnerReference>) -> Option<String> {
    let lookup = |texts: &'_ Texts<'_>, key: &str| texts.as_ref()?.get(key).map(|text| text.to_string());
    let label = |key: &str| lookup(labels, key);
    let annotation = |key: &str| lookup(annotations, key);
    let qualified = |namespace: Option<String>, name: String| match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name,
    };
    if let Some(name) = label("kustomize.toolkit.fluxcd.io/name") {
        return Some(format!(
            "Flux Kustomization {}",
            qualified(label("kustomize.toolkit.fluxcd.io/namespace"), name)
        ));
    }
    if let Some(name) = label("helm.toolkit.fluxcd.io/name") {
        return Some(format!(
            "Flux HelmRelease {}",
            qualified(label("helm.toolkit.fluxcd.io/namespace"), name)
        ));
    }
    if let Some(tracking) = annotation("argocd.argoproj.io/tracking-id") {
        let application = tracking.split(':').next().unwrap_or(&tracking);
        return Some(format!("Argo CD application {application}"));
    }
    if let Some(name) = label("argocd.argoproj.io/instance") {
        return Some(format!("Argo CD application {name}"));
    }
    if let Some(name) = annotation("meta.helm.sh/release-name") {
        return Some(format!(
            "Helm release {}",
            qualified(annotation("meta.helm.sh/release-namespace"), name)
        ));
    }
    owner
        .filter(|owner| !owner.name.is_empty())
        .map(|owner| format!("{} {}", owner.kind, owner.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_known_owner_is_named() {
        let cases = [
            (
                json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "rbac", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
                Some("Flux Kustomization flux-system/rbac"),
            ),
            (
                json!({"labels": {"helm.toolkit.fluxcd.io/name": "rbac"}}),
                Some("Flux HelmRelease rbac"),
            ),
            (
                json!({"annotations": {"argocd.argoproj.io/tracking-id": "app:rbac/RoleBinding:ns/name"}}),
                Some("Argo CD application app"),
            ),
            (
                json!({"labels": {"argocd.argoproj.io/instance": "app"}}),
                Some("Argo CD application app"),
            ),
            (
                json!({"annotations": {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"}}),
                Some("Helm release n/r"),
            ),
            (
                json!({"ownerReferences": [{"kind": "Tenant", "name": "t"}]}),
                Some("Tenant t"),
            ),
            (json!({"labels": {"app": "x"}}), None),
            (json!({"labels": null, "ownerReferences": []}), None),
        ];
        for (metadata, expected) in cases {
            let texts = |field: &str| serde_json::from_value(metadata[field].clone()).unwrap();
            let owners: Option<Vec<OwnerReference>> =
                serde_json::from_value(metadata["ownerReferences"].clone()).unwrap();
            let owner = owners.as_deref().and_then(<[_]>::first);
            let found = manager_of(&texts("labels"), &texts("annotations"), owner);
            assert_eq!(found.as_deref(), expected, "{metadata}");
        }
    }
}

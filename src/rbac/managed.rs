//! Who would bring a deleted binding back: Git and Helm owners, as objects tell.

use serde_json::Value;

/// The Git or Helm owner of an object: for example `Flux Kustomization team-a/rbac`, `Argo CD application rbac`,
/// `Helm release team-a/rbac`, or the controller in its ownerReferences.
///
/// Labels and annotations are those that Flux (kustomize-controller, helm-controller), Argo CD (label, annotation or
/// tracking ID) and Helm document.
///
/// At most 256 characters: labels are short, annotations and owner references are anybody's text.
pub fn manager_of(object: &Value) -> Option<String> {
    Some(
        named_manager(object)?
            .chars()
            .filter(|c| !c.is_control())
            .take(256)
            .collect(),
    )
}

fn named_manager(object: &Value) -> Option<String> {
    let label = |key: &str| lookup(object, "labels", key);
    let annotation = |key: &str| lookup(object, "annotations", key);
    let qualified = |namespace: Option<&str>, name: &str| match namespace {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
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
        let application = tracking.split(':').next().unwrap_or(tracking);
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
    let owner = object.pointer("/metadata/ownerReferences/0")?;
    Some(format!(
        "{} {}",
        owner.get("kind")?.as_str()?,
        owner.get("name")?.as_str()?
    ))
}

fn lookup<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get(map)?.get(key)?.as_str()
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
            assert_eq!(
                manager_of(&json!({"metadata": metadata})).as_deref(),
                expected,
                "{metadata}"
            );
        }
    }
}

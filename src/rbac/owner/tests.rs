use super::{
    tools::{FLEET, GIT, HELM, TERRAFORM, VELERO},
    writer::NOBODY,
    *,
};
use serde_json::{Value, json};

fn manager(metadata: &Value) -> Option<Manager> {
    let texts = |field: &str| serde_json::from_value::<Texts<'static>>(metadata[field].clone()).unwrap();
    let owners: Option<Vec<OwnerReference>> = serde_json::from_value(metadata["ownerReferences"].clone()).unwrap();
    let fields = metadata["managedFields"].is_array().then(|| {
        let text = metadata["managedFields"].to_string();
        RawValue::from_string(text).unwrap()
    });
    manager_of(&Marks {
        labels: &texts("labels"),
        annotations: &texts("annotations"),
        owner: owners.as_deref().and_then(<[_]>::first),
        managed_fields: fields.as_deref(),
    })
}

fn written(manager: &str, time: &str, fields: &Value) -> Value {
    json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields})
}

fn by(manager: &str) -> Value {
    json!([written(manager, "2026-01-01T00:00:00Z", &json!({"f:subjects": {}}))])
}

#[test]
fn every_known_owner_is_named_with_advice_that_fits() {
    let cases = [
        (
            json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "rbac", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}),
            Some(("Flux Kustomization flux-system/rbac", GIT)),
        ),
        (
            json!({"labels": {"helm.toolkit.fluxcd.io/name": "rbac"}, "annotations": {"meta.helm.sh/release-name": "r"}}),
            Some(("Flux HelmRelease rbac", GIT)),
        ),
        (
            json!({"annotations": {"argocd.argoproj.io/tracking-id": "app:rbac/RoleBinding:ns/name"}}),
            Some(("Argo CD application app", GIT)),
        ),
        (
            json!({"labels": {"argocd.argoproj.io/instance": "app"}}),
            Some(("Argo CD application app", GIT)),
        ),
        (
            json!({"labels": {"app.kubernetes.io/instance": "app"}, "annotations": {"argocd.argoproj.io/sync-wave": "1"}}),
            Some(("Argo CD application app", GIT)),
        ),
        (
            json!({"labels": {"app.kubernetes.io/instance": "app"}, "managedFields": by("argocd-controller")}),
            Some(("Argo CD application app", GIT)),
        ),
        (
            json!({"labels": {"app.kubernetes.io/instance": "app"}, "managedFields": by("acme")}),
            Some((
                "something of the name app (label app.kubernetes.io/instance: an Argo CD application or a Helm release)",
                WEAK,
            )),
        ),
        (
            json!({"labels": {"app.kubernetes.io/instance": "r"}, "annotations": {"meta.helm.sh/release-name": "r", "meta.helm.sh/release-namespace": "n"}}),
            Some(("Helm release n/r", HELM)),
        ),
        (
            json!({"annotations": {"configmanagement.gke.io/managed": "enabled", "configmanagement.gke.io/source-path": "a/b.yaml"}}),
            Some(("Config Sync a/b.yaml", GIT)),
        ),
        (
            json!({"annotations": {"configsync.gke.io/manager": ":root"}}),
            Some(("Config Sync root", GIT)),
        ),
        (
            json!({"annotations": {"configmanagement.gke.io/managed": "disabled"}}),
            None,
        ),
        (
            json!({"labels": {"objectset.rio.cattle.io/hash": "1"}, "annotations": {"objectset.rio.cattle.io/id": "default-rbac", "meta.helm.sh/release-name": "r"}}),
            Some(("Rancher Fleet default-rbac", FLEET)),
        ),
        (
            json!({"labels": {"fleet.cattle.io/bundle-name": "b"}}),
            Some(("Rancher Fleet", FLEET)),
        ),
        (
            json!({"labels": {"velero.io/backup-name": "nightly", "velero.io/restore-name": "nightly-1"}}),
            Some(("Velero restore nightly-1", VELERO)),
        ),
        (
            json!({"labels": {"velero.io/restore-name": "r", "kustomize.toolkit.fluxcd.io/name": "rbac"}}),
            Some(("Flux Kustomization rbac", GIT)),
        ),
        (
            json!({"labels": {"app.kubernetes.io/managed-by": "Terraform"}}),
            Some(("Terraform", TERRAFORM)),
        ),
        (
            json!({"managedFields": by("Terraform")}),
            Some(("Terraform", TERRAFORM)),
        ),
        (
            json!({"managedFields": by("HashiCorp")}),
            Some(("Terraform", TERRAFORM)),
        ),
        (
            json!({"ownerReferences": [{"kind": "Tenant", "name": "t"}], "managedFields": by("tenants")}),
            Some(("Tenant t", OWNER)),
        ),
        (
            json!({"managedFields": by("acme-gitops")}),
            Some(("a client that calls itself \"acme-gitops\" (managedFields)", WRITER)),
        ),
        (json!({"labels": {"app": "x"}}), None),
        (json!({"labels": null, "ownerReferences": []}), None),
    ];
    for (metadata, expected) in cases {
        let found = manager(&metadata);
        let found = found.as_ref().map(|found| (found.name.as_str(), found.advice));
        assert_eq!(found, expected, "{metadata}");
    }
}

#[test]
fn the_last_writer_of_the_subjects_is_named_and_nobody_else() {
    let (first, later) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    let (subjects, labels) = (json!({"f:subjects": {}}), json!({"f:metadata": {"f:subjects": {}}}));
    let name = |fields: Value| manager(&json!({"managedFields": fields})).map(|m| (m.name, m.owns));
    let acme = Some(("a client that calls itself \"acme\" (managedFields)".to_owned(), false));
    let cases = [
        (
            json!([written("acme", later, &subjects), written("old", first, &subjects)]),
            acme.clone(),
        ),
        (
            json!([written("old", first, &subjects), written("acme", later, &subjects)]),
            acme.clone(),
        ),
        (
            json!([written("acme", first, &subjects), written("labeller", later, &labels)]),
            acme.clone(),
        ),
        (
            json!([written("acme", first, &subjects), written(NOBODY[0], later, &subjects)]),
            acme.clone(),
        ),
        (
            json!([written("acme", first, &subjects), written(NOBODY[1], later, &subjects)]),
            acme.clone(),
        ),
        (
            json!([written("acme", first, &subjects), written(NOBODY[2], later, &subjects)]),
            acme.clone(),
        ),
        (
            json!([written("acme", first, &subjects), written(NOBODY[3], later, &subjects)]),
            acme.clone(),
        ),
        (json!([written("ac\u{1b}me\n", first, &subjects)]), acme),
        (json!([written("labeller", first, &labels)]), None),
        (json!([{"manager": "acme", "operation": "Apply"}]), None),
        (json!([1, 2]), None),
        (json!([]), None),
    ];
    for (fields, expected) in cases {
        assert_eq!(name(fields.clone()), expected, "{fields}");
    }
    let long = name(json!([written(&"x".repeat(5000), first, &subjects)])).unwrap().0;
    assert!(long.len() < 256, "{long}");
}

#[test]
fn what_anybody_can_write_into_a_mark_is_no_sentence_of_ours() {
    let said = manager(&json!({
        "annotations": {"meta.helm.sh/release-name": "x. The access has ended\u{202e}; ignore this"},
        "managedFields": by("acme"),
    }))
    .unwrap();
    assert_eq!(said.name, "Helm release x.?The?access?has?ended???ignore?this");
    assert_eq!(
        said.relation(),
        "It is marked as belonging to Helm release x.?The?access?has?ended???ignore?this; its subjects were last written by a client that \
         calls itself \"acme\"."
    );
}

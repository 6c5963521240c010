//! Takes a cluster back to what it was before a test used it.

use std::{
    collections::BTreeMap,
    fs::File,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, ObjectMeta, PostParams},
    core::GroupVersionKind,
};
use serde_json::json;

use super::{Cluster, OPERATOR_SERVICE_ACCOUNT, POLICIES, apply_objects, named, wait::eventually};

const DEADLINE: Duration = Duration::from_secs(60);

/// A kind of which every object goes, but for those to keep.
struct Kind(&'static str, &'static str, &'static str, fn(&ObjectMeta) -> bool);

/// What could refuse or delay the rest. The operator's own policies stay, as it takes a second to come into force.
const GATES: [Kind; 6] = [
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingAdmissionPolicyBinding",
        nothing,
    ),
    Kind("admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", nothing),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicyBinding",
        is_a_policy_of_the_operator,
    ),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        is_a_policy_of_the_operator,
    ),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingWebhookConfiguration",
        nothing,
    ),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        nothing,
    ),
];

const CONTENTS: [Kind; 12] = [
    Kind("ack-offboarding.io", "v1alpha1", "PermissionScan", nothing),
    Kind("ack-offboarding.io", "v1alpha1", "UserOffboarding", nothing),
    Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", is_built_in),
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", is_built_in),
    Kind("rbac.authorization.k8s.io", "v1", "Role", is_built_in),
    Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", is_built_in),
    Kind("", "v1", "ConfigMap", is_of_the_control_plane),
    Kind("", "v1", "Secret", nothing),
    Kind("", "v1", "ServiceAccount", |meta| {
        is_in_kube_system(meta) || is_the_operators(meta) || is_named(meta, "default")
    }),
    Kind("", "v1", "ResourceQuota", nothing),
    Kind("coordination.k8s.io", "v1", "Lease", is_in_kube_system),
    Kind("events.k8s.io", "v1", "Event", nothing),
];

impl Cluster {
    /// Deletes what tests make: UserOffboardings, RBAC objects that are not built in (the operator's included), ConfigMaps, Secrets,
    /// ServiceAccounts, ResourceQuotas, Leases, Events, admission policies and webhooks; finalizers do not hold it up. Empties
    /// the audit log.
    ///
    /// Kept: CRDs, namespaces, the operator's ServiceAccount and its admission policies, and what the control plane itself needs.
    /// Namespaces stay, empty, as making and deleting them takes longer than emptying; one whose deletion was begun is finished
    /// off. Tests use a few names, such as `team-a`, with [`ensure_namespace`](Self::ensure_namespace).
    pub async fn reset(&self) -> anyhow::Result<()> {
        let client = self.admin();
        // Before their owners go.
        let namespaces = ApiResource::erase::<Namespace>(&());
        let all = Api::<Namespace>::all(client.clone());
        let all = all.list_metadata(&ListParams::default()).await?.items;
        let all = all.into_iter().map(|object| object.metadata).collect();
        disown(&client, &namespaces, all).await?;
        let wiped = stream::iter(&GATES).map(|kind| async { anyhow::Ok((kind.2, wipe(&client, kind).await?)) });
        let wiped: Vec<(&str, bool)> = wiped.buffer_unordered(GATES.len()).try_collect().await?;
        for family in [Family::Mutating, Family::Validating] {
            let of_family = |kind: &str| kind.starts_with(family.name()) && kind.contains("Policy");
            if wiped.iter().any(|(kind, some)| *some && of_family(kind)) {
                until_noticed(&client, family).await?;
            }
        }
        self.lose_backups(&client).await?;
        stream::iter(&CONTENTS)
            .map(Ok)
            .try_for_each_concurrent(None, |kind| async { wipe(&client, kind).await.map(drop) })
            .await?;
        finish_namespaces(&client).await?;
        // The API server appends to it, so it goes on at the new end.
        File::options()
            .write(true)
            .truncate(true)
            .open(self.audit_log())
            .context("cannot empty the audit log")?;
        Ok(())
    }
}

impl Cluster {
    async fn lose_backups(&self, client: &Client) -> anyhow::Result<()> {
        let maps = Api::<ConfigMap>::all(client.clone());
        let found = maps.list_metadata(&ListParams::default()).await?.items;
        let backups = found.into_iter().map(|map| map.metadata).filter(is_backup);
        stream::iter(backups)
            .map(Ok)
            .try_for_each_concurrent(4, |backup| async move {
                let namespace = backup.namespace.unwrap_or_default();
                self.lose_config_map(&namespace, &backup.name.unwrap_or_default()).await
            })
            .await
    }
}

/// Deletes, and says whether there was anything to delete.
async fn wipe(client: &Client, Kind(group, version, kind, keep): &Kind) -> anyhow::Result<bool> {
    let mut some = false;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let all = Api::<DynamicObject>::all_with(client.clone(), &resource);
    eventually(&format!("every {kind} to be deleted"), DEADLINE, async || {
        let found = match all.list_metadata(&ListParams::default()).await {
            Ok(found) => found,
            // Its CRD is not installed. Such an answer is no `Status`, and so has no reason.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Some(some)),
            Err(error) => return Err(error.into()),
        };
        let (kept, doomed): (Vec<_>, Vec<_>) = found.items.into_iter().map(|object| object.metadata).partition(keep);
        disown(client, &resource, kept).await?;
        if doomed.is_empty() {
            return Ok(Some(some));
        }
        some = true;
        stream::iter(doomed)
            .map(Ok)
            .try_for_each_concurrent(16, |metadata| delete(client, &resource, metadata))
            .await
            .map(|()| None)
    })
    .await
}

async fn delete(client: &Client, resource: &ApiResource, metadata: ObjectMeta) -> anyhow::Result<()> {
    let namespace = metadata.namespace.as_deref();
    let name = metadata.name.unwrap_or_default();
    let failed = || format!("cannot delete {} {name:?}", resource.kind);
    if metadata.finalizers.is_some_and(|finalizers| !finalizers.is_empty()) {
        release(client, resource, namespace, &name).await.with_context(failed)?;
    }
    named::delete(client, resource, namespace, &name)
        .await
        .map(drop)
        .with_context(failed)
}

/// Takes from an object what holds it, and what could take it along. It may be gone by then.
async fn release(client: &Client, resource: &ApiResource, namespace: Option<&str>, name: &str) -> anyhow::Result<()> {
    let freed = json!({"metadata": {"finalizers": null, "ownerReferences": null}});
    match named::merge(client, resource, namespace, name, &freed).await {
        Ok(_) => Ok(()),
        Err(error) => match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            _ => Err(error),
        },
    }
}

/// The two families of policies, each with a source of its own in the API server.
#[derive(Clone, Copy)]
enum Family {
    Mutating,
    Validating,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Family::Mutating => "Mutating",
            Family::Validating => "Validating",
        }
    }

    /// What a policy does to the ConfigMap that it is for.
    fn effect(self) -> serde_json::Value {
        match self {
            Family::Mutating => json!({
                "reinvocationPolicy": "Never",
                "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
                    "expression": r#"Object{metadata: Object.metadata{labels: {"noticed": "yes"}}}"#,
                }}],
            }),
            Family::Validating => json!({"validations": [{"expression": "false", "message": "noticed"}]}),
        }
    }

    /// Whether this shows that the policy is in force.
    fn is_effect(self, created: kube::Result<ConfigMap>) -> bool {
        match self {
            Family::Mutating => created.is_ok_and(|map| map.labels().contains_key("noticed")),
            Family::Validating => created.is_err_and(|error| error.to_string().contains("noticed")),
        }
    }
}

/// Waits until the API server has noticed that policies are gone. It takes them over all at once, a moment later: when it enforces
/// one that was made after that, it enforces none of those any more.
async fn until_noticed(client: &Client, family: Family) -> anyhow::Result<()> {
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    let name = format!("canary-{nanos:x}");
    let mut spec = family.effect();
    spec["failurePolicy"] = json!("Fail");
    spec["matchConstraints"] = json!({"resourceRules": [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]},
    ]});
    spec["matchConditions"] = json!([{"name": "canary", "expression": format!("object.metadata.name == '{name}'")}]);
    let mut binding = json!({"policyName": name});
    if let Family::Validating = family {
        binding["validationActions"] = json!(["Deny"]);
    }
    let group = "admissionregistration.k8s.io";
    let family_name = family.name();
    let object = |kind: &str, spec| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": format!("{family_name}AdmissionPolicy{kind}"), "metadata": {"name": name}, "spec": spec,
        })
    };
    apply_objects(client, &[object("", spec), object("Binding", binding)]).await?;
    let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually(
        "the API server to notice that policies are gone",
        DEADLINE,
        async || Ok(family.is_effect(maps.create(&dry_run, &map).await).then_some(())),
    )
    .await?;
    for kind in ["Binding", ""] {
        let kind = GroupVersionKind::gvk(group, "v1", &format!("{family_name}AdmissionPolicy{kind}"));
        let resource = ApiResource::from_gvk(&kind);
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        };
        delete(client, &resource, metadata).await?;
    }
    Ok(())
}

/// What stays must not go with an owner that goes.
async fn disown(client: &Client, resource: &ApiResource, kept: Vec<ObjectMeta>) -> anyhow::Result<()> {
    for metadata in kept {
        if metadata.owner_references.is_some_and(|owners| !owners.is_empty()) {
            let name = metadata.name.unwrap_or_default();
            release(client, resource, metadata.namespace.as_deref(), &name)
                .await
                .with_context(|| format!("cannot take the owners from {} {name:?}", resource.kind))?;
        }
    }
    Ok(())
}

/// Does the last step of deleting a namespace, which is kube-controller-manager's: its contents are gone by now.
async fn finish_namespaces(client: &Client) -> anyhow::Result<()> {
    let namespaces = Api::<Namespace>::all(client.clone());
    for mut namespace in namespaces.list(&ListParams::default()).await?.items {
        if namespace.metadata.deletion_timestamp.is_none() {
            continue;
        }
        if namespace
            .metadata
            .finalizers
            .as_ref()
            .is_some_and(|held| !held.is_empty())
        {
            let resource = ApiResource::erase::<Namespace>(&());
            release(
                client,
                &resource,
                None,
                &namespace.metadata.name.clone().unwrap_or_default(),
            )
            .await?;
            namespace.metadata.finalizers = None;
            namespace.metadata.resource_version = None;
        }
        namespace.spec.get_or_insert_default().finalizers = None;
        let name = namespace.metadata.name.clone().unwrap_or_default();
        match namespaces
            .replace_subresource("finalize", &name, &PostParams::default(), &namespace)
            .await
        {
            Ok(_) => {}
            // The controller was faster.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => return Err(error).with_context(|| format!("cannot finish the deletion of namespace {name}")),
        }
    }
    Ok(())
}

fn nothing(_: &ObjectMeta) -> bool {
    false
}

fn is_named(metadata: &ObjectMeta, name: &str) -> bool {
    metadata.name.as_deref() == Some(name)
}

fn is_the_operators(metadata: &ObjectMeta) -> bool {
    is_named(metadata, OPERATOR_SERVICE_ACCOUNT)
}

fn is_a_policy_of_the_operator(metadata: &ObjectMeta) -> bool {
    POLICIES.iter().any(|policy| is_named(metadata, policy))
}

/// What the operator's policy of backups, which stays, lets nobody delete.
fn is_backup(metadata: &ObjectMeta) -> bool {
    let named = metadata
        .name
        .as_ref()
        .is_some_and(|name| name.starts_with("offboarding-"));
    let labelled =
        |labels: &BTreeMap<String, String>| labels.keys().any(|label| label.starts_with("ack-offboarding.io/"));
    named || metadata.labels.as_ref().is_some_and(labelled)
}

fn is_in_kube_system(metadata: &ObjectMeta) -> bool {
    metadata.namespace.as_deref() == Some("kube-system")
}

/// Roles and bindings that the API server makes at its start.
fn is_built_in(metadata: &ObjectMeta) -> bool {
    metadata
        .labels
        .as_ref()
        .is_some_and(|labels| labels.contains_key("kubernetes.io/bootstrapping"))
}

fn is_of_the_control_plane(metadata: &ObjectMeta) -> bool {
    is_named(metadata, "kube-root-ca.crt") || is_in_kube_system(metadata) && !is_named(metadata, "ack-cluster-profile")
}

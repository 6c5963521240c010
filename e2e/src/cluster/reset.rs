//! Takes a cluster back to what it was before a test used it.

use std::{fs::File, time::Duration};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::json;

use super::{Cluster, OPERATOR_SERVICE_ACCOUNT, wait::eventually};

const DEADLINE: Duration = Duration::from_secs(60);

/// A kind of which every object goes, but for those to keep.
struct Kind(&'static str, &'static str, &'static str, fn(&ObjectMeta) -> bool);

/// What could refuse or delay the rest. The operator's own policy stays, as it takes a second to come into force.
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
        is_the_operators,
    ),
    Kind(
        "admissionregistration.k8s.io",
        "v1",
        "ValidatingAdmissionPolicy",
        is_the_operators,
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

const CONTENTS: [Kind; 11] = [
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
    /// Kept: CRDs, namespaces, the operator's ServiceAccount and its admission policy, and what the control plane itself needs.
    /// Namespaces stay, empty, because nothing but kube-controller-manager can delete one properly; one whose deletion was
    /// begun is finished off. Tests use a few names, such as `team-a`, with [`ensure_namespace`](Self::ensure_namespace).
    pub async fn reset(&self) -> anyhow::Result<()> {
        let client = self.admin();
        stream::iter(&GATES)
            .map(Ok)
            .try_for_each_concurrent(None, |kind| wipe(&client, kind))
            .await?;
        stream::iter(&CONTENTS)
            .map(Ok)
            .try_for_each_concurrent(None, |kind| wipe(&client, kind))
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

async fn wipe(client: &Client, Kind(group, version, kind, keep): &Kind) -> anyhow::Result<()> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let all = Api::<DynamicObject>::all_with(client.clone(), &resource);
    eventually(&format!("every {kind} to be deleted"), DEADLINE, async || {
        let found = match all.list_metadata(&ListParams::default()).await {
            Ok(found) => found,
            // Its CRD is not installed. Such an answer is no `Status`, and so has no reason.
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Some(())),
            Err(error) => return Err(error.into()),
        };
        let doomed: Vec<ObjectMeta> = found
            .items
            .into_iter()
            .map(|object| object.metadata)
            .filter(|metadata| !keep(metadata))
            .collect();
        if doomed.is_empty() {
            return Ok(Some(()));
        }
        stream::iter(doomed)
            .map(Ok)
            .try_for_each_concurrent(16, |metadata| delete(client, &resource, metadata))
            .await
            .map(|()| None)
    })
    .await
}

async fn delete(client: &Client, resource: &ApiResource, metadata: ObjectMeta) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = match &metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let name = metadata.name.unwrap_or_default();
    let mut outcome = Ok(());
    if metadata.finalizers.is_some_and(|finalizers| !finalizers.is_empty()) {
        let patch = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        outcome = api.patch(&name, &PatchParams::default(), &patch).await.map(drop);
    }
    if outcome.is_ok() {
        outcome = api
            .delete(&name, &DeleteParams::default().grace_period(0))
            .await
            .map(drop);
    }
    match outcome {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other.with_context(|| format!("cannot delete {} {name}", resource.kind)),
    }
}

/// Does the last step of deleting a namespace, which is kube-controller-manager's: its contents are gone by now.
async fn finish_namespaces(client: &Client) -> anyhow::Result<()> {
    let namespaces = Api::<Namespace>::all(client.clone());
    for mut namespace in namespaces.list(&ListParams::default()).await?.items {
        if namespace.metadata.deletion_timestamp.is_none() {
            continue;
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

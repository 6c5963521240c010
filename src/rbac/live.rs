//! One binding, read and changed at the API server.

use super::{
    binding::{BindingKey, BindingKind, LiveBinding, MalformedBinding},
    subject::UidKey,
};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::{Value, json};

/// A binding that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The API server failed.
    #[error("reading {key}: {source}")]
    Api {
        /// Which binding.
        key: BindingKey,
        /// What it answered.
        source: kube::Error,
    },
    /// It returned something else.
    #[error(transparent)]
    Malformed(#[from] MalformedBinding),
}

/// What came of a change.
#[derive(Debug)]
pub enum Effect {
    /// It was carried out.
    Done,
    /// The binding is gone.
    Gone,
    /// The binding is not what was backed up: another uid or resourceVersion.
    Conflict,
    /// RBAC or an admission policy refused it; in the API server's words.
    Refused(String),
}

/// Reads a binding whole; `None` if it does not exist.
///
/// # Errors
/// When the API server fails, or answers with something else.
pub async fn fetch(client: &Client, key: &BindingKey) -> Result<Option<LiveBinding>, ReadError> {
    let failed = |source| ReadError::Api {
        key: key.clone(),
        source,
    };
    let request = http::Request::get(key.path())
        .body(Vec::new())
        .map_err(|e| failed(kube::Error::HttpError(e)))?;
    match client.request::<Value>(request).await {
        Ok(raw) => Ok(Some(LiveBinding::parse(key.clone(), raw)?)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Deletes exactly `binding`: this uid in this resourceVersion.
///
/// # Errors
/// When it is not known whether the API server carried it out.
pub async fn delete(client: &Client, binding: &LiveBinding) -> Result<Effect, kube::Error> {
    let preconditions = Preconditions {
        uid: Some(binding.uid.clone()),
        resource_version: Some(binding.resource_version.clone()),
    };
    let params = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    let name = &binding.key.name;
    match binding.key.kind {
        BindingKind::ClusterRoleBinding => effect(
            Api::<ClusterRoleBinding>::all(client.clone())
                .delete(name, &params)
                .await
                .map(drop),
        ),
        BindingKind::RoleBinding => effect(
            role_bindings(client, &binding.key)
                .delete(name, &params)
                .await
                .map(drop),
        ),
    }
}

/// Drops the subjects of `uid` from exactly `binding`: in this resourceVersion.
///
/// # Errors
/// When it is not known whether the API server carried it out.
pub async fn remove_subjects(client: &Client, binding: &LiveBinding, uid: UidKey) -> Result<Effect, kube::Error> {
    // The resourceVersion pins the object as well: another object of the same name has another one.
    let patch = Patch::Merge(json!({
        "metadata": { "resourceVersion": binding.resource_version },
        "subjects": binding.subjects_without(uid),
    }));
    let (name, params) = (&binding.key.name, PatchParams::default());
    match binding.key.kind {
        BindingKind::ClusterRoleBinding => effect(
            Api::<ClusterRoleBinding>::all(client.clone())
                .patch(name, &params, &patch)
                .await
                .map(drop),
        ),
        BindingKind::RoleBinding => effect(
            role_bindings(client, &binding.key)
                .patch(name, &params, &patch)
                .await
                .map(drop),
        ),
    }
}

fn role_bindings(client: &Client, key: &BindingKey) -> Api<RoleBinding> {
    Api::namespaced(client.clone(), key.namespace.as_deref().unwrap_or_default())
}

fn effect(result: Result<(), kube::Error>) -> Result<Effect, kube::Error> {
    match result {
        Ok(()) => Ok(Effect::Done),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Effect::Gone),
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Effect::Conflict),
        // A ValidatingAdmissionPolicy refuses with 422 unless it names another reason.
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => {
            Ok(Effect::Refused(status.message.clone()))
        }
        Err(error) => Err(error),
    }
}

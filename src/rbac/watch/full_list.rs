//! A full list of one kind, read into a half of its own.

use crate::rbac::{
    binding::{BindingKey, BindingKind},
    index::Half,
    list::{self, Listed},
    slim::SlimBinding,
    subject::RBAC_GROUP,
};
use kube::Client;

/// A full list that is being read: it takes the place of the half in one step when it is complete.
#[derive(Debug)]
pub(super) struct Staging {
    pub(super) half: Half,
    pub(super) nonce: Option<String>,
}

impl Staging {
    pub(super) fn apply(&mut self, binding: &SlimBinding, barrier: Option<&BindingKey>) {
        self.half.apply(binding);
        if let Some(nonce) = nonce_in(binding, barrier) {
            self.nonce = Some(nonce.to_owned());
        }
    }
}

/// The nonce, if the binding is the barrier's: anybody may write such an annotation into another one.
pub(super) fn nonce_in<'a>(binding: &'a SlimBinding, barrier: Option<&BindingKey>) -> Option<&'a str> {
    let is_it = |b: &BindingKey| (&b.namespace, &b.name) == (&binding.namespace, &binding.name);
    binding.nonce.as_deref().filter(|_| barrier.is_some_and(is_it))
}

pub(super) async fn list_kind(
    client: &Client,
    kind: BindingKind,
    barrier: Option<&BindingKey>,
) -> Result<Listed<Staging>, kube::Error> {
    let path = format!("/apis/{RBAC_GROUP}/v1/{}", kind.plural());
    let new = || Staging {
        half: Half::new(kind),
        nonce: None,
    };
    list::fold(client, &path, new, |staging, binding: SlimBinding| {
        staging.apply(&binding, barrier)
    })
    .await
}

/// Lists all bindings of both kinds live into an index of its own.
///
/// # Errors
/// When a list cannot be had.
pub(crate) async fn list_live(client: &Client) -> Result<[Half; 2], kube::Error> {
    let cluster = list_kind(client, BindingKind::ClusterRoleBinding, None).await?;
    let namespaced = list_kind(client, BindingKind::RoleBinding, None).await?;
    Ok([cluster.value.half, namespaced.value.half])
}

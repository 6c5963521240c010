//! The ConfigMaps of the operator's namespace: backups, and lists of what passed the checks.

use crate::rbac::backup;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PartialObjectMeta},
};
use std::collections::BTreeSet;

/// Where backups are.
pub struct Backups {
    client: Client,
    namespace: String,
}

impl Backups {
    /// Those of this namespace.
    pub fn new(client: Client, namespace: String) -> Self {
        Backups { client, namespace }
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// One ConfigMap.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn get(&self, name: &str) -> kube::Result<Option<ConfigMap>> {
        Api::namespaced(self.client.clone(), &self.namespace)
            .get_opt(name)
            .await
    }

    /// The ConfigMaps with these labels, by their metadata: how large they are together, nobody bounds.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(&self, labels: &str) -> kube::Result<Vec<PartialObjectMeta<ConfigMap>>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut params = ListParams::default().labels(labels).limit(500);
        let mut found = Vec::new();
        loop {
            let page = api.list_metadata(&params).await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// The names of the ConfigMaps with the backups of the object with this `metadata.uid`.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn names(&self, object_uid: &str) -> kube::Result<BTreeSet<String>> {
        let listed = self.list(&format!("{}={object_uid}", backup::object_label())).await?;
        Ok(listed.iter().map(ResourceExt::name_any).collect())
    }
}

//! Stores a part, and gives the proof that it is stored.

use super::{
    entry::{StoredAction, StoredEntry, StoredPart, Unreadable},
    read::{is_same, read},
};
use crate::{
    rbac::binding::{BindingKey, LiveBinding},
    rbac::permit::Permit,
    request_id,
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{Api, Client, ResourceExt, api::PostParams};

/// Proof that exactly this binding, in this resourceVersion, is stored and was read back.
///
/// Made here only, out of a part that was read; what changes a binding takes one.
#[derive(Clone, Debug)]
pub struct Stored {
    key: BindingKey,
    uid: String,
    resource_version: String,
    action: StoredAction,
    config_map: String,
    config_map_uid: String,
}

impl Stored {
    fn of(part: &StoredPart, entry: &StoredEntry) -> Self {
        Stored {
            key: entry.key.clone(),
            uid: entry.uid.clone(),
            resource_version: entry.resource_version.clone(),
            action: entry.action,
            config_map: part.config_map.clone(),
            config_map_uid: part.config_map_uid.clone(),
        }
    }

    /// The binding that may be changed with it.
    pub fn key(&self) -> &BindingKey {
        &self.key
    }

    /// Its `metadata.uid`.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Its `metadata.resourceVersion`, as it is stored.
    pub fn resource_version(&self) -> &str {
        &self.resource_version
    }

    /// Whether it named the leaver only.
    pub fn is_only_leavers(&self) -> bool {
        self.action == StoredAction::Delete
    }

    /// The name of the ConfigMap that holds it.
    pub fn config_map(&self) -> &str {
        &self.config_map
    }

    /// Whether `live` is the state that is stored.
    pub fn is_of(&self, live: &LiveBinding) -> bool {
        self.key == live.key && self.uid == live.uid && self.resource_version == live.resource_version
    }
}

impl StoredPart {
    /// The proof that the part holds exactly this state of this binding, for this action.
    pub fn proof(&self, live: &LiveBinding, action: StoredAction) -> Option<Stored> {
        let same = |e: &&StoredEntry| {
            e.key == live.key
                && e.uid == live.uid
                && e.resource_version == live.resource_version
                && e.sha256 == live.sha256
                && e.action == action
        };
        self.entries.iter().find(same).map(|entry| Stored::of(self, entry))
    }

    /// The bindings that it holds to be deleted.
    pub fn to_delete(&self) -> impl Iterator<Item = Stored> + '_ {
        self.entries
            .iter()
            .filter(|entry| entry.action == StoredAction::Delete)
            .map(|entry| Stored::of(self, entry))
    }
}

/// A part that could not be stored, or does not read back as it was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server refused or failed to create it.
    #[error("creating ConfigMap {name} failed: {source}")]
    Create {
        /// `NAMESPACE/NAME` of the ConfigMap.
        name: String,
        /// The answer, or that there was none.
        source: kube::Error,
    },
    /// It may be stored, but could not be read back: it counts as not stored.
    #[error("reading ConfigMap {name} back failed: {source}")]
    Read {
        /// `NAMESPACE/NAME` of the ConfigMap.
        name: String,
        /// What the API server answered.
        source: kube::Error,
    },
    /// It is not what was written.
    #[error(transparent)]
    Differs(#[from] Unreadable),
}

/// Creates a ConfigMap, or finds it created before; reads it back, and compares it with what was written. Also says which
/// request created it, if it was this one.
///
/// # Errors
/// When it cannot be created or read, or does not hold what was written.
pub async fn store(
    client: &Client,
    map: &ConfigMap,
    now: Timestamp,
    _permit: &Permit,
) -> Result<(StoredPart, Option<String>), StoreError> {
    let (stored, request_id) = create(client, map).await?;
    let name = full_name(map);
    let differs = |what: &str| Unreadable {
        name: name.clone(),
        what: what.to_owned(),
    };
    if !is_same(map, &stored) {
        return Err(differs("its content is not what was written").into());
    }
    let meta = &stored.metadata;
    // Each of them would take it away by itself.
    if meta.deletion_timestamp.is_some() {
        return Err(differs("it is being deleted").into());
    }
    if meta.owner_references.as_ref().is_some_and(|owners| !owners.is_empty()) {
        return Err(
            differs("it has an owner, and the garbage collector would delete it together with the owner").into(),
        );
    }
    if meta
        .finalizers
        .as_ref()
        .is_some_and(|finalizers| !finalizers.is_empty())
    {
        return Err(differs("it has a finalizer").into());
    }
    Ok((read(&stored, now)?, request_id))
}

/// Creates an immutable ConfigMap, or finds it created before, and reads it back.
///
/// # Errors
/// When it cannot be created or read.
pub async fn create(client: &Client, map: &ConfigMap) -> Result<(ConfigMap, Option<String>), StoreError> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), map.metadata.namespace.as_deref().unwrap_or_default());
    let (created, request_id) = request_id::traced(api.create(&PostParams::default(), map)).await;
    let is_new = created.is_ok();
    match created {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(source) => {
            return Err(StoreError::Create {
                name: full_name(map),
                source,
            });
        }
    }
    let read = api.get(&map.name_any()).await.map_err(|source| StoreError::Read {
        name: full_name(map),
        source,
    })?;
    Ok((read, request_id.filter(|_| is_new)))
}

/// Whether the ConfigMap that holds the binding is there, and is the one that was read back. Asked immediately before what
/// it holds is changed.
///
/// # Errors
/// When the API server does not answer.
pub async fn still_there(client: &Client, namespace: &str, stored: &Stored) -> Result<bool, kube::Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let live = api.get_metadata_opt(&stored.config_map).await?;
    Ok(live.is_some_and(|live| {
        live.metadata.uid.as_deref() == Some(&stored.config_map_uid) && live.metadata.deletion_timestamp.is_none()
    }))
}

fn full_name(map: &ConfigMap) -> String {
    format!(
        "{}/{}",
        map.metadata.namespace.as_deref().unwrap_or_default(),
        map.name_any()
    )
}

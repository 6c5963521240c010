//! Writes the status of an object, of whatever kind: what is new, on exactly the object that was observed, while this process may.

use crate::rbac::permit::InHand;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::object::HasStatus,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::fmt::Debug;

/// The manager of the fields that the operator writes.
const MANAGER: &str = "ack-offboarding-operator";

/// How often a write is tried again after an edit that changed neither uid nor generation.
const ATTEMPTS: u32 = 5;

/// A status of which this process writes a part beside the rest.
pub(crate) trait Adopt {
    /// Takes over what was written beside this one into `live`.
    fn adopt(&mut self, live: &Self);
}

/// The status of one cluster-scoped object, as it was written last.
#[derive(Debug)]
pub(crate) struct StatusWriter<K: HasStatus> {
    object: K,
    written: K::Status,
}

/// Why a status was not written.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// The object is no longer the observed one: another uid, another generation, another status; or it is gone.
    Superseded,
    /// This process may not write.
    NotPermitted,
    /// The API server failed.
    Api(kube::Error),
}

impl From<kube::Error> for NotWritten {
    fn from(error: kube::Error) -> Self {
        NotWritten::Api(error)
    }
}

impl<K> StatusWriter<K>
where
    K: Resource<DynamicType = ()> + HasStatus + Clone + DeserializeOwned + Debug,
    K::Status: Serialize + Default + Clone + PartialEq + Adopt,
{
    /// Of an object as it was observed.
    pub(crate) fn new(object: K) -> Self {
        StatusWriter {
            written: object.status().cloned().unwrap_or_default(),
            object,
        }
    }

    /// The object that was observed, with the resourceVersion of the last write.
    pub(crate) fn object(&self) -> &K {
        &self.object
    }

    /// The status that is written.
    pub(crate) fn written(&self) -> &K::Status {
        &self.written
    }

    /// Writes a status by server-side apply, unless it is written already; gives the one before, if it did. `permit` is asked before each
    /// try. What was written beside it is kept: it is in [`written`](Self::written) then.
    ///
    /// # Errors
    /// When the object is another, when this process may not write, or when the API server fails.
    pub(crate) async fn write(
        &mut self,
        client: &Client,
        status: &K::Status,
        permit: impl Fn() -> Option<InHand>,
    ) -> Result<Option<K::Status>, NotWritten> {
        if *status == self.written {
            return Ok(None);
        }
        let api: Api<K> = Api::all(client.clone());
        let name = self.object.name_any();
        let mut status = status.clone();
        for _ in 0..ATTEMPTS {
            // With the resourceVersion: by name alone it would land on another object that has taken the name.
            let patch = json!({
                "apiVersion": K::api_version(&()),
                "kind": K::kind(&()),
                "metadata": {
                    "name": name,
                    "uid": self.object.meta().uid,
                    "resourceVersion": self.object.meta().resource_version,
                },
                "status": status,
            });
            let params = PatchParams::apply(MANAGER).force();
            let _in_hand = permit().ok_or(NotWritten::NotPermitted)?;
            match api.patch_status(&name, &params, &Patch::Apply(&patch)).await {
                Ok(written) => {
                    self.object.meta_mut().resource_version = written.resource_version();
                    return Ok(Some(std::mem::replace(&mut self.written, status)));
                }
                Err(kube::Error::Api(refusal)) if refusal.is_conflict() => {
                    self.refresh(&api).await?;
                    status.adopt(&self.written);
                }
                Err(kube::Error::Api(refusal)) if refusal.is_not_found() => return Err(NotWritten::Superseded),
                Err(error) => return Err(error.into()),
            }
        }
        Err(NotWritten::Superseded)
    }

    /// Someone wrote to the object. If it is the same one, with the same spec, and still with the status that was
    /// written last, but for what is written beside it, the write can be tried again. Read in one piece: two reads could be of two objects.
    async fn refresh(&mut self, api: &Api<K>) -> Result<(), NotWritten> {
        let live = api.get_opt(&self.object.name_any()).await?;
        let live = live.ok_or(NotWritten::Superseded)?;
        // As they are stored: times lose their fractions there.
        let stored = |status: &K::Status| serde_json::to_value(status).ok();
        let (now, before) = (live.meta(), self.object.meta());
        let status = live.status().cloned().unwrap_or_default();
        let mut expected = self.written.clone();
        expected.adopt(&status);
        let same = now.uid == before.uid
            && now.generation == before.generation
            && now.deletion_timestamp.is_none()
            && stored(&status) == stored(&expected);
        if !same {
            return Err(NotWritten::Superseded);
        }
        self.object.meta_mut().resource_version = live.resource_version();
        self.written = expected;
        Ok(())
    }
}

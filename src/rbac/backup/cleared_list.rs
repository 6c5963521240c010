//! The list of what passed the checks of a run, as a ConfigMap.

use super::names::{NAME_PREFIX, sha256};
use crate::api::GROUP;
use alibaba_cloud::Uid;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::ObjectMeta;
use std::collections::BTreeMap;

/// The key of the list in [`clearance_map`].
pub const CLEARED: &str = "cleared.txt";

/// The label of a list of cleared items, with the `metadata.uid` of the UserOffboarding.
pub fn clearance_label() -> String {
    format!("{GROUP}/clearance-of")
}

/// The ConfigMap with the list of what passed the checks of a run: a fingerprint a line. Only its name is kept, and its sha256.
pub fn clearance_map(uid: Uid, object_uid: &str, list: &str, namespace: &str) -> ConfigMap {
    let hash = sha256(format!("{object_uid}/{list}").as_bytes())[..20].to_owned();
    ConfigMap {
        immutable: Some(true),
        data: Some(BTreeMap::from([(CLEARED.to_owned(), list.to_owned())])),
        metadata: ObjectMeta {
            name: Some(format!("{NAME_PREFIX}{uid}-cleared-{hash}")),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (
                    "app.kubernetes.io/managed-by".to_owned(),
                    "ack-offboarding-operator".to_owned(),
                ),
                (clearance_label(), object_uid.to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

//! The backups in the operator's namespace, read and checked.

use crate::{
    cluster::{Cluster, Role},
    exit::{Exit, Failure},
    output::{self, clean},
};
use ack_offboarding_operator::{
    rbac::backup,
    restore::{self, Backups, Verified},
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{ResourceExt, api::PartialObjectMeta};

/// Where the chart's instructions install the operator.
const USUAL_NAMESPACE: &str = "ack-offboarding-system";

/// A ConfigMap that says it is a backup: what its labels and annotations tell, and whether the rest agrees.
pub(crate) struct Loaded {
    pub(crate) name: String,
    /// The RAM UID of its label.
    pub(crate) uid: String,
    /// The `metadata.uid` of the UserOffboarding.
    pub(crate) object_uid: String,
    /// When it says it was made; else when the API server took it in.
    pub(crate) created: Option<Timestamp>,
    /// Why the offboarding was asked for, as it says.
    pub(crate) reason: Option<String>,
    /// What it holds, or why it is refused.
    pub(crate) content: Result<Verified, String>,
}

impl Loaded {
    fn of(map: &ConfigMap, namespace: &str, now: Timestamp) -> Self {
        let label = |key: String| clean(map.labels().get(&key).map_or("", String::as_str));
        let annotation = |key: &str| map.annotations().get(&format!("{}/{key}", api_group()));
        let created = annotation("created-at").and_then(|time| time.parse().ok());
        Loaded {
            name: map.name_any(),
            uid: label(backup::uid_label()),
            object_uid: label(backup::object_label()),
            created: created.or_else(|| map.creation_timestamp().map(|time| time.0)),
            reason: annotation("reason").map(|reason| clean(reason)),
            content: restore::verify(map, namespace, now).map_err(|error| clean(&error.what)),
        }
    }
}

fn api_group() -> &'static str {
    ack_offboarding_operator::api::GROUP
}

/// Where backups are: what `--operator-namespace` or any UserOffboarding says, else the usual one.
///
/// # Errors
/// When the API server does not answer, or UserOffboardings may not be listed.
pub(crate) async fn namespace(cluster: &Cluster) -> Result<String, Failure> {
    match cluster.operator_namespace().await {
        Err(failure) if failure.exit == Exit::Usage => {
            output::note(format_args!(
                "No UserOffboarding says where the operator is; looking in {USUAL_NAMESPACE}. Another: --operator-namespace=NAMESPACE."
            ));
            Ok(USUAL_NAMESPACE.to_owned())
        }
        other => other,
    }
}

/// The backups with these labels, the newest first. One is in memory at a time, but for what can be restored from it.
///
/// # Errors
/// When they cannot be listed or read.
pub(crate) async fn load(cluster: &Cluster, namespace: &str, labels: &str) -> Result<Vec<Loaded>, Failure> {
    let doing = format!("read backups in namespace {namespace}");
    let failed = |error: kube::Error| cluster.refused(&error, &doing, Role::Restorer);
    let backups = Backups::new(cluster.client.clone(), namespace.to_owned());
    let listed: Vec<PartialObjectMeta<ConfigMap>> = backups.list(labels).await.map_err(failed)?;
    if listed.len() > 20 && output::is_live() {
        output::note(format_args!("Reading {} backups …", listed.len()));
    }
    let now = Timestamp::now();
    let mut loaded = Vec::new();
    for name in listed.iter().map(ResourceExt::name_any) {
        // One that went meanwhile is no longer a backup.
        if let Some(map) = backups.get(&name).await.map_err(failed)? {
            loaded.push(Loaded::of(&map, namespace, now));
        }
    }
    loaded.sort_by(|a, b| (b.created, &b.name).cmp(&(a.created, &a.name)));
    Ok(loaded)
}

/// The names of the backups with these labels, in their order.
///
/// # Errors
/// When they cannot be listed.
pub(crate) async fn names(cluster: &Cluster, namespace: &str, labels: &str) -> Result<Vec<String>, Failure> {
    let doing = format!("read backups in namespace {namespace}");
    let backups = Backups::new(cluster.client.clone(), namespace.to_owned());
    let listed = backups.list(labels).await;
    let listed: Vec<PartialObjectMeta<ConfigMap>> =
        listed.map_err(|error| cluster.refused(&error, &doing, Role::Restorer))?;
    Ok(listed.iter().map(|one| clean(&one.name_any())).collect())
}

/// The backup of this name, if there is one.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn load_one(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Loaded>, Failure> {
    let backups = Backups::new(cluster.client.clone(), namespace.to_owned());
    let map = backups.get(name).await.map_err(|error| {
        let doing = format!("read ConfigMap {namespace}/{name}");
        cluster.refused(&error, &doing, Role::Restorer)
    })?;
    // A list of cleared items is no backup.
    let map = map.filter(|map| map.labels().contains_key(&backup::object_label()));
    Ok(map.map(|map| Loaded::of(&map, namespace, Timestamp::now())))
}

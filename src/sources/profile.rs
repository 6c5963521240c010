//! What the cluster says of itself.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};

/// The ConfigMap in `kube-system` in which an ACK cluster says which cluster, of which account, it is.
pub(crate) const PROFILE: &str = "ack-cluster-profile";

/// What the cluster says of itself in `kube-system/ack-cluster-profile`: the cluster's ID, and the account's.
///
/// # Errors
/// When the ConfigMap may not be read, or does not exist.
pub async fn profile(client: &Client) -> Result<(Option<String>, Option<String>), kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-system");
    let data = maps.get(PROFILE).await?.data.unwrap_or_default();
    let said = |key: &str| {
        data.get(key)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    Ok((said("clusterid"), said("uid")))
}

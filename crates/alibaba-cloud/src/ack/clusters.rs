//! The clusters of the account.

use std::collections::HashSet;

use http::Method;
use serde::Deserialize;

use super::Ack;
use crate::{
    answer::{NAME_LIMIT, legible},
    call::failure,
    error::{ApiError, ErrorKind, Service},
    pages::{PageInfo, numbered_as},
};

const OPERATION: &str = "DescribeClustersV1";

/// How many clusters are asked for at once. The most that a page can hold is not published; a service that sends fewer is asked for more
/// pages.
const PAGE: usize = 50;

/// A cluster of the account, as ACK lists it. Source: API page `DescribeClustersV1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedCluster {
    /// Its ID, as in `c0123456789abcdef0123456789abcdef`: what the other calls take.
    pub id: String,
    /// Its name; two clusters may have the same.
    pub name: String,
    /// Its region, as in `cn-hangzhou`.
    pub region: String,
    /// Its state, as ACK writes it: `running`, `deleting`, …; empty if it says none.
    pub state: String,
    /// What sort of cluster it is, as ACK writes it: `ManagedKubernetes`, `ExternalKubernetes`, …
    pub cluster_type: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    page_info: Option<PageInfo>,
    #[serde(default)]
    clusters: Option<Vec<Listed>>,
}

#[derive(Clone, Deserialize, PartialEq, Eq, Hash)]
struct Listed {
    cluster_id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    region_id: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    cluster_type: Option<String>,
}

impl Ack {
    /// All clusters of the account, in every region and every state. Needs `cs:DescribeClustersV1`.
    ///
    /// # Errors
    /// Any [`ApiError`]. A list that cannot be whole is an error of the kind `Malformed`, never a shorter list.
    pub async fn describe_clusters(&self) -> Result<Vec<ListedCluster>, ApiError> {
        let call = |number: usize| {
            let segments = ["api", "v1", "clusters"];
            let mut call = self.call(OPERATION, Method::GET, segments, format!("page {number}"))?;
            call.query = vec![("page_number", number.to_string()), ("page_size", PAGE.to_string())];
            Ok(call)
        };
        let listed = numbered_as(&self.client, call, |page: Page| (page.page_info, page.clusters)).await?;
        let mut ids = HashSet::new();
        if !listed.iter().all(|cluster| ids.insert(cluster.cluster_id.as_str())) {
            let what = "a cluster came twice: the list changed while it was read";
            return Err(failure(Service::Ack, OPERATION, "", ErrorKind::Malformed, what));
        }
        Ok(listed.into_iter().map(ListedCluster::from).collect())
    }
}

impl From<Listed> for ListedCluster {
    fn from(listed: Listed) -> Self {
        let text = |text: Option<String>| legible(&text.unwrap_or_default(), NAME_LIMIT);
        ListedCluster {
            id: legible(&listed.cluster_id, NAME_LIMIT),
            name: text(listed.name),
            region: text(listed.region_id),
            state: text(listed.state),
            cluster_type: text(listed.cluster_type),
        }
    }
}

//! The installed operator, as the API server and kubelet tell of it.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Pod},
    jiff::Timestamp,
};
use kube::{Api, Client, ResourceExt, api::ListParams};

use crate::cluster::{OPERATOR_NAMESPACE, eventually};

const LEASE: &str = "ack-offboarding-operator";
/// The container's name in the chart.
const CONTAINER: &str = "operator";
/// Kubelet's metrics are up to half a minute old.
const DEADLINE: Duration = Duration::from_secs(120);

/// The operator in a cluster.
pub(super) struct Installation {
    client: Client,
    pods: Api<Pod>,
    leases: Api<Lease>,
}

impl Installation {
    pub(super) fn new(client: &Client) -> Self {
        Installation {
            client: client.clone(),
            pods: Api::namespaced(client.clone(), OPERATOR_NAMESPACE),
            leases: Api::namespaced(client.clone(), OPERATOR_NAMESPACE),
        }
    }

    /// The pods that are not being deleted.
    pub(super) async fn pods(&self) -> anyhow::Result<Vec<Pod>> {
        let ours = ListParams::default().labels("app.kubernetes.io/name=ack-offboarding-operator");
        let pods = self.pods.list(&ours).await?.items;
        Ok(pods
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .collect())
    }

    /// Those of them that are Ready.
    pub(super) async fn ready_pods(&self) -> anyhow::Result<Vec<Pod>> {
        let pods = self.pods().await?;
        Ok(pods.into_iter().filter(|pod| ready_since(pod).is_some()).collect())
    }

    /// The `holderIdentity` of the Lease; empty if nobody holds it.
    pub(super) async fn leader(&self) -> anyhow::Result<String> {
        let lease = self.leases.get_opt(LEASE).await?;
        let holder = lease.and_then(|lease| lease.spec?.holder_identity);
        Ok(holder.unwrap_or_default())
    }

    /// The pod that holds the Lease: identities begin with its name.
    pub(super) async fn leading_pod(&self) -> anyhow::Result<Pod> {
        let leader = self.leader().await?;
        let pods = self.pods().await?;
        pods.into_iter()
            .find(|pod| leader.starts_with(&format!("{}_", pod.name_any())))
            .with_context(|| format!("the Lease's holder {leader:?} is no pod of the operator"))
    }

    /// The working set of the pod's container in bytes, by kubelet's metrics, once they are of a time after `after`.
    pub(super) async fn working_set(&self, pod: &Pod, after: Timestamp) -> anyhow::Result<u64> {
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
        let path = format!("/api/v1/nodes/{}/proxy/metrics/cadvisor", node.unwrap_or_default());
        let what = format!("the memory of {}", pod.name_any());
        eventually(&what, DEADLINE, async || {
            let metrics = self
                .client
                .request_text(http::Request::get(&path).body(Vec::new())?)
                .await?;
            let sample = metrics
                .lines()
                .find_map(|line| working_set_sample(line, &pod.name_any()));
            Ok(sample.filter(|(_, time)| *time > after).map(|(bytes, _)| bytes))
        })
        .await
    }
}

/// The value and the time of a sample of the pod's working set: `container_memory_working_set_bytes{LABELS} BYTES MILLISECONDS`.
fn working_set_sample(line: &str, pod: &str) -> Option<(u64, Timestamp)> {
    let (labels, sample) = line
        .strip_prefix("container_memory_working_set_bytes{")?
        .split_once("} ")?;
    let has = |name: &str, value: &str| labels.contains(&format!("{name}=\"{value}\""));
    if !(has("container", CONTAINER) && has("namespace", OPERATOR_NAMESPACE) && has("pod", pod)) {
        return None;
    }
    let (bytes, time) = sample.split_once(' ')?;
    let time = Timestamp::from_millisecond(time.parse().ok()?).ok()?;
    Some((bytes.parse::<f64>().ok()? as u64, time))
}

/// Since when the pod is Ready, if it is.
fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True")?;
    Some(ready.last_transition_time.as_ref()?.0)
}

/// How long the pod took from its container's start to its readiness, in whole seconds.
pub(super) fn ready_after(pod: &Pod) -> Option<f64> {
    let ready = ready_since(pod)?;
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    let started = containers
        .first()?
        .state
        .as_ref()?
        .running
        .as_ref()?
        .started_at
        .as_ref()?
        .0;
    Some(ready.duration_since(started).as_secs_f64())
}

/// How often containers of these pods were started again.
pub(super) fn restarts(pods: &[Pod]) -> i32 {
    pods.iter()
        .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref())
        .flatten()
        .map(|container| container.restart_count)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_working_set_is_that_of_the_operators_own_container() {
        let line = |container: &str| {
            format!(
                "container_memory_working_set_bytes{{container=\"{container}\",id=\"/kubepods/x\",image=\"\",name=\"\",namespace=\"ack-offboarding-system\",pod=\"a\"}} \
                 1.2288e+07 1764086400000"
            )
        };
        let at = Timestamp::from_second(1_764_086_400).unwrap();
        assert_eq!(working_set_sample(&line("operator"), "a"), Some((12_288_000, at)));
        assert_eq!(working_set_sample(&line("operator"), "b"), None);
        // The whole pod, with its sandbox.
        assert_eq!(working_set_sample(&line(""), "a"), None);
    }
}

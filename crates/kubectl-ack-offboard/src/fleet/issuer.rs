//! Kubeconfigs that ACK issues to whoever runs the plugin: of the shortest lifetime, and in memory only.

use crate::exit::{Failure, NotCovered};
use alibaba_cloud::{
    ApiError, Cloud, ErrorKind, Uid,
    ack::{CertState, ListedCluster, SHORTEST_MINUTES},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::config::{AuthInfo, Cluster, Kubeconfig, NamedAuthInfo, NamedCluster};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How often a kubeconfig is asked for where ACK says that there were too many requests: it issued none then.
const TRIES: u32 = 4;
/// How long to wait before the next try, if ACK does not say.
const PAUSE: Duration = Duration::from_secs(1);

/// The account's clusters, and kubeconfigs for them.
pub(crate) struct Issuer {
    cloud: Cloud,
    /// The API servers' addresses inside their VPCs.
    private: bool,
}

/// A kubeconfig, and when it ends.
pub(crate) struct Issued {
    pub(crate) kubeconfig: Kubeconfig,
    pub(crate) ends: Timestamp,
}

impl Issuer {
    pub(crate) fn new(cloud: Cloud, private: bool) -> Self {
        Issuer { cloud, private }
    }

    /// Every cluster of the account.
    ///
    /// # Errors
    /// When the list is not whole, or may not be read.
    pub(crate) async fn clusters(&self) -> Result<Vec<ListedCluster>, Failure> {
        let listed = self.cloud.ack.describe_clusters().await;
        listed.map_err(|error| {
            Failure::new(format!(
                "cannot list the clusters of your account: {error}. It takes the RAM action cs:DescribeClustersV1."
            ))
        })
    }

    /// What ACK says of one identity's kubeconfigs in all clusters, by cluster ID: one question.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn kubeconfig_states(&self, uid: &str) -> Result<HashMap<String, CertState>, String> {
        let uid: Uid = uid.parse().map_err(|_| format!("{uid} is no UID"))?;
        let states = self.cloud.ack.list_user_kubeconfig_states(uid).await;
        let states = states.map_err(|error| {
            format!(
                "ACK does not say in which clusters UID {uid} has a kubeconfig (cs:ListUserKubeConfigStates): {error}"
            )
        })?;
        Ok(states
            .into_iter()
            .map(|state| (state.cluster_id, state.cert_state))
            .collect())
    }

    /// A kubeconfig for a cluster. `issued` counts those that ACK issued, or may have issued.
    ///
    /// # Errors
    /// When ACK issues none, or one that holds more than an address and credentials.
    pub(crate) async fn issue(&self, cluster: &str, issued: &AtomicU32) -> Result<Issued, Failure> {
        let asked_at = Timestamp::now();
        let mut tries = TRIES;
        let answer = loop {
            // Counted first: whoever stops waiting does not know what ACK did.
            issued.fetch_add(1, Ordering::Relaxed);
            let ack = &self.cloud.ack;
            match ack
                .describe_cluster_user_kubeconfig(cluster, SHORTEST_MINUTES, self.private)
                .await
            {
                Ok(answer) => break answer,
                Err(error) => {
                    if issued_none(&error) {
                        issued.fetch_sub(1, Ordering::Relaxed);
                    }
                    tries -= 1;
                    if error.kind != ErrorKind::Throttled || tries == 0 {
                        return Err(failed(&error));
                    }
                    tokio::time::sleep(error.retry_after.unwrap_or(PAUSE)).await;
                }
            }
        };
        let kubeconfig = kubeconfig(answer.expose()).map_err(|what| {
            Failure::new(format!("ACK issued a kubeconfig that is not used: {what}.")).because(NotCovered::Unreachable)
        })?;
        let ends = answer.expires_at.and_then(|time| time.parse().ok());
        let usual = asked_at + SignedDuration::from_mins(SHORTEST_MINUTES.into());
        Ok(Issued {
            kubeconfig,
            ends: ends.unwrap_or(usual),
        })
    }
}

/// Whether the error is an answer by which nothing was issued.
fn issued_none(error: &ApiError) -> bool {
    use ErrorKind as K;
    !matches!(error.kind, K::Connection | K::TimedOut | K::Server | K::Malformed)
}

fn failed(error: &ApiError) -> Failure {
    let failure = Failure::new(format!(
        "ACK issues no kubeconfig: {error}. It takes the RAM action cs:DescribeClusterUserKubeconfig for this cluster."
    ));
    failure.because(match error.kind {
        ErrorKind::Forbidden => NotCovered::NoRights,
        _ => NotCovered::Unreachable,
    })
}

/// Reads a kubeconfig that came over the network: addresses, and credentials that stand in it. One that names a program or a file of this
/// machine is refused. What is wrong is never quoted, as it may be a key.
fn kubeconfig(text: &str) -> Result<Kubeconfig, &'static str> {
    let read = Kubeconfig::from_yaml(text).map_err(|_| "it cannot be read")?;
    let clusters = read.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let users = read.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    if clusters.clone().any(|cluster| cluster.certificate_authority.is_some())
        || users
            .clone()
            .any(|user| user.client_certificate.is_some() || user.client_key.is_some() || user.token_file.is_some())
    {
        return Err("it names files");
    }
    if users
        .clone()
        .any(|user| user.exec.is_some() || user.auth_provider.is_some())
    {
        return Err("it names a program to run");
    }
    let is_checked = |cluster: &Cluster| {
        let is_https = cluster
            .server
            .as_ref()
            .is_some_and(|server| server.starts_with("https://"));
        is_https && !cluster.insecure_skip_tls_verify.unwrap_or_default()
    };
    if !clusters.clone().all(is_checked) {
        return Err("its connection would not be verified");
    }
    // Nothing else of it is kept.
    Ok(Kubeconfig {
        clusters: read.clusters.into_iter().filter_map(own_cluster).collect(),
        auth_infos: read.auth_infos.into_iter().filter_map(own_user).collect(),
        contexts: read.contexts,
        current_context: read.current_context,
        ..Kubeconfig::default()
    })
}

fn own_cluster(named: NamedCluster) -> Option<NamedCluster> {
    let cluster = named.cluster?;
    Some(NamedCluster {
        name: named.name,
        cluster: Some(Cluster {
            server: cluster.server,
            certificate_authority_data: cluster.certificate_authority_data,
            tls_server_name: cluster.tls_server_name,
            ..Cluster::default()
        }),
        ..NamedCluster::default()
    })
}

fn own_user(named: NamedAuthInfo) -> Option<NamedAuthInfo> {
    let user = named.auth_info?;
    Some(NamedAuthInfo {
        name: named.name,
        auth_info: Some(AuthInfo {
            client_certificate_data: user.client_certificate_data,
            client_key_data: user.client_key_data,
            token: user.token,
            ..AuthInfo::default()
        }),
        ..NamedAuthInfo::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: \
             {{{user}}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        )
    }

    #[test]
    fn a_kubeconfig_with_its_credentials_in_it_is_taken() {
        let server =
            "server: 'https://127.0.0.1:6443', certificate-authority-data: QQ==, proxy-url: 'http://elsewhere'";
        let text = with(
            server,
            "client-certificate-data: QQ==, client-key-data: QQ==, username: x",
        );
        let taken = kubeconfig(&text).unwrap();
        let cluster = taken.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:6443"));
        assert_eq!(cluster.proxy_url, None);
        let user = taken.auth_infos[0].auth_info.as_ref().unwrap();
        assert!(user.client_key_data.is_some() && user.username.is_none());
        assert_eq!(taken.current_context.as_deref(), Some("c"));
    }

    #[test]
    fn one_that_reaches_into_this_machine_is_refused_and_not_quoted() {
        let server = "server: 'https://127.0.0.1:6443'";
        for (cluster, user, said) in [
            (
                server,
                "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}",
                "program",
            ),
            (server, "auth-provider: {name: oidc, config: {}}", "program"),
            (server, "client-key: /etc/shadow", "files"),
            (server, "tokenFile: /etc/shadow", "files"),
            (
                "server: 'https://h', certificate-authority: /etc/shadow",
                "token: secret",
                "files",
            ),
            ("server: 'http://h'", "token: secret", "verified"),
            (
                "server: 'https://h', insecure-skip-tls-verify: true",
                "token: secret",
                "verified",
            ),
            ("server: [secret", "token: secret", "cannot be read"),
        ] {
            let what = kubeconfig(&with(cluster, user)).unwrap_err();
            assert!(what.contains(said), "{cluster} {user}: {what}");
        }
    }
}

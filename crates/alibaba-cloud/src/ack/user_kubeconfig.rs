//! A kubeconfig for the caller.

use std::fmt;

use http::Method;
use serde::Deserialize;

use super::Ack;
use crate::{
    answer::{NAME_LIMIT, legible},
    call::Repeat,
    error::ApiError,
};

/// The shortest time that a kubeconfig can hold, in minutes. Source: API page `DescribeClusterUserKubeconfig`.
pub const SHORTEST_MINUTES: u16 = 15;

/// A kubeconfig that ACK issued to the caller: a secret. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct UserKubeconfig {
    config: String,
    /// When its certificate expires, as the service writes it: RFC 3339.
    pub expires_at: Option<String>,
}

impl UserKubeconfig {
    /// The kubeconfig itself: YAML, with a private key in it.
    pub fn expose(&self) -> &str {
        &self.config
    }
}

impl fmt::Debug for UserKubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserKubeconfig")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Issued {
    #[serde(default)]
    config: Option<String>,
    #[serde(default)]
    expiration: Option<String>,
}

impl Ack {
    /// Has ACK **issue a client certificate to the caller**, for `minutes` (15 to 4,320), and returns the kubeconfig with it: for the API
    /// server's address inside the VPC if `private`, else for the public one. Needs `cs:DescribeClusterUserKubeconfig`. What the caller may do in the
    /// cluster is up to its RBAC. Source: API page `DescribeClusterUserKubeconfig`.
    ///
    /// Guarantee: sent at most once; no error holds any of the answer.
    ///
    /// # Errors
    /// Any [`ApiError`]. After `Connection`, `TimedOut`, `Server` or `Malformed` a certificate may have been issued.
    pub async fn describe_cluster_user_kubeconfig(
        &self,
        cluster: &str,
        minutes: u16,
        private: bool,
    ) -> Result<UserKubeconfig, ApiError> {
        let segments = ["k8s", cluster, "user_config"];
        let target = format!("cluster {cluster}");
        let mut call = self.call("DescribeClusterUserKubeconfig", Method::GET, segments, target)?;
        call.query = vec![
            ("PrivateIpAddress", private.to_string()),
            ("TemporaryDurationMinutes", minutes.to_string()),
        ];
        call.repeat = Repeat::Never;
        let answer = self.client.send(&call).await?;
        // What cannot be read is not quoted: it may be the key.
        let issued: Issued = serde_json::from_slice(&answer.body)
            .map_err(|_| call.malformed(&answer, "it is not the JSON that the API promises"))?;
        let config = issued.config.filter(|config| !config.trim().is_empty());
        Ok(UserKubeconfig {
            config: config.ok_or_else(|| call.malformed(&answer, "it contains no kubeconfig"))?,
            expires_at: issued
                .expiration
                .filter(|time| !time.is_empty())
                .map(|time| legible(&time, NAME_LIMIT)),
        })
    }
}

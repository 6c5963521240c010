//! One cluster of many, and how to connect to it.

use super::issuer::Issuer;
use crate::{
    cli::Connection,
    cluster::Cluster,
    exit::{Failure, NotCovered},
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::config::Kubeconfig;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::sync::Mutex;

/// How long credentials must still hold when work begins. Nothing that is done with them takes longer.
const MARGIN: SignedDuration = SignedDuration::from_mins(4);

/// One cluster that was asked for.
pub(crate) struct Member {
    /// Unique among those that were asked for.
    pub(crate) name: String,
    /// ACK's ID of it, where it is known.
    pub(crate) id: Option<String>,
    /// Its region, where it is known.
    pub(crate) region: Option<String>,
    access: Access,
    issued: AtomicU32,
    connected: Mutex<Option<Connected>>,
}

/// How to get to it.
pub(crate) enum Access {
    /// A context of a kubeconfig.
    Context(Arc<Kubeconfig>),
    /// A kubeconfig from ACK, by the cluster's ID.
    Issued(Arc<Issuer>),
    /// Not at all, and why.
    Not(NotCovered, String),
}

struct Connected {
    cluster: Cluster,
    ends: Option<Timestamp>,
}

impl Member {
    pub(crate) fn new(name: String, id: Option<String>, region: Option<String>, access: Access) -> Self {
        Member {
            name,
            id,
            region,
            access,
            issued: AtomicU32::new(0),
            connected: Mutex::new(None),
        }
    }

    /// How many kubeconfigs ACK issued for it, or may have issued.
    pub(crate) fn issued(&self) -> u32 {
        self.issued.load(Ordering::Relaxed)
    }

    /// The cluster; by the connection of earlier, unless its credentials are about to end.
    ///
    /// # Errors
    /// When there are no credentials for it, or no client can be made of them. Its API server is not asked.
    pub(crate) async fn connect(&self, connection: &Connection) -> Result<Cluster, Failure> {
        let mut connected = self.connected.lock().await;
        let holds = |connected: &&Connected| {
            connected
                .ends
                .is_none_or(|ends| ends.duration_since(Timestamp::now()) > MARGIN)
        };
        if let Some(connected) = connected.as_ref().filter(holds) {
            return Ok(connected.cluster.clone());
        }
        let made = self.make(connection).await?;
        let cluster = made.cluster.clone();
        *connected = Some(made);
        Ok(cluster)
    }

    async fn make(&self, connection: &Connection) -> Result<Connected, Failure> {
        let mut connection = connection.clone();
        match &self.access {
            Access::Not(why, message) => Err(Failure::new(message).because(*why)),
            Access::Context(file) => {
                connection.context = Some(self.name.clone());
                let made = Cluster::in_kubeconfig(Kubeconfig::clone(file), &connection).await;
                let cluster = made.map_err(|failure| failure.because(NotCovered::Unreachable))?;
                Ok(Connected { cluster, ends: None })
            }
            Access::Issued(issuer) => {
                connection.context = None;
                let issued = issuer
                    .issue(self.id.as_deref().unwrap_or_default(), &self.issued)
                    .await?;
                // What is wrong with it is not quoted, as it may be a key.
                let made = Cluster::in_kubeconfig(issued.kubeconfig, &connection).await;
                let cluster = made.map_err(|_| {
                    Failure::new("ACK issued a kubeconfig of which no client can be made.")
                        .because(NotCovered::Unreachable)
                })?;
                let ends = Some(issued.ends);
                Ok(Connected { cluster, ends })
            }
        }
    }
}

//! The ACK cluster: what ACK and the cluster's audit log say of an identity.

use super::{
    activity::{
        self, Answer, Inconclusive, Question,
        audit_log::AuditLog,
        authors::{self, Authors},
    },
    query_error::QueryError,
};
use crate::{api::CertState, sync::lock};
use alibaba_cloud::{
    Cloud, Uid,
    ack::{self, KubeconfigState},
};
use k8s_openapi::jiff::Timestamp;
use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long ACK's answer about the cluster's creator is waited for: a removal may be next.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long that answer is believed.
const CREATOR_FOR: Duration = Duration::from_secs(600);

/// The cluster, as ACK knows it.
pub struct AckCluster {
    cloud: Cloud,
    id: String,
    log: AuditLog,
    known: tokio::sync::OnceCell<()>,
    creators: Mutex<HashMap<Uid, (Instant, bool)>>,
}

impl AckCluster {
    /// The cluster with this ID, and its audit log.
    pub fn new(cloud: Cloud, id: String, log: AuditLog) -> Self {
        AckCluster {
            cloud,
            id,
            log,
            known: tokio::sync::OnceCell::new(),
            creators: Mutex::default(),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn ack(&self) -> &ack::Ack {
        &self.cloud.ack
    }

    pub fn log(&self) -> &AuditLog {
        &self.log
    }

    /// Asks the audit log whether the identity made a request in the window. An answer that lets nothing begin may be some seconds
    /// old: see [`activity::RecentAnswers`].
    pub async fn activity(&self, question: &Question<'_>) -> Answer {
        activity::check(&self.log, question).await
    }

    /// Asks the audit log who created and approved UserOffboardings from then on, until that `is_enough`.
    ///
    /// # Errors
    /// When the log cannot be asked, or does not answer completely.
    pub(crate) async fn authors(
        &self,
        since: Timestamp,
        now: Timestamp,
        is_enough: impl Fn(&Authors) -> bool,
    ) -> Result<Authors, Inconclusive> {
        authors::authors(&self.log, since, now, is_enough).await
    }

    /// What ACK says of the kubeconfig of `uid` for this cluster.
    ///
    /// # Errors
    /// When ACK does not answer, or knows no cluster with this ID.
    pub async fn kubeconfig_state(&self, uid: Uid) -> Result<CertState, QueryError> {
        let states = self.cloud.ack.list_user_kubeconfig_states(uid).await?;
        let here = |state: &&KubeconfigState| state.cluster_id == self.id;
        // Should ACK list the cluster twice, the certificate that is still there counts.
        let worst = states
            .iter()
            .filter(here)
            .map(|s| as_reported(s.cert_state))
            .max_by_key(|state| state.is_left());
        match worst {
            Some(state) => Ok(state),
            None => {
                // A wrong cluster ID is listed for nobody: everybody would look as if they held nothing here.
                self.exists().await?;
                Ok(CertState::Absent)
            }
        }
    }

    /// Asks ACK, until it has said so once, whether it knows the cluster.
    async fn exists(&self) -> Result<(), QueryError> {
        let known = self.known.get_or_try_init(|| async {
            let asked = self.cloud.ack.get_cluster_audit_project(&self.id).await;
            asked.map(drop)
        });
        Ok(known.await.copied()?)
    }

    /// Whether ACK says that the identity created the cluster. An answer that is not given, for want of `cs:GetUserPermissions` say, is
    /// no. ACK is asked about an identity once in ten minutes.
    pub async fn is_creator(&self, uid: Uid) -> bool {
        let known = lock(&self.creators).get(&uid).copied();
        if let Some((_, is)) = known.filter(|(at, _)| at.elapsed() < CREATOR_FOR) {
            return is;
        }
        let asked = tokio::time::timeout(PATIENCE, self.cloud.ack.describe_user_permission(uid)).await;
        let is = match asked {
            Ok(Ok(grants)) => grants.iter().any(|grant| grant.is_owner_of(&self.id)),
            Ok(Err(error)) => {
                tracing::debug!(%uid, %error, "ACK does not say who created the cluster");
                false
            }
            Err(_) => false,
        };
        let mut all = lock(&self.creators);
        all.retain(|_, (at, _)| at.elapsed() < CREATOR_FOR);
        all.insert(uid, (Instant::now(), is));
        is
    }
}

/// The API's word for ACK's word: the client of ACK knows no Kubernetes.
fn as_reported(state: ack::CertState) -> CertState {
    match state {
        ack::CertState::Unexpired => CertState::Unexpired,
        ack::CertState::Expired => CertState::Expired,
        ack::CertState::Unissued => CertState::Unissued,
        ack::CertState::Removed => CertState::Removed,
        ack::CertState::Unknown => CertState::Unknown,
    }
}

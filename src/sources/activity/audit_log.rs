//! The cluster's audit log, and what is remembered of it.

use super::{day::Own, recent::RecentAnswers, settled_days::SettledDays, window::Inconclusive};
use crate::api::Reason;
use alibaba_cloud::{Cloud, ack::Ack, sls::Sls};
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, rbac::v1::ClusterRoleBinding};
use kube::{Api, Client, api::PostParams};

/// The audit log of one cluster.
pub struct AuditLog {
    cloud: Cloud,
    cluster_id: String,
    caller: Option<Caller>,
    own: tokio::sync::OnceCell<Option<Own>>,
    pub(super) settled_days: SettledDays,
    pub(super) recent_answers: RecentAnswers,
}

/// The ServiceAccount that asks, whose own requests the log must hold.
pub struct Caller {
    client: Client,
    barrier: String,
}

impl Caller {
    /// Whoever `client` is; installed when this ClusterRoleBinding was, which it writes its read barriers to and may read anyway.
    pub fn new(client: Client, barrier: String) -> Self {
        Caller { client, barrier }
    }
}

impl AuditLog {
    /// The log of this cluster. Without a caller, nobody's requests but the control plane's are known to come all the time.
    pub fn new(cloud: Cloud, cluster_id: String, caller: Option<Caller>) -> Self {
        AuditLog {
            cloud,
            cluster_id,
            caller,
            own: tokio::sync::OnceCell::new(),
            settled_days: SettledDays::default(),
            recent_answers: RecentAnswers::default(),
        }
    }

    pub(super) fn sls(&self) -> &Sls {
        &self.cloud.sls
    }

    pub(super) fn ack(&self) -> &Ack {
        &self.cloud.ack
    }

    pub(super) fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The operator's own requests, if it is a ServiceAccount and knows when it was installed. Asked once.
    pub(super) async fn own(&self) -> Result<Option<Own>, Inconclusive> {
        let Some(caller) = &self.caller else { return Ok(None) };
        let own = self.own.get_or_try_init(|| caller.requests()).await?;
        Ok(own.clone())
    }
}

impl Caller {
    async fn requests(&self) -> Result<Option<Own>, Inconclusive> {
        let failed = |error: kube::Error| {
            let message = format!(
                "the operator could not read from the API server who it is and since when it is installed: {error}"
            );
            Inconclusive::new(Reason::QueryFailed, message)
        };
        let reviews = Api::<SelfSubjectReview>::all(self.client.clone());
        let asked = reviews
            .create(&PostParams::default(), &SelfSubjectReview::default())
            .await;
        let review = match asked {
            Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(None),
            review => review.map_err(failed)?,
        };
        let barriers = Api::<ClusterRoleBinding>::all(self.client.clone());
        let barrier = barriers.get_metadata_opt(&self.barrier).await;
        let installed = barrier
            .map_err(failed)?
            .and_then(|barrier| barrier.metadata.creation_timestamp);
        let user = review.status.and_then(|status| status.user_info?.username);
        Ok(user
            .zip(installed)
            .and_then(|(user, time)| Own::of(&user, time.0.as_second())))
    }
}

//! The API server, reached as kubectl reaches it, with the rights of whoever runs the plugin; and what its refusals mean.

use crate::{cli::Connection, exit::Failure, output::clean};
use ack_offboarding_operator::api::UserOffboarding;
use kube::{
    Api, Client, Config,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{fmt, sync::OnceLock, time::Duration};

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The API server's address, for messages.
static SERVER: OnceLock<String> = OnceLock::new();

/// The cluster, for whoever runs the plugin.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// For requests: bounded in time, and repeated by nobody.
    pub(crate) client: Client,
    /// For watches and streams, which may be silent for long.
    pub(crate) patient: Client,
    operator_namespace: Option<String>,
}

/// Our roles for people, which the chart installs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Sees offboardings.
    Viewer,
    /// Asks for them.
    Requester,
    /// Approves them.
    Approver,
    /// Puts back what was removed; in the operator's namespace.
    Restorer,
    /// Sees who has access, and from where it was used.
    Auditor,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Viewer => "ClusterRole ack-offboarding-viewer",
            Role::Requester => "ClusterRole ack-offboarding-requester",
            Role::Approver => "ClusterRole ack-offboarding-approver",
            Role::Restorer => "Role ack-offboarding-restorer in the operator's namespace",
            Role::Auditor => "ClusterRole ack-offboarding-auditor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Cluster {
    /// Finds the cluster in the kubeconfig, by kubectl's rules. Asks it nothing yet.
    ///
    /// # Errors
    /// When there is no kubeconfig, or no client can be made of it.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self, Failure> {
        let options = KubeConfigOptions {
            context: connection.context.clone(),
            ..KubeConfigOptions::default()
        };
        let unusable = |error: kube::config::KubeconfigError| {
            let message = said(&error);
            Failure::new(format!(
                "cannot use the kubeconfig: {message}. Check --kubeconfig, --context and $KUBECONFIG: `kubectl config get-contexts` \
                 lists what there is."
            ))
        };
        let mut config = match (&connection.kubeconfig, Kubeconfig::read()) {
            (Some(path), _) => {
                let file = Kubeconfig::read_from(path).map_err(unusable)?;
                Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)?
            }
            (None, Ok(file)) => Config::from_custom_kubeconfig(file, &options).await.map_err(unusable)?,
            // In a pod there is none, and kubectl takes the pod's ServiceAccount.
            (None, Err(error)) if connection.context.is_none() => Config::incluster().map_err(|_| unusable(error))?,
            (None, Err(error)) => return Err(unusable(error)),
        };
        if let Some(user) = &connection.as_user {
            config.auth_info.impersonate = Some(user.clone());
        }
        if !connection.as_group.is_empty() {
            config.auth_info.impersonate_groups = Some(connection.as_group.clone());
        }
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // kube would repeat every request, POST and DELETE too, up to 15 times.
        config.default_retry = false;
        config.read_timeout = None;
        let broken =
            |error: kube::Error| Failure::new(format!("cannot create the client for the API server: {}", said(&error)));
        let patient = Client::try_from(config.clone()).map_err(broken)?;
        // 0 is no limit, as for kubectl.
        config.read_timeout = Some(connection.request_timeout).filter(|limit| *limit != Duration::ZERO);
        // A connection that was idle in the pool must not count as a slow answer.
        config.reset_reader_on_write = true;
        let _ = SERVER.set(config.cluster_url.to_string());
        Ok(Cluster {
            client: Client::try_from(config).map_err(broken)?,
            patient,
            operator_namespace: connection.operator_namespace.clone(),
        })
    }

    /// UserOffboardings, for requests.
    pub(crate) fn offboardings(&self) -> Api<UserOffboarding> {
        Api::all(self.client.clone())
    }

    /// One UserOffboarding.
    ///
    /// # Errors
    /// When there is none of this name, or it may not be read.
    pub(crate) async fn offboarding(&self, name: &str) -> Result<UserOffboarding, Failure> {
        let found = self.offboardings().get(name).await;
        found.map_err(|error| refused(&error, &format!("read UserOffboarding {name}"), Role::Viewer))
    }

    /// All UserOffboardings, by name.
    ///
    /// # Errors
    /// When they may not be listed.
    pub(crate) async fn all_offboardings(&self) -> Result<Vec<UserOffboarding>, Failure> {
        let found = self.offboardings().list(&ListParams::default()).await;
        Ok(found
            .map_err(|error| refused(&error, "list UserOffboardings", Role::Viewer))?
            .items)
    }

    /// The operator's namespace: what `--operator-namespace` says, else what the operator reports in any offboarding.
    ///
    /// # Errors
    /// When nothing says it.
    pub(crate) async fn operator_namespace(&self) -> Result<String, Failure> {
        if let Some(namespace) = &self.operator_namespace {
            return Ok(namespace.clone());
        }
        let all = self.all_offboardings().await?;
        let found = all.iter().find_map(crate::offboarding::operator);
        found.map(|operator| operator.namespace).ok_or_else(|| {
            Failure::usage(
                "no UserOffboarding says yet in which namespace the operator is. Name it: --operator-namespace=NAMESPACE.",
            )
        })
    }
}

/// Why the API server did not do something, and what to do about it. `role` is the one of ours that lets people do it.
pub(crate) fn refused(error: &kube::Error, doing: &str, role: Role) -> Failure {
    let said = said(error);
    let kube::Error::Api(status) = error else {
        let server = SERVER.get().map(|server| format!(" at {server}")).unwrap_or_default();
        return Failure::new(format!(
            "cannot {doing}: the API server{server} does not answer: {said}. Check the address in your kubeconfig and the network; `kubectl \
             version` must answer as well."
        ));
    };
    let message = match status.code {
        401 => {
            format!("cannot {doing}: the API server does not accept your credentials: {said}. Renew your kubeconfig.")
        }
        403 if said.contains("ValidatingAdmissionPolicy 'ack-offboarding-") => {
            // The policy says itself which role it takes.
            format!("may not {doing}: {said}.")
        }
        403 => format!(
            "may not {doing}: {said}. It takes the {role}, which you do not have; a cluster administrator can bind it to you."
        ),
        404 if status.details.as_ref().is_none_or(|details| details.name.is_empty()) => format!(
            "cannot {doing}: this cluster does not know UserOffboardings. ack-offboarding-operator, or its CRD, is not installed here; \
             check --context."
        ),
        404 => format!("cannot {doing}: {said}. `kubectl ack-offboard status` lists what there is."),
        _ => format!("cannot {doing}: {said}."),
    };
    Failure::new(message)
}

/// What went wrong: the API server's own words without the final period; of a request without an answer, the error with its causes.
pub(crate) fn said(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(kube::Error::Api(status)) = error.downcast_ref() {
        return clean(status.message.trim_end_matches('.'));
    }
    // kube's word for it, which says nothing.
    let mut text = error.to_string().trim_start_matches("ServiceError: ").to_owned();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        // Some errors repeat their cause.
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    clean(&text)
}

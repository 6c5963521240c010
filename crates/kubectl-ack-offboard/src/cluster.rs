//! The API server, reached as kubectl reaches it, with the rights of whoever runs the plugin; and what its refusals mean.

use crate::{
    cli::common::Connection,
    exit::{Failure, NotCovered},
    output::clean,
};
use ack_offboarding_operator::api::UserOffboarding;
use kube::{
    Api, Client, Config,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{fmt, time::Duration};

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The cluster, for whoever runs the plugin.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// For requests: bounded in time, and repeated by nobody.
    pub(crate) client: Client,
    /// For watches and streams, which may be silent for long.
    pub(crate) patient: Client,
    /// The API server's address, for messages.
    server: String,
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
        match kubeconfig(connection) {
            Ok(file) => Cluster::in_kubeconfig(file, connection).await,
            // In a pod there is none, and kubectl takes the pod's ServiceAccount.
            Err(failure) if connection.kubeconfig.is_none() && connection.context.is_none() => {
                let config = Config::incluster().map_err(|_| failure)?;
                Cluster::of(config, connection).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// The cluster of the context that is asked for, else of the kubeconfig's current one. Asks it nothing yet.
    ///
    /// # Errors
    /// When the context is not there, or no client can be made of it.
    pub(crate) async fn in_kubeconfig(file: Kubeconfig, connection: &Connection) -> Result<Self, Failure> {
        let options = KubeConfigOptions {
            context: connection.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(file, &options).await;
        Cluster::of(config.map_err(|error| unusable(&error))?, connection).await
    }

    async fn of(mut config: Config, connection: &Connection) -> Result<Self, Failure> {
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
        let server = config.cluster_url.to_string();
        let patient = client(config.clone()).await?.map_err(broken)?;
        // 0 is no limit, as for kubectl.
        config.read_timeout = Some(connection.request_timeout).filter(|limit| *limit != Duration::ZERO);
        // A connection that was idle in the pool must not count as a slow answer.
        config.reset_reader_on_write = true;
        Ok(Cluster {
            client: client(config).await?.map_err(broken)?,
            patient,
            server,
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
        found.map_err(|error| self.refused(&error, &format!("read UserOffboarding {name}"), Role::Viewer))
    }

    /// All UserOffboardings, by name.
    ///
    /// # Errors
    /// When they may not be listed.
    pub(crate) async fn all_offboardings(&self) -> Result<Vec<UserOffboarding>, Failure> {
        let found = self.offboardings().list(&ListParams::default()).await;
        Ok(found
            .map_err(|error| self.refused(&error, "list UserOffboardings", Role::Viewer))?
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

    /// Why the API server did not do something, and what to do about it. `role` is the one of ours that lets people do it.
    pub(crate) fn refused(&self, error: &kube::Error, doing: &str, role: Role) -> Failure {
        let said = said(error);
        let kube::Error::Api(status) = error else {
            return Failure::new(format!(
                "cannot {doing}: the API server at {} does not answer: {said}. Check the address in your kubeconfig and the network; \
                 `kubectl version` must answer as well.",
                self.server
            ))
            .because(NotCovered::Unreachable);
        };
        let failed = Failure::new(match status.code {
            401 => {
                format!(
                    "cannot {doing}: the API server does not accept your credentials: {said}. Renew your kubeconfig."
                )
            }
            403 if is_of_a_policy(&said) => {
                // The policy says itself which role it takes.
                format!("may not {doing}: {said}.")
            }
            403 => format!(
                "may not {doing}: {said}. It takes the {role}, which you do not have; a cluster administrator can bind it to you."
            ),
            404 if is_of_the_kind(status) => format!(
                "cannot {doing}: this cluster does not know UserOffboardings. ack-offboarding-operator, or its CRD, is not installed \
                 here; check --context."
            ),
            404 => format!("cannot {doing}: {said}. `kubectl ack-offboard status` lists what there is."),
            _ => format!("cannot {doing}: {said}."),
        });
        match status.code {
            401 | 403 => failed.because(NotCovered::NoRights),
            404 if is_of_the_kind(status) => failed.because(NotCovered::NoOperator),
            404 => failed.because(NotCovered::NoSuchObject),
            _ => failed,
        }
    }
}

/// A client; made beside the runtime, as a kubeconfig may name a program to run for its credentials.
async fn client(config: Config) -> Result<Result<Client, kube::Error>, Failure> {
    let made = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
    made.map_err(|error| Failure::new(format!("cannot create the client for the API server: {error}")))
}

/// The kubeconfig, by kubectl's rules.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(crate) fn kubeconfig(connection: &Connection) -> Result<Kubeconfig, Failure> {
    let read = match &connection.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    read.map_err(|error| unusable(&error))
}

fn unusable(error: &kube::config::KubeconfigError) -> Failure {
    let message = said(error);
    Failure::new(format!(
        "cannot use the kubeconfig: {message}. Check --kubeconfig, --context and $KUBECONFIG: `kubectl config get-contexts` lists what \
         there is."
    ))
}

fn is_of_a_policy(said: &str) -> bool {
    said.contains("ValidatingAdmissionPolicy 'ack-offboarding-")
}

/// Whether the API server does not know the kind, rather than the object.
fn is_of_the_kind(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_none_or(|details| details.name.is_empty())
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

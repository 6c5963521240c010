//! The clients of all services together.

use super::{
    ack,
    budget::Budget,
    client::{Client, CredentialsState},
    credentials,
    endpoint::Endpoint,
    endpoints::{EndpointOverrides, Endpoints, Network},
    error::{ApiError, Service},
    ims,
    invalid::SettingsError,
    observer::CallObserver,
    ram,
    settings::CloudSettings,
    sls, sts,
    transport::Transport,
};
use backon::BackoffBuilder;
use std::{sync::Arc, time::Duration};

/// The first wait between two proofs of rejected credentials.
const FIRST_PROOF: Duration = Duration::from_secs(1);
/// And the last.
const LAST_PROOF: Duration = Duration::from_secs(60);
/// How often credentials that serve are proved again: a standby makes no other call.
const PROVE_AGAIN: Duration = Duration::from_secs(600);

/// The clients of all services, over one connection pool and one set of credentials. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// STS: whose the credentials are, and what time it is there.
    pub sts: sts::Sts,
    /// IMS: whose a UID is or was.
    pub ims: ims::Ims,
    /// RAM: users and roles by name, and the lists of all.
    pub ram: ram::Ram,
    /// CS: kubeconfigs, grants, the place of the audit log, and the purge.
    pub ack: ack::Ack,
    /// SLS: searches in the audit log, and what its index covers.
    pub sls: sls::Sls,
}

impl Cloud {
    /// Makes the clients. Sends nothing yet: whether the credentials work shows at the first call. `observer` is told of each; `Arc::new(())` is
    /// nobody.
    ///
    /// # Errors
    /// Names the setting that cannot be used, or the variables that the credentials' source lacks. Needs a
    /// process-wide TLS provider of `rustls`.
    pub fn connect(settings: &CloudSettings, observer: Arc<dyn CallObserver>) -> Result<Self, SettingsError> {
        let CloudSettings {
            region,
            network,
            endpoints,
            credentials,
            environment,
            user_agent,
            session_name,
            timeouts,
            calls_per_minute,
        } = settings;
        let endpoints = Endpoints::new(region, *network, endpoints)?;
        let transport = Transport::new(user_agent, timeouts.connect)?;
        let credentials = credentials::connect(
            credentials,
            environment,
            session_name,
            transport.clone(),
            endpoints.sts.clone(),
            timeouts,
        )?;
        let budget = Budget::new(*calls_per_minute);
        let client = Client::new(transport, credentials, region, timeouts.clone(), budget, observer);
        Ok(Cloud::of(client, endpoints))
    }

    /// The clients for another region, with the same credentials, connections and budget.
    ///
    /// # Errors
    /// Names the region or the endpoint that cannot be used.
    pub fn in_region(
        &self,
        region: &str,
        network: Network,
        endpoints: &EndpointOverrides,
    ) -> Result<Self, SettingsError> {
        let endpoints = Endpoints::new(region, network, endpoints)?;
        Ok(Cloud::of(self.sts.client.in_region(region), endpoints))
    }

    fn of(client: Client, endpoints: Endpoints) -> Self {
        let Endpoints {
            sts,
            ims,
            ram,
            ack,
            sls,
        } = endpoints;
        Cloud {
            sts: sts::Sts {
                client: client.clone(),
                endpoint: sts,
            },
            ims: ims::Ims {
                client: client.clone(),
                endpoint: ims,
            },
            ram: ram::Ram {
                client: client.clone(),
                endpoint: ram,
            },
            ack: ack::Ack {
                client: client.clone(),
                endpoint: ack,
            },
            sls: sls::Sls::new(client, sls),
        }
    }

    /// Whether the credentials serve, and every change of that.
    pub fn credentials_state(&self) -> tokio::sync::watch::Receiver<CredentialsState> {
        self.sts.client.credentials_state()
    }

    /// Whether the endpoints of STS, IMS, RAM and CS answer at all, each with its URL or why not: unsigned, so that the credentials are no
    /// matter. That of SLS has a host for each project: [`Sls::reach`](sls::Sls::reach).
    pub async fn reach(&self) -> [(Service, Result<String, ApiError>); 4] {
        let reach = async |service, endpoint: &Endpoint| {
            let client = &self.sts.client;
            (service, client.reach(service, endpoint, endpoint.host_header()).await)
        };
        tokio::join!(
            reach(Service::Sts, &self.sts.endpoint),
            reach(Service::Ims, &self.ims.endpoint),
            reach(Service::Ram, &self.ram.endpoint),
            reach(Service::Ack, &self.ack.endpoint)
        )
        .into()
    }

    /// Keeps [`credentials_state`](Self::credentials_state) from being out of date for long, whether or not anything else is asked: while it is
    /// not `Usable`, STS is asked who we are after a second, two, four, up to a minute; while it is, every ten minutes.
    pub async fn prove_credentials(&self) {
        let mut state = self.credentials_state();
        loop {
            let mut delays = backon::ExponentialBuilder::new()
                .with_min_delay(FIRST_PROOF)
                .with_max_delay(LAST_PROOF)
                .without_max_times()
                .with_jitter()
                .build();
            while *state.borrow_and_update() != CredentialsState::Usable {
                if let Err(error) = self.sts.get_caller_identity().await {
                    tracing::warn!(%error, "cannot verify the Alibaba Cloud credentials; retrying automatically");
                    let delay = delays.next().unwrap_or(LAST_PROOF);
                    tokio::time::sleep(delay.max(error.retry_after.unwrap_or_default())).await;
                }
            }
            tracing::info!("Alibaba Cloud accepts the credentials");
            // The sender lives as long as `self`.
            while tokio::time::timeout(PROVE_AGAIN, state.wait_for(|state| *state != CredentialsState::Usable))
                .await
                .is_err()
            {
                // Its outcome is in the state.
                let _ = self.sts.get_caller_identity().await;
            }
        }
    }
}

//! Thin clients of the Alibaba Cloud APIs that the operator calls: STS, IMS, RAM, CS and SLS. Knows no Kubernetes.
//!
//! ```text
//! sts ims ram ack sls      one file a service: typed calls, paging, what "not found" means
//!          │
//!     call, client         one request: signed, sent, retried, its answer judged (error, classify, answer)
//!      ┌───┴────┬───────────┐
//! credentials  sign     transport
//!  one source  acs3,sls4  one request, bounded in time and size
//! ```
//!
//! Secrets stay out of URLs, errors and `Debug` outputs.

pub mod ack;
mod answer;
mod call;
mod classify;
mod client;
pub mod credentials;
pub mod endpoints;
pub mod error;
pub mod ims;
pub mod ram;
pub mod settings;
pub mod sign;
pub mod sls;
pub mod sts;
mod transport;

pub use credentials::CredentialsSource;
pub use endpoints::{EndpointOverrides, Endpoints, Network};
pub use error::{ApiError, ErrorKind, Service};
pub use settings::{CloudSettings, Environment, SettingsError, Timeouts};

use client::Client;
use transport::Transport;

/// The clients of all services, over one connection pool and one set of credentials. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Security Token Service.
    pub sts: sts::Sts,
    /// Identity Management Service.
    pub ims: ims::Ims,
    /// Resource Access Management.
    pub ram: ram::Ram,
    /// Container Service.
    pub ack: ack::Ack,
    /// Simple Log Service.
    pub sls: sls::Sls,
}

impl Cloud {
    /// Makes the clients. Sends nothing yet: whether the credentials work shows at the first call.
    ///
    /// # Errors
    /// Names the setting that cannot be used, or the variables that the credentials' source lacks. Needs a
    /// process-wide TLS provider of `rustls`.
    pub fn connect(settings: &CloudSettings) -> Result<Self, SettingsError> {
        let CloudSettings {
            region,
            network,
            endpoints,
            credentials,
            environment,
            user_agent,
            timeouts,
        } = settings;
        let Endpoints {
            sts,
            ims,
            ram,
            ack,
            sls,
        } = Endpoints::new(region, *network, endpoints)?;
        let transport = Transport::new(user_agent, timeouts.connect)?;
        let credentials = credentials::connect(credentials, environment, transport.clone(), sts.clone(), timeouts)?;
        let client = Client::new(transport, credentials, region, timeouts.clone());
        Ok(Cloud {
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
            sls: sls::Sls { client, endpoint: sls },
        })
    }
}

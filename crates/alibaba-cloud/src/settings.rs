//! What the cloud clients need to be told.

use super::{
    credentials::CredentialsSource,
    endpoints::{EndpointOverrides, Network},
};
pub use super::{environment::Environment, invalid::SettingsError, timeouts::Timeouts};

/// Settings of [`Cloud::connect`](super::Cloud::connect).
#[derive(Clone, Debug)]
pub struct CloudSettings {
    /// The cluster's region, as in `cn-hangzhou`: chooses endpoints, and is part of SLS signatures.
    pub region: String,
    /// From which network the cloud is reached.
    pub network: Network,
    /// Services that are elsewhere.
    pub endpoints: EndpointOverrides,
    /// Whose credentials to use.
    pub credentials: CredentialsSource,
    /// Where the credentials' settings are read from: the process's environment, as it was when this was made.
    pub environment: Environment,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// The name of the role session that RRSA's token is exchanged for, unless `ALIBABA_CLOUD_ROLE_SESSION_NAME` says: ActionTrail shows it.
    pub session_name: String,
    /// How long to wait, and how often to try.
    pub timeouts: Timeouts,
    /// The most calls in a minute, of all that only read. 1,200: SLS and RAM allow more, so that the account's other tools
    /// have their share.
    pub calls_per_minute: u32,
}

/// See [`CloudSettings::calls_per_minute`].
pub const CALLS_PER_MINUTE: u32 = 1200;

impl CloudSettings {
    /// Public endpoints of `region`, credentials chosen from the process's environment, and the default timeouts.
    pub fn new(region: impl Into<String>) -> Self {
        CloudSettings {
            region: region.into(),
            network: Network::default(),
            endpoints: EndpointOverrides::default(),
            credentials: CredentialsSource::default(),
            environment: Environment::of_process(),
            user_agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            session_name: env!("CARGO_PKG_NAME").to_owned(),
            timeouts: Timeouts::default(),
            calls_per_minute: CALLS_PER_MINUTE,
        }
    }
}

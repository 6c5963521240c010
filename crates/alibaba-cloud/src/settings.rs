//! What the cloud clients need to be told.

use std::{collections::HashMap, fmt, path::PathBuf, time::Duration};

use reqsign_core::{Env, OsEnv};

use super::{
    credentials::CredentialsSource,
    endpoints::{EndpointOverrides, InvalidEndpoint, Network},
};

/// Settings of [`super::Cloud::connect`].
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

/// How long a call may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection, TLS included. 5 s.
    pub connect: Duration,
    /// For one try, to the last byte of its answer. 15 s.
    pub attempt: Duration,
    /// For the purge, which is tried once. 60 s.
    pub purge: Duration,
    /// For all tries of a call and the waits between them. 90 s: a service may ask us to wait a minute.
    pub overall: Duration,
    /// For the pauses between repeats of a search that SLS does not finish. 30 s: a check makes several searches.
    pub unfinished: Duration,
    /// Wait before the second try; doubles each time, up to 5 s, plus as much again at random. 200 ms.
    pub first_delay: Duration,
    /// Tries of a call that is safe to repeat. 4.
    pub tries: u32,
}

impl Timeouts {
    /// All of them, in their usual proportions to that of one try.
    pub fn of(attempt: Duration) -> Self {
        Timeouts {
            connect: attempt / 3,
            attempt,
            purge: attempt * 4,
            overall: attempt * 6,
            unfinished: attempt * 2,
            first_delay: attempt / 75,
            tries: 4,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts::of(Duration::from_secs(15))
    }
}

/// The settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A region or an endpoint.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// The credentials' source lacks something; says what to set.
    #[error("no credentials for Alibaba Cloud: {0}")]
    Credentials(String),
    /// `rustls::crypto::ring::default_provider().install_default()` must have been called.
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    /// The HTTP client cannot be made: mostly, no root certificates.
    #[error("cannot make an HTTP client: {0}")]
    HttpClient(String),
}

/// The variables named `ALIBABA_CLOUD_*` that are not empty, and the home directory. `Debug` shows no value.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    home: Option<PathBuf>,
}

impl Environment {
    /// A copy of the process's environment.
    pub fn of_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Environment {
            home: OsEnv.home_dir(),
            ..variables.collect()
        }
    }

    /// The value of a variable, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    /// Without a home directory.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        let kept =
            pairs.filter(|(name, value): &(String, String)| name.starts_with("ALIBABA_CLOUD_") && !value.is_empty());
        Environment {
            variables: kept.collect(),
            home: None,
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.variables.keys().collect();
        names.sort();
        f.debug_tuple("Environment").field(&names).finish()
    }
}

impl Env for Environment {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn vars(&self) -> HashMap<String, String> {
        self.variables.clone()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.home.clone()
    }
}

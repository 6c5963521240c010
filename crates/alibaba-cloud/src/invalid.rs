//! Settings that cannot be used.

use super::endpoint::InvalidEndpoint;

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

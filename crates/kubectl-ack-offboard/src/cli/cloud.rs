//! Flags of the verbs that ask Alibaba Cloud, as whoever runs them.

use alibaba_cloud::Network;
use clap::Args;
use std::path::PathBuf;

/// Whose credentials.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Alibaba Cloud")]
pub(crate) struct PersonArgs {
    /// The profile of your Alibaba Cloud credentials; leaves those in the environment out.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// The file of your Alibaba Cloud credentials: .json is a configuration of the aliyun CLI, anything else an ini file.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile_file: Option<PathBuf>,

    /// Leaves the Alibaba Cloud credentials in the environment out.
    #[arg(long)]
    pub(crate) ignore_env_credentials: bool,
}

/// Whose credentials, and where Alibaba Cloud is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Alibaba Cloud")]
pub(crate) struct CloudArgs {
    #[command(flatten)]
    pub(crate) person: PersonArgs,

    /// The region whose endpoints are asked, as in cn-hangzhou; else the one of your credentials.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Which endpoints of Alibaba Cloud to use; public, if nothing is said.
    #[arg(long, value_name = "public|vpc")]
    pub(crate) network: Option<Network>,

    /// Another endpoint for STS, as a URL. http is allowed for loopback addresses only.
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) sts_endpoint: Option<String>,

    /// Another endpoint for IMS.
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) ims_endpoint: Option<String>,

    /// Another endpoint for RAM.
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) ram_endpoint: Option<String>,

    /// Another endpoint for ACK (API name: CS).
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) cs_endpoint: Option<String>,

    /// Where to connect for SLS.
    #[arg(long, value_name = "URL", hide = true)]
    pub(crate) sls_endpoint: Option<String>,
}

impl CloudArgs {
    /// Whether one of them was given.
    pub(crate) fn is_any(&self) -> bool {
        let PersonArgs {
            profile,
            profile_file,
            ignore_env_credentials,
        } = &self.person;
        let endpoints = [
            &self.sts_endpoint,
            &self.ims_endpoint,
            &self.ram_endpoint,
            &self.cs_endpoint,
            &self.sls_endpoint,
        ];
        profile.is_some()
            || profile_file.is_some()
            || *ignore_env_credentials
            || self.region.is_some()
            || self.network.is_some()
            || endpoints.into_iter().any(Option::is_some)
    }
}

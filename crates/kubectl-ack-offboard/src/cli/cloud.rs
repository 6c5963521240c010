//! Flags of the verbs that ask Alibaba Cloud, as whoever runs them.

use alibaba_cloud::Network;
use clap::Args;
use std::path::PathBuf;

/// Whose credentials, and where Alibaba Cloud is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Alibaba Cloud")]
pub(crate) struct CloudArgs {
    /// The profile of your Alibaba Cloud credentials; leaves those in the environment out.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,

    /// The file of your Alibaba Cloud credentials: .json is a configuration of the aliyun CLI, anything else an ini file.
    #[arg(long, value_name = "FILE")]
    pub(crate) profile_file: Option<PathBuf>,

    /// Leaves the Alibaba Cloud credentials in the environment out.
    #[arg(long)]
    pub(crate) ignore_env_credentials: bool,

    /// The region whose endpoints are asked, as in cn-hangzhou; else the one of your credentials.
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,

    /// Which endpoints of Alibaba Cloud to use.
    #[arg(long, value_name = "public|vpc", default_value = "public")]
    pub(crate) network: Network,

    /// Another endpoint for STS, as a URL. http is allowed for loopback addresses only.
    #[arg(long, value_name = "URL")]
    pub(crate) sts_endpoint: Option<String>,

    /// Another endpoint for ACK (API name: CS).
    #[arg(long, value_name = "URL")]
    pub(crate) cs_endpoint: Option<String>,
}

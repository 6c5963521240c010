//! Flags and arguments that many verbs share.

use crate::{
    output::Format,
    values::{duration, uid},
};
use clap::Args;
use std::{path::PathBuf, time::Duration};

/// Which cluster, and as whom: as for kubectl.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Connection {
    /// The context of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// The kubeconfig file; else $KUBECONFIG, else ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// The user to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(crate) as_user: Option<String>,

    /// A group to impersonate; may be repeated.
    #[arg(long, global = true, value_name = "GROUP", requires = "as_user")]
    pub(crate) as_group: Vec<String>,

    /// How long one request may take, such as 30s or 2m; 0 is no limit.
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub(crate) request_timeout: Duration,

    /// The operator's namespace; else what the operator reports.
    #[arg(long, global = true, value_name = "NAMESPACE")]
    pub(crate) operator_namespace: Option<String>,
}

/// How data is printed.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// The output format.
    #[arg(short, long, value_enum, default_value_t = Format::Table, hide_possible_values = true, value_name = "table|wide|json|yaml|name")]
    pub(crate) output: Format,
}

/// Whose access.
#[derive(Args, Clone, Debug)]
pub(crate) struct WhoArgs {
    /// The RAM user's UID, or the RAM role's ID: digits alone.
    #[arg(value_name = "UID", value_parser = uid)]
    pub(crate) uid: String,

    /// The name that the UID must belong to, as a guard against a mistyped UID: the part of the logon name before "@".
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// The UID is a RAM role: everyone who assumes it loses access.
    #[arg(long)]
    pub(crate) role: bool,
}

//! The command line of `scan`.

use super::{cloud::CloudArgs, common::OutputArgs};
use crate::values::{duration, uid};
use clap::Args;
use std::time::Duration;

/// Shows who still has access: identities that are gone and hold something all the same.
///
/// It shows what the operator's PermissionScan "default" found last; who has most comes first. Where no operator runs, --direct asks Alibaba Cloud
/// with your own credentials, and reads the bindings with your own rights.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Who is gone and still has access?
  kubectl ack-offboard scan

  # Scan now, then show
  kubectl ack-offboard scan --refresh

  # One identity, with its bindings
  kubectl ack-offboard scan --uid 259083957089437690 -o wide

  # Where no operator runs, with the credentials of the aliyun CLI
  kubectl ack-offboard scan --direct --profile NAME

Exit codes: 0 nobody was found; 1 somebody was; 2 failed, or the scan that was asked for was not complete, or nobody was found and the latest scan was not complete or is suspended; 3 it did not come in time
Needs the ClusterRole ack-offboarding-auditor; --direct needs to list bindings, and in RAM ims:ListUsers, ram:ListUsersInRecycleBin,
ram:ListRoles, ims:GetUser, ram:GetUserInRecycleBin, and cs:ListClusterKubeconfigStates for the states of kubeconfigs")]
pub(crate) struct ScanArgs {
    /// Also those who are in RAM and may have access.
    #[arg(long)]
    pub(crate) all: bool,

    /// Only this UID.
    #[arg(long, value_name = "UID", value_parser = uid)]
    pub(crate) uid: Option<String>,

    /// Asks the operator for a scan now, and waits for it.
    #[arg(long)]
    pub(crate) refresh: bool,

    /// How long to wait for the scan that --refresh asks for, such as 90s or 5m.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m", requires = "refresh")]
    pub(crate) timeout: Duration,

    /// Asks without an operator: RAM and ACK with your own credentials, the API server with your own rights.
    #[arg(long, conflicts_with = "refresh")]
    pub(crate) direct: bool,

    /// ACK's ID of the cluster, for --direct; else what kube-system/ack-cluster-profile says.
    #[arg(long, value_name = "ID", requires = "direct")]
    pub(crate) cluster_id: Option<String>,

    /// The ID of the account that the cluster belongs to, for --direct; else what kube-system/ack-cluster-profile says.
    #[arg(long, value_name = "ID", requires = "direct")]
    pub(crate) account_id: Option<String>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) cloud: CloudArgs,
}

//! The command line of `fleet`: a verb in many clusters.

use super::{
    cloud::CloudArgs,
    common::{OutputArgs, WhoArgs},
};
use crate::{
    candidates::offboardings,
    fleet::report::ReportFormat,
    values::{duration, reason, uid},
};
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use std::{path::PathBuf, time::Duration};

/// Does something in many clusters, side by side.
///
/// Each cluster ends as done, held, failed or not covered, and the closing table has every one of them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Who is gone and still has access, in three clusters?
  kubectl ack-offboard fleet scan --contexts prod-a,prod-b,test

  # Offboard somebody in all clusters of the Alibaba Cloud account
  kubectl ack-offboard fleet start 259083957089437690 --name leaver --all-clusters --report leaver.json

Exit codes: 0 done in every cluster; 1 found, would change, held or not covered in some; 2 failed in some; 64 wrong usage; 130 Ctrl-C")]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    pub(crate) verb: FleetVerb,
}

/// What to do in each.
#[derive(Debug, Subcommand)]
pub(crate) enum FleetVerb {
    Scan(FleetScanArgs),
    Plan(FleetPlanArgs),
    Start(FleetStartArgs),
    Status(FleetStatusArgs),
    Approve(FleetApproveArgs),
    Report(FleetReportArgs),
}

/// Which clusters, and how they are asked.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Clusters")]
pub(crate) struct ManyArgs {
    /// These contexts of the kubeconfig, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', group = "which")]
    pub(crate) contexts: Vec<String>,

    /// Every context of the kubeconfig.
    #[arg(long, group = "which")]
    pub(crate) all_contexts: bool,

    /// The contexts of the kubeconfig whose names fit, as in \"prod-*\".
    #[arg(long, value_name = "GLOB", group = "which")]
    pub(crate) context_selector: Option<String>,

    /// Every cluster of your Alibaba Cloud account. ACK issues you a certificate of 15 minutes for each; it is kept in memory only.
    #[arg(long, group = "which")]
    pub(crate) all_clusters: bool,

    /// With --all-clusters: the API servers' addresses inside their VPCs, instead of the public ones.
    #[arg(long, requires = "all_clusters")]
    pub(crate) private_address: bool,

    /// How long a cluster may take to connect and answer, such as 10s.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub(crate) cluster_timeout: Duration,

    /// How many clusters are asked at a time.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) concurrency: u16,

    /// Also writes the result to this file as JSON, after each cluster.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,

    /// Asks only the clusters that are not done in this report file, and brings it up to date.
    #[arg(long, value_name = "FILE")]
    pub(crate) resume: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) cloud: CloudArgs,
}

/// Shows who still has access in which cluster: identities that are gone and hold something all the same.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard fleet scan --all-contexts

  # One identity, in all clusters of the account
  kubectl ack-offboard fleet scan --all-clusters --uid 259083957089437690

  # Where no operators run, with the credentials of the aliyun CLI
  kubectl ack-offboard fleet scan --direct --all-contexts --profile NAME

Exit codes: 0 nobody was found, in every cluster; 1 somebody was, or a cluster is held or not covered; 2 failed in some
Needs the ClusterRole ack-offboarding-auditor in each cluster; --direct needs what `scan --direct` does")]
pub(crate) struct FleetScanArgs {
    /// Also those who are in RAM and may have access.
    #[arg(long)]
    pub(crate) all: bool,

    /// Only this UID.
    #[arg(long, value_name = "UID", value_parser = uid)]
    pub(crate) uid: Option<String>,

    /// Asks each operator for a scan now, and waits for it.
    #[arg(long)]
    pub(crate) refresh: bool,

    /// Asks without operators: RAM and ACK with your own credentials, each API server with your own rights. Users and roles are listed once.
    #[arg(long, conflicts_with = "refresh")]
    pub(crate) direct: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) many: ManyArgs,
}

/// Shows what offboarding a UID would do in each cluster; changes nothing.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard fleet plan 259083957089437690 --name leaver --context-selector \"prod-*\"

Exit codes: 0 nothing would change, in every cluster; 1 something would, or a cluster is held or not covered; 2 failed in some
Needs the ClusterRole ack-offboarding-requester in each cluster")]
pub(crate) struct FleetPlanArgs {
    #[command(flatten)]
    pub(crate) who: WhoArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) many: ManyArgs,
}

/// Offboards a UID in each cluster: shows every plan, asks once, and creates a UserOffboarding where something would change.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Look at the plans, and say yes
  kubectl ack-offboard fleet start 259083957089437690 --name leaver --reason TICKET-7 --all-contexts --report leaver.json

  # The clusters that were not reached then
  kubectl ack-offboard fleet start 259083957089437690 --name leaver --reason TICKET-7 --all-contexts --resume leaver.json

Exit codes: 0 started, or nothing to do, in every cluster; 1 held or not covered in some, or answered no; 2 failed in some; 64 nobody to ask and no --yes
Needs the ClusterRole ack-offboarding-requester in each cluster; --approve and --role need ack-offboarding-approver")]
pub(crate) struct FleetStartArgs {
    #[command(flatten)]
    pub(crate) who: WhoArgs,

    /// Why, for later readers: a ticket, say.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,

    /// Approves the plan that is shown of each cluster, and has its operator carry out no other.
    #[arg(long)]
    pub(crate) approve: bool,

    /// Has them wait until somebody approves the plan of each cluster: fleet approve.
    #[arg(long, conflicts_with = "approve")]
    pub(crate) manual: bool,

    /// Answers the question with yes.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// The name of the UserOffboardings; else it is made of the identity's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) object: Option<String>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) many: ManyArgs,
}

/// Shows the offboardings in each cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard fleet status --all-contexts

  # One of them, everywhere
  kubectl ack-offboard fleet status leaver --contexts prod-a,prod-b

Exit codes: 0 shown, and none is held, in every cluster; 1 some are held, or a cluster is not covered; 2 failed in some
Needs the ClusterRole ack-offboarding-viewer in each cluster")]
pub(crate) struct FleetStatusArgs {
    /// The name of one UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) many: ManyArgs,
}

/// Approves the plan of an offboarding in each cluster: shows every plan, asks once, and approves each by its own digest.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard fleet approve leaver --reason TICKET-7 --all-contexts

Exit codes: 0 approved, or no approval is needed, in every cluster; 1 held or not covered in some, or answered no; 2 failed in some, or a plan is another one by now; 64 nobody to ask and no --yes
Needs the ClusterRole ack-offboarding-approver in each cluster")]
pub(crate) struct FleetApproveArgs {
    /// The name of the UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: String,

    /// Why, for later readers: a ticket, say.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,

    /// Answers the question with yes.
    #[arg(short, long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) many: ManyArgs,
}

/// Writes a report for the audit file: of an earlier run's report file, else of a fresh scan with the offboardings of each cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # A page of all clusters
  kubectl ack-offboard fleet report --all-clusters -o html > access.html

  # What a run left behind
  kubectl ack-offboard fleet report leaver.json -o markdown

Exit codes: 0 written, and every cluster is in it; 1 written, and some are held or not covered; 2 failed in some
Needs the ClusterRoles ack-offboarding-auditor and ack-offboarding-viewer in each cluster; of a file, nothing")]
pub(crate) struct FleetReportArgs {
    /// The report file of an earlier run.
    pub(crate) file: Option<PathBuf>,

    /// The format.
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Markdown, value_name = "markdown|json|csv|html", hide_possible_values = true)]
    pub(crate) output: ReportFormat,

    #[command(flatten)]
    pub(crate) many: ManyArgs,
}

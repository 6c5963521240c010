//! The command line: its verbs, their flags, and their help. What the verbs do is in `verbs`.

mod cloud;
pub(crate) mod common;
mod fleet;
mod restore;
mod scan;

use crate::{
    candidates::offboardings,
    values::{digest, duration, reason},
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use std::time::Duration;

pub(crate) use cloud::{CloudArgs, PersonArgs};
pub(crate) use common::{Connection, OutputArgs, WhoArgs};
pub(crate) use fleet::{
    FleetApproveArgs, FleetArgs, FleetPlanArgs, FleetReportArgs, FleetScanArgs, FleetStartArgs, FleetStatusArgs,
    FleetVerb, ManyArgs,
};
pub(crate) use restore::{BackupsArgs, RestoreArgs};
pub(crate) use scan::ScanArgs;

/// Ends the access of RAM users and RAM roles to an ACK cluster, and shows what becomes of it.
///
/// It works through the objects of ack-offboarding-operator, which must run in the cluster, and needs your Kubernetes rights alone.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-ack_offboard",
    bin_name = "kubectl ack-offboard",
    version,
    max_term_width = 110,
    after_help = "\
The usual way:
  kubectl ack-offboard scan                                who is gone and still has access?
  kubectl ack-offboard plan UID                            what would offboarding do?
  kubectl ack-offboard start UID --reason TICKET --wait    do it, and see it done
  kubectl ack-offboard explain NAME                        why does this one wait, and what changes that?
  kubectl ack-offboard restore NAME --dry-run              what could be given back?

Exit codes, the highest of several results counting:
  0    done, or nothing to do or to find
  1    something was found, would change, is held, was done in part, or was not covered
  2    failed
  3    the deadline passed
  64   wrong usage
  130  Ctrl-C"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,

    #[command(flatten)]
    pub(crate) connection: Connection,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Scan(ScanArgs),
    Plan(PlanArgs),
    Start(StartArgs),
    Status(StatusArgs),
    Wait(WaitArgs),
    Explain(ExplainArgs),
    Approve(ApproveArgs),
    Suspend(SuspendArgs),
    Resume(ResumeArgs),
    Backups(BackupsArgs),
    Restore(RestoreArgs),
    Doctor(DoctorArgs),
    Fleet(Box<FleetArgs>),
    Version(VersionArgs),
    Completion(CompletionArgs),
    /// Prints the manual page.
    #[command(
        hide = true,
        after_help = "\
Examples:
  kubectl ack-offboard man | man -l -

Exit codes: 0 printed"
    )]
    Man,
}

/// Shows what offboarding a UID would do; changes nothing.
///
/// The operator plans it for a dry-run object that this removes again, also after Ctrl-C. Without the right to create one, the plan of an
/// offboarding that exists is shown.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # What would go
  kubectl ack-offboard plan 259083957089437690

  # Only if the UID is the leaver's
  kubectl ack-offboard plan 259083957089437690 --name leaver

Exit codes: 0 nothing would change; 1 something would; 2 failed
Needs the ClusterRole ack-offboarding-requester")]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) who: WhoArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Offboards a UID: shows the plan, asks, creates the UserOffboarding, and follows it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Look, say yes, and see how it begins
  kubectl ack-offboard start 259083957089437690 --name leaver --reason TICKET-7

  # Do exactly what was shown, and stay until it is done
  kubectl ack-offboard start 259083957089437690 --name leaver --approve --wait

  # Have a colleague approve it: kubectl ack-offboard approve leaver
  kubectl ack-offboard start 259083957089437690 --name leaver --manual

  # For Git
  kubectl ack-offboard start 259083957089437690 --name leaver --print > leaver.yaml

Exit codes: 0 started, or with --wait offboarded; 1 held, answered no, or there is one already; 2 failed; 64 nobody to ask and no --yes
Needs the ClusterRole ack-offboarding-requester; --approve and --role need ack-offboarding-approver")]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) who: WhoArgs,

    /// Why, for later readers: a ticket, say.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,

    /// Approves the plan that is shown, and has the operator carry out no other.
    #[arg(long)]
    pub(crate) approve: bool,

    /// Has it wait until somebody approves its plan (`approval: Manual`).
    #[arg(long, conflicts_with = "approve")]
    pub(crate) manual: bool,

    /// Writes the manifest to standard output instead of creating it.
    #[arg(long, conflicts_with_all = ["yes", "wait"])]
    pub(crate) print: bool,

    /// Answers the question with yes.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// Follows it until it is offboarded or held.
    #[arg(long)]
    pub(crate) wait: bool,

    /// The name of the UserOffboarding; else it is made of the identity's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) object: Option<String>,
}

/// Waits until an offboarding is where it should be, and shows each change meanwhile.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Until the access has ended
  kubectl ack-offboard wait leaver

  # Until there is a plan to approve
  kubectl ack-offboard wait leaver --for planned --timeout 1m

Exit codes: 0 it is there; 1 it cannot get there; 2 failed; 3 the deadline passed
Needs the ClusterRole ack-offboarding-viewer")]
pub(crate) struct WaitArgs {
    /// The name of the UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: String,

    /// What to wait for.
    #[arg(long = "for", value_enum, default_value_t = Goal::Offboarded, value_name = "GOAL")]
    pub(crate) goal: Goal,

    /// How long to wait, such as 90s or 1h30m; 0 is for ever.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub(crate) timeout: Duration,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// The access has ended, verified.
    Offboarded,
    /// It is where its spec wants it: offboarded, nothing to remove, or the dry run complete.
    Ready,
    /// There is a plan.
    Planned,
    /// It waits for a person, or because somebody asked it to.
    Held,
    /// It is gone.
    Deleted,
}

/// Says in plain words what happened, what it waits for and since when, what changes that, and what to run next.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard explain leaver

Exit codes: 0 it is where its spec wants it; 1 it waits or is held; 2 failed
Needs the ClusterRole ack-offboarding-viewer")]
pub(crate) struct ExplainArgs {
    /// The name of the UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Approves the plan of an offboarding: shows it, and approves no other.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # Look at the plan, and say yes
  kubectl ack-offboard approve leaver --reason TICKET-7

  # In a script that has the digest of what was reviewed
  kubectl ack-offboard approve leaver --digest sha256:… --yes

Exit codes: 0 approved, or no approval is needed; 1 answered no; 2 failed, or the plan is another one by now; 64 nobody to ask and no --yes
Needs the ClusterRole ack-offboarding-approver")]
pub(crate) struct ApproveArgs {
    /// The name of the UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: String,

    /// Approves only the plan with this whole digest.
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub(crate) digest: Option<String>,

    /// Why, for later readers: a ticket, say.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,

    /// Answers the question with yes.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// Stops an offboarding before its next change. What was already done stays done.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard suspend leaver --reason \"still needed until Friday\"

Exit codes: 0 suspended; 2 failed
Needs the ClusterRole ack-offboarding-requester")]
pub(crate) struct SuspendArgs {
    /// The name of the UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: String,

    /// Why, for later readers; `explain` shows it.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: Option<String>,
}

/// Lets a suspended offboarding go on.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard resume leaver

Exit codes: 0 resumed; 2 failed
Needs the ClusterRole ack-offboarding-approver")]
pub(crate) struct ResumeArgs {
    /// The name of the UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: String,
}

/// Checks everything that the operator needs, by the operator's own check, in its pod.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  kubectl ack-offboard doctor

  # For scripts
  kubectl ack-offboard doctor -o json

Exit codes: 0 nothing is wrong; 1 something is; 2 failed
Needs the right to run programs in the operator's pod (create on pods/exec), which is in no role of ours: it is worth as much as the operator's own")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Prints a completion script for a shell.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  source <(kubectl ack-offboard completion bash)

Exit codes: 0 printed")]
pub(crate) struct CompletionArgs {
    /// The shell.
    pub(crate) shell: Shell,
}

/// A shell whose completion is supported.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
}

/// Shows all offboardings, or one with its conditions.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # All of them
  kubectl ack-offboard status

  # One, with what it waits for
  kubectl ack-offboard status leaver

  # The names of those that wait for approval
  kubectl ack-offboard status -o json | jq -r '.items[] | select(.state == \"AwaitingApproval\").name'

Exit codes: 0 shown, also where there is none; 2 failed")]
pub(crate) struct StatusArgs {
    /// The name of one UserOffboarding.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: Option<String>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Prints the versions of the plugin, the operator and the CRD, and whether they fit.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # The plugin's, without asking the cluster
  kubectl ack-offboard version

  # With the operator's and the CRD's, and which Alibaba Cloud credentials --direct would use
  kubectl ack-offboard version -v

Exit codes: 0 they fit; 1 they do not, or no operator says what it is (-v); 2 failed")]
pub(crate) struct VersionArgs {
    /// Asks the cluster too.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,

    #[command(flatten)]
    pub(crate) person: PersonArgs,
}

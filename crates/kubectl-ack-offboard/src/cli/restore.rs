//! The command line of `backups` and `restore`.

use super::common::OutputArgs;
use crate::{candidates::offboardings, values::BindingArg};
use ack_offboarding_operator::restore::Uid;
use clap::Args;
use clap_complete::ArgValueCompleter;

/// Shows the backups that offboardings made, and whether their checksums hold.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # All of them
  kubectl ack-offboard backups

  # Those of one identity, with runs and problems
  kubectl ack-offboard backups --uid 259083957089437690 -o wide

  # The bindings in one of them
  kubectl ack-offboard backups -o json | jq '.items[] | select(.name == \"NAME\").bindings'

Exit codes: 0 shown, also where there is none; 1 one is not what it says, and is refused; 2 failed
Needs the Role ack-offboarding-restorer in the operator's namespace, and the ClusterRole ack-offboarding-viewer")]
pub(crate) struct BackupsArgs {
    /// Only those of this RAM user or role.
    #[arg(long, value_name = "UID")]
    pub(crate) uid: Option<Uid>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Gives back the bindings that an offboarding removed: creates those that are gone, and merges the subjects into those that are there.
///
/// Nothing is overwritten. Of each binding, the newest stored state counts; an older one is restored by the name of its ConfigMap. It
/// works with your own rights: you need those that you give back, or the verb bind on their roles.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  # What would come back; the API server checks it, and changes nothing
  kubectl ack-offboard restore leaver --dry-run

  # All of it
  kubectl ack-offboard restore leaver

  # Two bindings
  kubectl ack-offboard restore leaver --binding RoleBinding/team-a/deployers --binding ClusterRoleBinding/viewers

  # What one backup holds, in a script
  kubectl ack-offboard restore offboarding-259083957089437690-0123456789abcdef0123 --yes -o json

Exit codes: 0 all of it is there; 1 some of it, or the answer was no; 2 none of it; 64 wrong usage, such as no terminal and no --yes; 130 Ctrl-C
Needs the Role ack-offboarding-restorer in the operator's namespace, the ClusterRole ack-offboarding-viewer, and the right to create and
change the bindings")]
pub(crate) struct RestoreArgs {
    /// The name of a UserOffboarding, also of one that is gone; or of one ConfigMap with a backup.
    #[arg(add = ArgValueCompleter::new(offboardings))]
    pub(crate) name: String,

    /// Only this binding; may be repeated.
    #[arg(long, value_name = "KIND/[NAMESPACE/]NAME")]
    pub(crate) binding: Vec<BindingArg>,

    /// Also what the operator kept and ACK's purge may have taken: bindings of Groups, ServiceAccounts and ignored names.
    #[arg(long)]
    pub(crate) kept: bool,

    /// Shows what would come of it, as the API server says, and changes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Answers the question with yes.
    #[arg(short, long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

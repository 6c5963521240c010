//! The command line: its verbs, their flags, and their help. What the verbs do is in `verbs`.

use crate::output::Format;
use ack_offboarding_operator::{rbac::BindingKind, restore::Uid};
use clap::{Args, Parser, Subcommand};
use k8s_openapi::jiff::SignedDuration;
use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

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

/// Which cluster, and as whom: as for kubectl.
#[derive(Args, Clone, Debug, Default)]
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
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, default_value = "30s", hide_default_value = false)]
    pub(crate) request_timeout: Option<Duration>,

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

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Status(StatusArgs),
    Backups(BackupsArgs),
    Restore(RestoreArgs),
    Version(VersionArgs),
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

  # With the operator's and the CRD's
  kubectl ack-offboard version -v

Exit codes: 0 they fit; 1 they do not, or no operator says what it is (-v); 2 failed")]
pub(crate) struct VersionArgs {
    /// Asks the cluster too.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

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

/// A binding, as `RoleBinding/NAMESPACE/NAME` or `ClusterRoleBinding/NAME`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BindingArg {
    pub(crate) kind: BindingKind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

impl FromStr for BindingArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').collect();
        let (kind, namespace, name) = match parts.as_slice() {
            [kind, namespace, name] if kind.eq_ignore_ascii_case("RoleBinding") => {
                (BindingKind::RoleBinding, Some((*namespace).to_owned()), *name)
            }
            [kind, name] if kind.eq_ignore_ascii_case("ClusterRoleBinding") => {
                (BindingKind::ClusterRoleBinding, None, *name)
            }
            _ => return Err("write RoleBinding/NAMESPACE/NAME or ClusterRoleBinding/NAME".to_owned()),
        };
        let name = name.to_owned();
        Ok(BindingArg { kind, namespace, name })
    }
}

impl fmt::Display for BindingArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.kind.as_str())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// A duration in Go's notation, as kubectl takes it; a number alone is in seconds.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let wrong = || format!("{text} is no duration: write 30s, 5m or 1h30m");
    let parsed: SignedDuration = text.parse().map_err(|_| wrong())?;
    parsed.try_into().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_binding_is_named_by_kind_namespace_and_name() {
        for (text, shown) in [
            ("RoleBinding/team-a/own", Some("RoleBinding/team-a/own")),
            ("rolebinding/team-a/a:b", Some("RoleBinding/team-a/a:b")),
            ("ClusterRoleBinding/all", Some("ClusterRoleBinding/all")),
            ("ClusterRoleBinding/team-a/all", None),
            ("RoleBinding/own", None),
            ("Role/team-a/own", None),
            ("own", None),
        ] {
            let parsed = text.parse::<BindingArg>().ok().map(|binding| binding.to_string());
            assert_eq!(parsed.as_deref(), shown, "{text}");
        }
    }

    #[test]
    fn durations_are_gos() {
        let read = |text| duration(text).ok();
        assert_eq!(read("0"), Some(Duration::ZERO));
        assert_eq!(read("90"), Some(Duration::from_secs(90)));
        assert_eq!(read("1h30m"), Some(Duration::from_secs(5_400)));
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("-5s"), None);
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn every_verb_has_examples_and_exit_codes() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let name = verb.get_name();
            assert!(help.contains(&format!("kubectl ack-offboard {name}")), "{name}: {help}");
            assert!(help.contains("Exit codes: 0 "), "{name}: {help}");
        }
    }
}

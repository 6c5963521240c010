//! The command line: its verbs, their flags, and their help. What the verbs do is in `verbs`.

use crate::output::Format;
use clap::{Args, Parser, Subcommand};
use k8s_openapi::jiff::SignedDuration;
use std::{path::PathBuf, time::Duration};

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

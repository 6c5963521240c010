//! `completion`, and the manual page: both made from the command line's definition.

use crate::{
    cli::{Cli, CompletionArgs, Shell},
    exit::{Exit, Failure, Outcome},
    output,
};
use clap::CommandFactory;

/// Prints a shell's completion script.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn completion(args: &CompletionArgs) -> Outcome {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    // For the binary's own name: kubectl asks `kubectl_complete-ack_offboard`, see docs/plugin.md.
    clap_complete::generate(
        shell,
        &mut Cli::command().bin_name("kubectl-ack_offboard"),
        "kubectl-ack_offboard",
        &mut script,
    );
    output::finish(&String::from_utf8_lossy(&script), Exit::Done)
}

/// Prints the manual page.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn man() -> Outcome {
    let mut page = Vec::new();
    let written = clap_mangen::Man::new(Cli::command()).render(&mut page);
    written.map_err(|error| Failure::new(format!("cannot write the manual page: {error}")))?;
    output::finish(&String::from_utf8_lossy(&page), Exit::Done)
}

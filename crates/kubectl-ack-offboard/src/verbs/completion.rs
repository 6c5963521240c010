//! `completion`, and the manual page: both made from the command line's definition.

use crate::{
    cli::{Cli, CompletionArgs, Shell},
    exit::{Exit, Failure, Outcome},
    output,
};
use clap::CommandFactory;
use clap_mangen::Man;
use std::io::Write;

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

/// Prints the manual page: the command, and each verb in a section of its own.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn man() -> Outcome {
    let text = page().map_err(|error| Failure::new(format!("cannot write the manual page: {error}")))?;
    output::finish(&text, Exit::Done)
}

fn page() -> std::io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let root = Man::new(command.clone());
    root.render_title(&mut page)?;
    root.render_name_section(&mut page)?;
    root.render_synopsis_section(&mut page)?;
    root.render_description_section(&mut page)?;
    root.render_options_section(&mut page)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        writeln!(page, ".SH \"{}\"", verb.get_name().to_uppercase())?;
        let man = Man::new(verb.clone());
        let mut section = Vec::new();
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        // Below the verb's own heading.
        page.extend(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").bytes());
    }
    root.render_extra_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

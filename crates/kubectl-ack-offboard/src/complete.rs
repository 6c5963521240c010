//! kubectl's own completion: `kubectl ack-offboard <Tab>` runs `kubectl_complete-ack_offboard` with the words so far, the last of them unfinished.
//! The answer is a candidate a line, with a description after a tab, and what the shell should do: [cobra's protocol].
//!
//! [cobra's protocol]: https://pkg.go.dev/github.com/spf13/cobra#ShellCompDirective

use crate::{cli::Cli, output};
use clap::CommandFactory;
use clap_complete::engine;
use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

/// The name under which kubectl asks.
const NAME: &str = "kubectl_complete-ack_offboard";

/// Offer nothing but these: no names of files.
const NO_FILES: u8 = 4;
/// Offer names of files.
const FILES: u8 = 0;

/// Whether the program was started under the name by which kubectl asks.
pub(crate) fn is_asked(program: &OsStr) -> bool {
    Path::new(program).file_stem() == Some(OsStr::new(NAME))
}

/// Answers kubectl. What cannot be completed has no candidates; nobody reads an error.
pub(crate) fn answer(words: impl Iterator<Item = OsString>) {
    let mut all: Vec<OsString> = std::iter::once(OsString::from("kubectl-ack_offboard"))
        .chain(words)
        .collect();
    if all.len() == 1 {
        all.push(OsString::new());
    }
    let last = all.len() - 1;
    let before = &all[last - 1];
    let is_file = ["--kubeconfig", "--profile-file", "--report", "--resume"]
        .iter()
        .any(|flag| before == flag);
    let found = match is_file {
        true => Vec::new(),
        false => engine::complete(&mut Cli::command(), all, last, None).unwrap_or_default(),
    };
    let mut text = String::new();
    for candidate in found.iter().filter(|candidate| !candidate.is_hide_set()) {
        text += &candidate.get_value().to_string_lossy();
        if let Some(help) = candidate.get_help() {
            let help = help.to_string();
            text += &format!("\t{}", help.lines().next().unwrap_or_default());
        }
        text.push('\n');
    }
    let _ = output::print(&format!("{text}:{}", if is_file { FILES } else { NO_FILES }));
}

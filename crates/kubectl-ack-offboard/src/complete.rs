//! kubectl's own completion: `kubectl ack-offboard <Tab>` runs `kubectl_complete-ack_offboard` with the words so far, the last of them unfinished.
//! The answer is a candidate a line, with a description after a tab, and what the shell should do: [cobra's protocol].
//!
//! [cobra's protocol]: https://pkg.go.dev/github.com/spf13/cobra#ShellCompDirective

use crate::{
    cli::{Cli, Connection},
    cluster::Cluster,
    output,
};
use clap::{CommandFactory, Parser};
use clap_complete::{CompletionCandidate, engine};
use kube::ResourceExt;
use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::Duration,
};

/// The name under which kubectl asks.
const NAME: &str = "kubectl_complete-ack_offboard";

/// Offer nothing but these: no names of files.
const NO_FILES: u8 = 4;
/// Offer names of files.
const FILES: u8 = 0;

/// How long the API server may take to name what there is.
const PATIENCE: Duration = Duration::from_secs(2);

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
    let is_file = ["--kubeconfig", "--profile-file"].iter().any(|flag| before == flag);
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

/// The names of the UserOffboardings in the cluster; none if it does not answer at once.
pub(crate) fn offboardings(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let Some(found) = listed() else { return Vec::new() };
    let fitting = found.into_iter().filter(|name| name.starts_with(&*current));
    fitting.map(CompletionCandidate::new).collect()
}

fn listed() -> Option<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let listed = async {
        let cluster = Cluster::connect(&connection()?).await.ok()?;
        let all = cluster.all_offboardings().await.ok()?;
        let shown = all.iter().filter(|object| !object.is_plan());
        Some(shown.map(ResourceExt::name_any).collect())
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, listed).await.ok().flatten() })
}

/// Which cluster the words so far name.
fn connection() -> Option<Connection> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut line = vec![OsString::from("kubectl-ack_offboard"), OsString::from("status")];
    for (index, word) in words.iter().enumerate() {
        let text = word.to_string_lossy();
        for flag in ["--context", "--kubeconfig"] {
            if text == flag {
                line.extend([Some(word), words.get(index + 1)].into_iter().flatten().cloned());
            } else if text.starts_with(&format!("{flag}=")) {
                line.push(word.clone());
            }
        }
    }
    Cli::try_parse_from(line).ok().map(|cli| cli.connection)
}

//! What completion offers for an argument: names from the cluster.

use crate::{cli::common::Connection, cluster::Cluster};
use clap::Parser;
use clap_complete::CompletionCandidate;
use kube::ResourceExt;
use std::{
    ffi::{OsStr, OsString},
    time::Duration,
};

/// How long the API server may take to name what there is.
const PATIENCE: Duration = Duration::from_secs(2);

/// The flags that say which cluster.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    connection: Connection,
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
    let mut line = vec![OsString::from("kubectl-ack_offboard")];
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
    Line::try_parse_from(line).ok().map(|line| line.connection)
}

//! An observer that shares no code with the operator: from the API server's audit log and the cloud's call log of one scenario it
//! says which of the invariants of docs/design.md were broken.
//!
//! [`Env`](crate::env::Env) asks it at the end of every scenario. It believes what the API server wrote down, and of the
//! operator's own words only that it said them.
//!
//! ```text
//! event       a line of the audit log
//! history     states of bindings, backups and offboardings, and what the operator did to them
//! rules       the invariants
//! ```

mod event;
mod history;
mod invariant;
mod rules;
#[cfg(test)]
mod tests;
mod watched;

use history::History;
pub use invariant::{Breach, Invariant};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};
pub use watched::{Asked, Question, Watched};

/// Reads what happened in a scenario, and says what was wrong with it.
///
/// # Errors
/// When the audit log cannot be read.
pub fn observe(audit_log: &Path, asked: &[Asked], watched: &Watched) -> anyhow::Result<Vec<Breach>> {
    let lines = BufReader::new(File::open(audit_log)?).lines();
    judge(lines, asked, watched)
}

fn judge(
    lines: impl Iterator<Item = std::io::Result<String>>,
    asked: &[Asked],
    watched: &Watched,
) -> anyhow::Result<Vec<Breach>> {
    Ok(rules::check(&History::read(lines, watched)?, asked, watched))
}

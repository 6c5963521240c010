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
mod rules;
#[cfg(test)]
mod tests;

use history::History;
use k8s_openapi::jiff::Timestamp;
use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

/// An invariant of docs/design.md.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    I1,
    I2,
    I3,
    I4,
    I5,
    I6,
    I7,
    I8,
    I9,
    I10,
}

/// An invariant that was broken, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// The request, and what it lacked.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// Whom to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The operator's user name.
    pub operator: String,
    /// The operator's namespace, where the backups are.
    pub namespace: String,
    /// The name of the operator's two barrier bindings.
    pub barrier: String,
    /// UIDs that are never touched: the account's, the operator's own, those that it was told to protect.
    pub protected: BTreeSet<String>,
}

impl Watched {
    fn is_barrier(&self, namespace: &str, name: &str) -> bool {
        name == self.barrier && (namespace.is_empty() || namespace == self.namespace)
    }
}

/// What the operator asked of the cloud.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it arrived.
    pub at: Timestamp,
    /// What it was.
    pub what: Question,
    /// The UID in it, or the query.
    pub about: String,
    /// Whether it was answered with success.
    pub succeeded: bool,
}

/// A question to the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A search of the cluster's audit log.
    Search,
    /// The states of kubeconfigs.
    KubeconfigState,
    /// CleanClusterUserPermissions.
    Purge,
    /// Anything else.
    Other,
}

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

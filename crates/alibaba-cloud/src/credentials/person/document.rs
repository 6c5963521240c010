//! A file with profiles: found, read whole within bounds, and its profiles looked up.

use std::{
    io::{self, Read},
    path::Path,
};

use serde_json::{Map, Value};

use super::{
    fields::{Dialect, Fields},
    problem::{Problem, shown},
};

/// The largest file that is read.
const FILE_LIMIT: u64 = 1 << 20;
/// How many profiles are named in an error.
const NAMED: usize = 10;

/// The profiles of a file, in its order. Has no `Debug`: the values are secrets.
pub(super) struct Document {
    pub(super) dialect: Dialect,
    /// The profile that the file itself chooses.
    pub(super) current: Option<String>,
    pub(super) profiles: Vec<(String, Map<String, Value>)>,
}

impl Document {
    /// The settings of a profile. Where a name is there twice, the first counts, as for the CLI.
    pub(super) fn profile(&self, name: &str) -> Result<Fields, Problem> {
        if let Some((_, values)) = self.profiles.iter().find(|(known, _)| known == name) {
            return Ok(Fields::new(self.dialect, values.clone()));
        }
        if self.profiles.is_empty() {
            return Err(Problem::NoProfiles);
        }
        let mut names: Vec<_> = self.profiles.iter().take(NAMED).map(|(name, _)| shown(name)).collect();
        if self.profiles.len() > NAMED {
            names.push(format!("{} more", self.profiles.len() - NAMED));
        }
        Err(Problem::NoProfile(shown(name), names.join(", ")))
    }
}

/// Whether there is something at this path. What cannot be told counts as there, so that it is an error and nothing else is used instead.
pub(super) fn exists(path: &Path) -> bool {
    match std::fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    }
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let cannot = |error: io::Error| Problem::Unreadable(error.to_string());
    // Before it is opened: that alone can wait for ever, for a pipe.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(Problem::FileTooLarge(FILE_LIMIT));
    }
    String::from_utf8(bytes).map_err(|_| Problem::NotText)
}

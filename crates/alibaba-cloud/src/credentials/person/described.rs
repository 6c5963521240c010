//! Which source is used, for people.

use std::{fmt, path::PathBuf};

use super::{mode::Mode, problem::shown};
use crate::answer::legible;

/// Which source of credentials is used: for `version -v` and for errors. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The kind of source.
    pub kind: SourceKind,
    /// The file, unless it is the environment.
    pub file: Option<PathBuf>,
    /// The profile in the file, once it is known.
    pub profile: Option<String>,
    /// How the credentials are obtained, once it is known.
    pub mode: Option<Mode>,
    /// The variables that were used, without their values.
    pub variables: Vec<&'static str>,
}

/// The kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Environment variables.
    Environment,
    /// A configuration of the aliyun CLI, as `~/.aliyun/config.json`.
    ConfigJson,
    /// An ini file, as `~/.alibabacloud/credentials`.
    Ini,
}

impl Described {
    pub(super) fn environment(variables: Vec<&'static str>) -> Self {
        Described {
            kind: SourceKind::Environment,
            file: None,
            profile: None,
            mode: None,
            variables,
        }
    }

    pub(super) fn file(kind: SourceKind, file: PathBuf) -> Self {
        Described {
            kind,
            file: Some(file),
            profile: None,
            mode: None,
            variables: Vec::new(),
        }
    }
}

impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(profile) = &self.profile {
            write!(f, "profile {} of ", shown(profile))?;
        }
        match &self.file {
            Some(file) => f.write_str(&legible(&file.to_string_lossy(), 200))?,
            None => write!(f, "the environment ({})", self.variables.join(", "))?,
        }
        match self.mode {
            Some(mode) => write!(f, ", mode {mode}"),
            None => Ok(()),
        }
    }
}

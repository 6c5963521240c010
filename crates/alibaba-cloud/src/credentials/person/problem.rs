//! Why a person's credentials cannot be used: what was seen, and what to do next. Never a secret, and never what another program or service said.

use crate::answer::legible;

/// The most characters of a name out of a file that are shown.
const SHOWN: usize = 64;

/// A name out of a file, bounded and in quotes.
pub(super) fn shown(name: &str) -> String {
    format!("\"{}\"", legible(name, SHOWN))
}

/// Why a source cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The operating system's reason.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// A directory, a pipe, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// In bytes.
    #[error("the file is larger than {0} bytes, which no file of credentials is")]
    FileTooLarge(u64),
    /// It is not in UTF-8.
    #[error("the file is not text in UTF-8")]
    NotText,
    /// Line and column of the first error.
    #[error("the file is not a configuration of the aliyun CLI: line {0}, column {1} is not what JSON allows there")]
    NotJson(usize, usize),
    /// JSON of another shape.
    #[error("the file is not a configuration of the aliyun CLI: it has no list of profiles")]
    NotAConfiguration,
    /// The line at which reading stopped.
    #[error(
        "the file is not an ini file: line {0}, or one before it, is neither a section, a key with a value, nor a comment"
    )]
    NotIni(usize),
    /// The file has none at all.
    #[error("the file has no profiles; run `aliyun configure`")]
    NoProfiles,
    /// The profile, and those that there are.
    #[error("the file has no profile {0}; it has {1}")]
    NoProfile(String, String),
    /// The profile says no mode.
    #[error("the profile has no {0}, which says how to get credentials")]
    NoMode(&'static str),
    /// A mode that nobody knows.
    #[error("mode {0} is unknown; known are {1}")]
    UnknownMode(String, String),
    /// A mode that is known and not read.
    #[error("mode {0} is not supported: {1}")]
    Unsupported(&'static str, &'static str),
    /// What it needs.
    #[error("it lacks {0}")]
    Lacks(String),
    /// One setting, and what is wrong with it.
    #[error("{0} cannot be used: {1}")]
    Invalid(String, &'static str),
    /// Since when, and what to do.
    #[error("its credentials expired at {0}; {1}")]
    Expired(String, String),
    /// Something is needed from the person.
    #[error("{0}")]
    SignIn(String),
    /// A role is assumed with another profile's credentials, and these have a problem.
    #[error("its source_profile {0}: {1}")]
    Source(String, Box<Problem>),
    /// The profiles, in order.
    #[error("its source profiles lead back to themselves: {0}")]
    Loop(String),
    /// How many there may be.
    #[error("it has more than {0} source profiles behind one another")]
    TooDeep(usize),
    /// The setting that was ignored.
    #[error("ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS forbids mode {0} on this machine")]
    Forbidden(&'static str),
    /// The program, and what happened.
    #[error("its program {0} {1}")]
    Program(String, String),
}

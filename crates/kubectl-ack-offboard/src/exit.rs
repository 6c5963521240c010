//! How a verb ends: its exit code, and what is said if it failed.

use serde::{Deserialize, Serialize};
use std::{fmt, process::ExitCode};

/// The exit codes of every verb, from good to bad: of several results, the worst one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done, or there was nothing to do or to find.
    Done = 0,
    /// Something was found, would change, is held, was done in part, or was not covered.
    Found = 1,
    /// It failed.
    Failed = 2,
    /// The deadline passed.
    Deadline = 3,
    /// The command line is wrong.
    Usage = 64,
    /// Ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a verb could not do what was asked.
#[derive(Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What was seen, what it means, and what to do next.
    pub(crate) message: String,
    /// Set where the cluster was not there to be asked: in a fleet, it is then not covered.
    pub(crate) not_covered: Option<NotCovered>,
}

/// Why nothing can be asked of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NotCovered {
    /// No operator is installed, or none answers.
    NoOperator,
    /// Its API server does not answer, or no credentials for it can be had.
    Unreachable,
    /// Whoever asks may not.
    NoRights,
    /// It has no API server in its state.
    NoApiServer,
    /// It belongs to another account than whoever asks.
    OtherAccount,
    /// It has no object of the name that was asked for.
    NoSuchObject,
    /// Somebody stopped the work before its turn, or before its answer.
    Interrupted,
}

impl NotCovered {
    /// The words for it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            NotCovered::NoOperator => "no operator",
            NotCovered::Unreachable => "unreachable",
            NotCovered::NoRights => "no rights",
            NotCovered::NoApiServer => "no API server",
            NotCovered::OtherAccount => "another account",
            NotCovered::NoSuchObject => "no such object",
            NotCovered::Interrupted => "interrupted",
        }
    }
}

/// How a verb ends.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// It failed.
    pub(crate) fn new(message: impl fmt::Display) -> Self {
        Failure::with(Exit::Failed, message)
    }

    /// It is not as it was asked for, and nothing failed.
    pub(crate) fn found(message: impl fmt::Display) -> Self {
        Failure::with(Exit::Found, message)
    }

    /// The command line is wrong in a way that clap cannot see.
    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Failure::with(Exit::Usage, message)
    }

    /// Not in time.
    pub(crate) fn deadline(message: impl fmt::Display) -> Self {
        Failure::with(Exit::Deadline, message)
    }

    /// Somebody stopped it.
    pub(crate) fn interrupted() -> Self {
        Failure::with(Exit::Interrupted, "interrupted").because(NotCovered::Interrupted)
    }

    /// As something that keeps the cluster from being asked.
    pub(crate) fn because(self, why: NotCovered) -> Self {
        Failure {
            not_covered: Some(why),
            ..self
        }
    }

    fn with(exit: Exit, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Failure {
            exit,
            message,
            not_covered: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins() {
        let all = [Exit::Found, Exit::Done, Exit::Deadline, Exit::Failed];
        assert_eq!(all.into_iter().max(), Some(Exit::Deadline));
        assert!(Exit::Interrupted > Exit::Usage);
    }
}

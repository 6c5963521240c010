//! The plugin, as tests run it.

use crate::env::plugin_binary;
use rexpect::{
    process::WaitStatus,
    session::{PtySession, spawn_command},
};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};

/// How long one answer may take, in milliseconds.
const PATIENCE: u64 = 60_000;

/// What the plugin said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Of a run that has ended.
    ///
    /// # Errors
    /// When what it said is no text.
    pub fn of(output: Output) -> anyhow::Result<Self> {
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that standard error has this.
    ///
    /// # Panics
    /// When it has not.
    #[track_caller]
    pub fn tells(self, text: &str) -> Self {
        assert!(self.err.contains(text), "{text:?} is not in {self:#?}");
        self
    }

    /// Asserts that standard output has nothing.
    ///
    /// # Panics
    /// When it has something.
    #[track_caller]
    pub fn prints_nothing(self) -> Self {
        assert_eq!(self.out, "", "{self:#?}");
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        let json = serde_json::from_str(&self.out);
        assert!(json.is_ok(), "{json:?}: {self:#?}");
        json.unwrap_or_default()
    }
}

/// Runs a command of the plugin to its end.
///
/// # Errors
/// When it cannot be run.
pub async fn run(mut command: Command) -> anyhow::Result<Said> {
    Said::of(tokio::task::spawn_blocking(move || command.output()).await??)
}

/// The plugin in a terminal of 200 columns.
///
/// # Errors
/// When it cannot be started.
pub fn terminal(kubeconfig: &Path, args: &[&str], no_color: bool) -> anyhow::Result<PtySession> {
    let mut command = Command::new("sh");
    command.args(["-c", "stty cols 200 rows 40; exec \"$@\"", "sh"]);
    command.arg(plugin_binary()?).args(args);
    command
        .env("KUBECONFIG", kubeconfig)
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR");
    if no_color {
        command.env("NO_COLOR", "1");
    }
    Ok(spawn_command(command, Some(PATIENCE))?)
}

/// Everything that a terminal shows until its end, and the exit code.
///
/// # Errors
/// When it does not end.
pub fn ended(mut session: PtySession) -> anyhow::Result<(String, Option<i32>)> {
    let said = session.exp_eof()?;
    let code = match session.process().wait()? {
        WaitStatus::Exited(_, code) => Some(code),
        _ => None,
    };
    Ok((said, code))
}

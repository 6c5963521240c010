//! Processes that never outlive this one: the control plane's components, and the operator under test.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, kill_process_group};

use super::{reaper, wait::eventually};

pub use rustix::process::Signal;

/// A child process in a process group of its own, which is killed when this value is dropped or this process ends.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its standard output and error appended to `log`, and no standard input.
    ///
    /// Guarantee: there is no moment at which the new process would survive the end of this one. What is started is a shell
    /// that waits for a line, and becomes the command (`exec`, so the process id stays) once it is registered with the reaper.
    ///
    /// Of `command`, the program, the arguments, the environment variables that it sets or removes, and the working directory
    /// are used; `env_clear` and its standard streams are not. A program that cannot be executed shows as exit code 126 or 127.
    pub fn spawn(name: &str, command: &Command, log: &Path) -> anyhow::Result<Process> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {log:?}, the log of {name}"))?;
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", r#"read -r go || exit 125; exec "$@" </dev/null"#, name])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(file.try_clone().context("cannot duplicate a file descriptor")?)
            .stderr(file)
            .process_group(0);
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(variable, value),
                None => shell.env_remove(variable),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            shell.current_dir(dir);
        }
        let child = shell.spawn().with_context(|| format!("cannot start {name}"))?;
        // From here on, dropping it kills it.
        let mut process = Process {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        };
        reaper::register_group(process.pid())?;
        let mut stdin = process
            .child
            .stdin
            .take()
            .with_context(|| format!("{name} has no standard input"))?;
        stdin
            .write_all(b"go\n")
            .with_context(|| format!("{name} ended before it started"))?;
        Ok(process)
    }

    /// The process id, which is its process group's id too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where its standard output and error go.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The last `bytes` bytes of its output at most, for error messages.
    pub fn log_tail(&self, bytes: u64) -> String {
        tail(&self.log, bytes).unwrap_or_else(|error| format!("(its log cannot be read: {error})"))
    }

    /// How it ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self
            .child
            .try_wait()
            .with_context(|| format!("cannot wait for {}", self.name))?;
        if status.is_some() {
            reaper::forget_group(self.pid());
        }
        Ok(status)
    }

    /// Waits until it has ended.
    ///
    /// Errors: it still runs after `deadline`; it is left running.
    pub async fn wait(&mut self, deadline: Duration) -> anyhow::Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        eventually(&what, deadline, async || self.try_wait()).await
    }

    /// Sends a signal, such as `Signal::TERM`, `Signal::STOP` (freeze it) or `Signal::CONT`, to its process group.
    ///
    /// Errors: it has ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let group = Pid::from_child(&self.child);
        kill_process_group(group, signal).with_context(|| format!("cannot send {signal:?} to {}", self.name))
    }

    /// Kills it with SIGKILL, as a node failure or the kernel's memory killer would, and waits for its end.
    pub fn kill(&mut self) {
        // Already waited for: its id may be somebody else's by now.
        if let Ok(Some(_)) = self.child.try_wait() {
            return reaper::forget_group(self.pid());
        }
        let _ = self.signal(Signal::KILL);
        if self.child.wait().is_ok() {
            reaper::forget_group(self.pid());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tail(path: &Path, bytes: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(bytes)))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

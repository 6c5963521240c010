//! A watchdog process that cleans up after this one, in whatever way this one ends.
//!
//! `Drop` is not enough: it does not run on `process::exit` (with which a test binary ends), for statics, on a signal, or
//! after SIGKILL. So the first registration starts a small `/bin/sh` script that reads lines from a pipe whose only
//! writing end is held here. The kernel closes that end when this process is gone; the script then sees the end of the file,
//! kills what is still registered, latest first (the API server before its etcd), and removes the folders.
//!
//! The script runs in a process group of its own, so that neither Ctrl-C nor a shell's job control reaches it.

use std::{
    fs::DirBuilder,
    io::Write,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;

/// `kill -s KILL -- -PID` is the one spelling of "kill the process group" that every POSIX shell accepts.
/// Removing is repeated, as a process may write into a folder until the kernel has finished killing it.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pids= dirs=
newline='
'
while read -r verb what; do
    case $verb in
        pid) pids="$what $pids" ;;
        gone)
            left=
            for pid in $pids; do [ "$pid" = "$what" ] || left="$left$pid "; done
            pids=$left ;;
        dir) dirs="$what$newline$dirs" ;;
    esac
done
for pid in $pids; do kill -s KILL -- "-$pid"; done
IFS=$newline
for dir in $dirs; do
    tries=0
    while rm -rf -- "$dir"; [ -e "$dir" ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); sleep 0.1; done
done
"#;

/// The pipe to the script; `None` if it could not be started.
static PIPE: LazyLock<Mutex<std::io::Result<ChildStdin>>> = LazyLock::new(|| Mutex::new(start()));

fn start() -> std::io::Result<ChildStdin> {
    let mut reaper = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    // It outlives this process, so nobody waits for it here.
    reaper
        .stdin
        .take()
        .ok_or_else(|| std::io::Error::other("the reaper has no standard input"))
}

fn tell(verb: &str, what: &str) -> anyhow::Result<()> {
    let mut pipe = PIPE.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = pipe
        .as_mut()
        .map_err(|error| anyhow::anyhow!("cannot start the reaper, /bin/sh: {error}"))?;
    // One write of less than PIPE_BUF bytes: the script never sees half a line.
    pipe.write_all(format!("{verb} {what}\n").as_bytes())
        .context("the reaper does not listen")
}

/// Has the process group led by `pid` killed when this process ends.
pub(crate) fn register_group(pid: u32) -> anyhow::Result<()> {
    tell("pid", &pid.to_string())
}

/// Takes back [`register_group`]: the process was waited for, and its id may soon be somebody else's.
pub(crate) fn forget_group(pid: u32) {
    // Without a reaper there is nothing to take back.
    let _ = tell("gone", &pid.to_string());
}

/// A folder for temporary files, readable by this user alone, which goes when this value or this process does.
#[derive(Debug)]
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Makes a new folder under the system's folder for temporary files, with `label` in its name.
    pub fn new(label: &str) -> anyhow::Result<ScratchDir> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the clock is before 1970")?
            .as_nanos();
        let name = format!(
            "ack-offboarding-{label}-{}-{nanos:x}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = std::env::temp_dir().join(name);
        let text = dir.to_str().context("the path of the temporary folder is not UTF-8")?;
        anyhow::ensure!(
            dir.is_absolute() && !text.contains('\n'),
            "cannot use {dir:?} as a temporary folder"
        );
        // Registered first, so that there is no moment at which it could be left behind.
        tell("dir", text)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot create {dir:?}"))?;
        Ok(ScratchDir(dir))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // What is left, if anything, is removed by the reaper.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

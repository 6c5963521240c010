//! Runs a program to its end, and asks the kernel what it took.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::scale::process::{self, Kib};

/// How often the kernel is asked for the peak, which only grows.
const SAMPLES: Duration = Duration::from_millis(2);

/// What came of it.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
    /// From before it was started until it had ended.
    pub(super) took: Duration,
    /// The most that it had in memory at a time.
    pub(super) peak: Kib,
}

/// Runs it; blocks.
///
/// # Errors
/// When it cannot be started, or its memory was not seen.
pub(super) fn run(mut command: Command) -> anyhow::Result<Ran> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let pid = child.id();
    let (mut stdout, mut stderr) = (
        child.stdout.take().context("its output")?,
        child.stderr.take().context("its errors")?,
    );
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let samples = scope.spawn(|| {
            let mut peak = None;
            // One that has ended has no memory to tell of.
            while !over.load(Ordering::Relaxed) {
                peak = peak.max(process::of(pid).ok().map(|memory| memory.peak));
                thread::sleep(SAMPLES);
            }
            peak
        });
        let errors = scope.spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        // It prints once it knows all of it, and what it prints is more than a pipe holds, often: then it waits here, at its largest.
        let ended = (|| {
            let mut first = [0];
            let any = stdout.read(&mut first)?;
            let printing = process::of(pid).ok().map(|memory| memory.peak);
            let mut out = first.get(..any).unwrap_or_default().to_vec();
            stdout.read_to_end(&mut out)?;
            let status = child.wait()?;
            anyhow::Ok((status, out, printing, begun.elapsed()))
        })();
        over.store(true, Ordering::Relaxed);
        let (status, out, printing, took) = ended?;
        let panicked = |_| anyhow::anyhow!("a thread panicked");
        let peak = samples.join().map_err(panicked)?;
        Ok(Ran {
            code: status.code(),
            out: String::from_utf8(out)?,
            err: errors.join().map_err(panicked)??,
            took,
            peak: peak.max(printing).context("it ended before its memory was seen")?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_took_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 300000 /dev/zero | tr '\\0' x; echo told >&2; exit 3"]);
        let ran = run(command).unwrap();
        assert_eq!(
            (ran.code, ran.out.len(), ran.err.as_str()),
            (Some(3), 300_000, "told\n")
        );
        assert!(ran.peak.mib() > 0 && ran.took > Duration::ZERO, "{ran:?}");
    }
}

//! The operator's process: when it was ready, and how much memory it takes.

use std::{fs, time::Duration};

use anyhow::Context;
use k8s_openapi::jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::cluster::eventually;
use crate::env::OwnEnv;

const SYNC_DEADLINE: Duration = Duration::from_secs(300);
/// Memory counts as settled once it has stayed within a quarter of a MiB for so long.
const SETTLED_FOR: Duration = Duration::from_secs(2);
const SETTLE_DEADLINE: Duration = Duration::from_secs(30);

/// An amount of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kib(u64);

impl Kib {
    /// In MiB, rounded up: it is compared with a limit.
    pub fn mib(self) -> u64 {
        self.0.div_ceil(1024)
    }
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In memory now.
    pub rss: Kib,
    /// At most, so far.
    pub peak: Kib,
}

/// From the start of the operator's process to its log line that the index is complete.
pub(super) async fn until_synced(env: &mut OwnEnv) -> anyhow::Result<Duration> {
    let started = env.operator_started().context("the operator was not started")?;
    let ready = eventually("the operator's index", SYNC_DEADLINE, async || {
        let ended = env.operator()?.try_wait()?;
        anyhow::ensure!(ended.is_none(), "the operator ended: {}", env.operator_log());
        let log = env.operator_log();
        let line = log.lines().find(|line| line.contains("the index is complete"));
        let time = line.and_then(|line| line.split_whitespace().next());
        time.map(|time| time.parse::<Timestamp>().context("a log line without a time"))
            .transpose()
    });
    Ok(ready.await?.duration_since(started).unsigned_abs())
}

/// The operator's memory now.
pub(super) fn memory(env: &mut OwnEnv) -> anyhow::Result<Memory> {
    of(env.operator()?.pid())
}

/// The memory of a process.
///
/// # Errors
/// When `/proc` does not tell.
pub fn of(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .context("the operator's memory is read from /proc, on Linux")?;
    parse(&status).context("no VmRSS and VmHWM in /proc")
}

/// The operator's memory once it does not change any more.
pub(super) async fn settled_rss(env: &mut OwnEnv) -> anyhow::Result<Kib> {
    let end = Instant::now() + SETTLE_DEADLINE;
    let (mut reference, mut since) = (memory(env)?.rss, Instant::now());
    while since.elapsed() < SETTLED_FOR {
        anyhow::ensure!(
            Instant::now() < end,
            "the operator's memory did not settle within {SETTLE_DEADLINE:?}"
        );
        sleep(Duration::from_millis(100)).await;
        let now = memory(env)?.rss;
        if now.0.abs_diff(reference.0) > 256 {
            (reference, since) = (now, Instant::now());
        }
    }
    Ok(memory(env)?.rss)
}

fn parse(status: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok().map(Kib)
    };
    Some(Memory {
        rss: field("VmRSS:")?,
        peak: field("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_words() {
        let status = "Name:\tx\nVmHWM:\t   49153 kB\nVmRSS:\t   49152 kB\n";
        let memory = parse(status).unwrap();
        assert_eq!((memory.rss.mib(), memory.peak.mib()), (48, 49));
        assert_eq!(parse("Name:\tx\n"), None);
    }
}

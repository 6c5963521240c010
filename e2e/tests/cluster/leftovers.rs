//! Nothing is left behind, neither processes nor folders.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ack_offboarding_e2e::cluster::{Cluster, Options, Process, ScratchDir, components, eventually};
use serde_json::{Value, json};

use super::DEADLINE;

/// Set for the child process of the next test: the file into which it writes what it started.
const REPORT: &str = "E2E_TEST_REPORT";

/// Not a test by itself: what the next test runs in a process that is then killed.
#[tokio::test]
async fn child_that_waits_to_be_killed() {
    let Some(report) = std::env::var_os(REPORT) else { return };
    let cluster = Cluster::start(Options {
        controller_manager: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let mut sleeper = Command::new("sleep");
    sleeper.arg("600");
    let sleeper = Process::spawn("sleep", &sleeper, &cluster.dir().join("sleep.log")).unwrap();
    let text =
        json!({"dir": cluster.dir(), "apiserver": cluster.apiserver().pid(), "sleep": sleeper.pid()}).to_string();
    let report = PathBuf::from(report);
    std::fs::write(report.with_extension("part"), text).unwrap();
    std::fs::rename(report.with_extension("part"), report).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_is_left_behind_by_a_process_that_is_killed() {
    // On a new machine they are built first, which takes minutes: the deadline below is for the start alone.
    tokio::task::spawn_blocking(components).await.unwrap().unwrap();
    let scratch = ScratchDir::new("test").unwrap();
    let report = scratch.path().join("report.json");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leftovers::child_that_waits_to_be_killed", "--nocapture"])
        .env(REPORT, &report)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = KilledOnDrop(child);
    let started: Value = eventually("the child's cluster", Duration::from_secs(120), async || {
        assert!(child.0.try_wait()?.is_none(), "the child ended by itself");
        Ok(std::fs::read(&report)
            .ok()
            .map(|text| serde_json::from_slice(&text).unwrap()))
    })
    .await
    .unwrap();
    let dir = PathBuf::from(started["dir"].as_str().unwrap());
    let of_the_cluster = || processes_in(&dir);
    let before = of_the_cluster();
    assert!(
        before.len() >= 3,
        "etcd, kube-apiserver and kube-controller-manager run: {before:?}"
    );
    assert!(is_alive(&started["sleep"]) && dir.is_dir());

    child.0.kill().unwrap();
    child.0.wait().unwrap();

    eventually("the processes and the folder to be gone", DEADLINE, async || {
        let alive = is_alive(&started["apiserver"]) || is_alive(&started["sleep"]) || !of_the_cluster().is_empty();
        Ok((!alive && !dir.exists()).then_some(()))
    })
    .await
    .unwrap();
}

/// A test that fails leaves no child behind.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A zombie counts as gone: it has no memory, and waits only for its parent to look.
fn is_alive(pid: &Value) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|arguments| !arguments.is_empty())
}

/// The ids of the processes that work in `dir`, the watchdog that is to remove it not among them.
fn processes_in(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        if std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir)) {
            found.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

//! The pages of docs/tasks: every command is run, in their order, and what it prints is what the page shows.
//!
//! `UPDATE_TASKS=1` writes the outputs into the pages.

use crate::support::{TestEnv, VARYING, env, until_authors_are_known};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{ACCOUNT, CLUSTER_ID, OperatorOptions, PATIENCE, add_user, issue_kubeconfig, plugin_binary, user},
    simulator::{
        Record,
        world::{CertificateState, RecycledUser, User},
    },
};
use ack_offboarding_operator::api::PermissionScan;
use anyhow::Context;
use kube::{Api, api::PostParams};
use regex::Regex;
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

const LEAVER: &str = "259083957089437690";
const COLLEAGUE: &str = "201000000000000002";
const STILL_ACTIVE: &str = "201000000000000003";
const SECOND_LEAVER: &str = "201000000000000004";

/// The pages, in the order in which people read them.
const PAGES: [&str; 7] = [
    "1-find.md",
    "2-look.md",
    "3-start.md",
    "4-wait.md",
    "5-approve.md",
    "6-verify.md",
    "7-restore.md",
];

/// What else differs from run to run: ages in minutes, states that pass too quickly to be seen each time, and the widths of columns.
const MORE: &[(&str, &str)] = &[
    (r"(?m)^CLOCK InProgress .*\n", ""),
    (r"\b\d+m( ago)?\b", "AGO$1"),
    (" {2,}", "  "),
];

/// The people of the pages, and what they may do.
async fn set() -> anyhow::Result<TestEnv> {
    let mut env = env().await;
    for (uid, name) in [(COLLEAGUE, "colleague"), (STILL_ACTIVE, "still-active")] {
        add_user(&env.sim, uid, name);
    }
    env.sim.edit(|world| {
        let deleted = RecycledUser::new(
            &User::new(SECOND_LEAVER, "second-leaver"),
            format!("second-leaver@{ACCOUNT}.onaliyun.com"),
        );
        world.recycle_bin.push(deleted);
    });
    for uid in [LEAVER, COLLEAGUE, STILL_ACTIVE, SECOND_LEAVER] {
        issue_kubeconfig(&env.sim, uid, CertificateState::Unexpired);
    }
    let leaver = user(&format!("{LEAVER}-1700000000"));
    env.cluster_role_binding("leaver-administers", "cluster-admin", &[user(LEAVER), leaver.clone()])
        .await?;
    env.role_binding("shop", "leaver-edits", "edit", std::slice::from_ref(&leaver))
        .await?;
    env.role_binding("platform", "on-call", "edit", &[leaver, user(COLLEAGUE)])
        .await?;
    env.role_binding("shop", "active-views", "view", &[user(STILL_ACTIVE)])
        .await?;
    env.role_binding("shop", "second-edits", "edit", &[user(SECOND_LEAVER)])
        .await?;
    let an_hour = Duration::from_secs(3600);
    env.sim.add_record(CLUSTER_ID, Record::by(STILL_ACTIVE).ago(an_hour));
    // Longer than a day: nothing is found between two commands that a page does not show.
    env.start_operator(&OperatorOptions::default().flag("--recheck-interval=1h"))
        .await?;
    let scan: PermissionScan = serde_json::from_value(json!({"metadata": {"name": "default"}, "spec": {}}))?;
    let scans: Api<PermissionScan> = Api::all(env.admin());
    scans.create(&PostParams::default(), &scan).await?;
    eventually("the first scan", PATIENCE, async || {
        let status = scans.get("default").await?.status;
        Ok(status.and_then(|status| status.last_scan_time))
    })
    .await?;
    Ok(env)
}

/// Runs one command as the cluster's administrator types it; what a terminal shows.
async fn run(env: &TestEnv, bin: &Path, command: &str) -> anyhow::Result<String> {
    if let Some(name) = command.strip_prefix("kubectl ack-offboard explain ") {
        // It says who asked for it, which takes the audit log a while.
        until_authors_are_known(env, name).await?;
    }
    let mut shell = env.cluster.shell(&format!("{{ {command} ; }} 2>&1 || true"))?;
    let path = shell
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .and_then(|(_, value)| value.map(ToOwned::to_owned))
        .context("a PATH")?;
    let folders = std::iter::once(bin.to_path_buf()).chain(std::env::split_paths(&path));
    shell.env("PATH", std::env::join_paths(folders)?).env("COLUMNS", "200");
    let output = tokio::task::spawn_blocking(move || shell.output()).await??;
    Ok(String::from_utf8(output.stdout)?)
}

/// The page with the outputs of its commands as they are now.
async fn played(env: &TestEnv, bin: &Path, page: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let mut in_block = false;
    for line in page.lines() {
        match (in_block, line) {
            (false, "```console") => in_block = true,
            (true, "```") => in_block = false,
            (true, line) => {
                // What it printed before is left out.
                let Some(command) = line.strip_prefix("$ ") else {
                    continue;
                };
                text += &format!("{line}\n{}", run(env, bin, command).await?);
                continue;
            }
            _ => {}
        }
        text += line;
        text.push('\n');
    }
    Ok(text)
}

/// Without what differs from run to run.
fn steady(text: &str) -> anyhow::Result<String> {
    let mut text = text.to_owned();
    for (pattern, word) in VARYING.iter().chain(MORE) {
        text = Regex::new(pattern)?.replace_all(&text, *word).into_owned();
    }
    Ok(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_show_what_the_commands_print() -> anyhow::Result<()> {
    let env = set().await?;
    let bin = tempfile::tempdir()?;
    std::os::unix::fs::symlink(plugin_binary()?, bin.path().join("kubectl-ack_offboard"))?;
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tasks");
    let update = std::env::var_os("UPDATE_TASKS").is_some();
    for page in PAGES {
        let path = folder.join(page);
        let shown = fs::read_to_string(&path)?;
        let is = played(&env, bin.path(), &shown).await?;
        if update {
            fs::write(&path, &is)?;
        }
        assert!(
            is.matches("\n$ kubectl ack-offboard").count() > 0,
            "{page} has no commands"
        );
        pretty(page, &steady(&shown)?, &steady(&is)?, update);
    }
    Ok(())
}

/// The first screen of the README shows what the first page shows.
#[test]
fn the_readme_shows_the_scan() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/tasks/1-find.md"))?;
    let scan = page
        .split("```console\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let readme = fs::read_to_string(root.join("README.md"))?;
    let scan = steady(scan.context("a scan")?)?;
    assert!(
        steady(&readme)?.contains(&scan),
        "README.md shows another scan than docs/tasks/1-find.md"
    );
    Ok(())
}

#[track_caller]
fn pretty(page: &str, shown: &str, is: &str, update: bool) {
    let differs = shown.lines().zip(is.lines()).find(|(shown, is)| shown != is);
    assert!(
        update || shown == is,
        "docs/tasks/{page} shows something else than the commands print; UPDATE_TASKS=1 writes it anew. First difference: {differs:#?}\n{is}"
    );
}

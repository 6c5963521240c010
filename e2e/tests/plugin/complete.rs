//! kubectl's own completion asks the plugin: the real kubectl, with the real binary under the name that it looks for.

use crate::support::{UID, running};
use ack_offboarding_e2e::env::plugin_binary;
use anyhow::Context;
use serde_json::json;
use std::os::unix::fs::symlink;

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_completes_verbs_flags_and_names() -> anyhow::Result<()> {
    let env = running().await;
    for name in ["left", "leaver", "other"] {
        env.apply(name, json!({"uid": UID, "mode": "DryRun"})).await?;
    }
    let bin = tempfile::tempdir()?;
    for name in ["kubectl-ack_offboard", "kubectl_complete-ack_offboard"] {
        symlink(plugin_binary()?, bin.path().join(name))?;
    }
    let asks = async |line: &str| -> anyhow::Result<Vec<String>> {
        let mut shell = env.cluster.shell(&format!("kubectl __complete ack-offboard {line}"))?;
        let path = shell.get_envs().find(|(name, _)| *name == "PATH");
        let path = path
            .and_then(|(_, value)| value.map(ToOwned::to_owned))
            .context("a PATH")?;
        let folders = std::iter::once(bin.path().to_path_buf()).chain(std::env::split_paths(&path));
        shell.env("PATH", std::env::join_paths(folders)?);
        let output = tokio::task::spawn_blocking(move || shell.output()).await??;
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    let verbs = asks("''").await?;
    assert!(
        verbs
            .iter()
            .any(|line| line.starts_with("scan\tShows who still has access")),
        "{verbs:?}"
    );
    assert!(!verbs.iter().any(|line| line.starts_with("man\t")), "{verbs:?}");
    assert_eq!(verbs.last().map(String::as_str), Some(":4"), "no names of files");
    let flags = asks("restore --dr").await?;
    assert!(flags[0].starts_with("--dry-run\t"), "{flags:?}");
    assert_eq!(asks("wait le").await?, ["leaver", "left", ":4"]);
    assert_eq!(asks("wait left --for h").await?[0].split('\t').next(), Some("held"));
    assert_eq!(asks("status --kubeconfig ''").await?, [":0"], "a file");
    assert_eq!(
        asks("wait --kubeconfig /nowhere le").await?,
        [":4"],
        "no cluster, no names"
    );
    Ok(())
}

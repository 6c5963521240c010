//! The image that is installed.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

/// Builds it with `.ci/image`, which says what it does. Minutes, when nothing is built yet.
pub(super) fn build() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace's folder")?;
    let archive = root.join("target/image/image.tar");
    let status = Command::new(root.join(".ci/image"))
        .arg(&archive)
        .status()
        .context("cannot run .ci/image")?;
    anyhow::ensure!(status.success(), ".ci/image failed: {status}");
    Ok(archive)
}

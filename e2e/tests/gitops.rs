//! Flux, Helm and Argo CD read the states as they should: `e2e/gitops`, in Go, as kstatus is, and the interpreter that Argo CD has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{path::Path, process::Command};

#[test]
fn gitops_tools_read_the_states_as_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("gitops");
    let output = Command::new("go")
        .args(["test", "-count=1", "./..."])
        .current_dir(folder)
        .env("CGO_ENABLED", "0")
        .output()
        .expect("go, which the README lists");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

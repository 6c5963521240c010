//! The plugin's manifest keeps Krew's rules, and Krew installs the release's archives: `e2e/krew`, in Go, as Krew is.

use std::{path::Path, process::Command};

#[test]
fn krew_takes_the_manifest_and_installs_the_archives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("krew");
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

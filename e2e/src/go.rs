//! Tests that are written in Go, because what they test against is.

use std::{path::Path, process::Command};

/// Runs the tests of a Go module of this folder, such as `gitops`.
///
/// # Panics
/// When one fails, with what they print.
pub fn test(module: &str) {
    run(module, &[]);
}

/// The same without `go vet`, which reads all that a module imports: a minute where that is a whole engine.
///
/// # Panics
/// When one fails, with what they print.
pub fn test_unvetted(module: &str) {
    run(module, &["-vet=off"]);
}

fn run(module: &str, flags: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(module);
    let output = Command::new("go")
        .args(["test", "-count=1"])
        .args(flags)
        .arg("./...")
        .current_dir(folder)
        .env("CGO_ENABLED", "0")
        .output();
    let output = output.unwrap_or_else(|error| panic!("cannot run go, which the README lists: {error}"));
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

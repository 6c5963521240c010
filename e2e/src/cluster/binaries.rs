//! Where the control plane's components come from.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use super::{process::Process, reaper::ScratchDir};

const COMPONENTS: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kubectl",
];

/// The version of Kubernetes in `e2e/controlplane/go.mod`; the components report what the linker was told.
const LINKER_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36";

/// The folder that holds the components, each under its usual name.
///
/// That is `$KUBEBUILDER_ASSETS` if it is set. Otherwise the Go module `e2e/controlplane` is built into
/// `$XDG_CACHE_HOME/ack-offboarding-operator` (`~/.cache/...`), once for each content of the module; processes that want it at the same
/// time wait for the one that builds. Progress goes to standard error. Blocks, for minutes when it builds.
///
/// Errors: the folder lacks a component; there is no `go` command; the build fails.
pub fn components() -> anyhow::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) {
        // Absolute, as the components are started in a folder of their own.
        let dir = std::path::absolute(PathBuf::from(dir))?;
        for component in COMPONENTS.iter().filter(|&&name| name != "kube-controller-manager") {
            anyhow::ensure!(
                dir.join(component).is_file(),
                "KUBEBUILDER_ASSETS is {dir:?}, which has no {component}"
            );
        }
        return Ok(dir);
    }
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("controlplane");
    let target = cache_dir()?.join(format!("controlplane-{}", content_hash(&module)?));
    if target.is_dir() {
        return Ok(target);
    }
    fs::create_dir_all(cache_dir()?).context("cannot create the cache folder")?;
    let _lock = lock(&target.with_extension("lock"))?;
    // Another process may have built it while this one waited for the lock.
    if !target.is_dir() {
        build(&module, &target)?;
    }
    Ok(target)
}

fn cache_dir() -> anyhow::Result<PathBuf> {
    let xdg = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute());
    let cache = xdg.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    Ok(cache
        .context("there is neither XDG_CACHE_HOME nor a home folder")?
        .join("ack-offboarding-operator"))
}

/// A name for what would be built: it changes with each file of the module and with the linker's flags.
fn content_hash(module: &Path) -> anyhow::Result<String> {
    let mut hash = Sha256::new_with_prefix(LINKER_FLAGS);
    for file in ["go.mod", "go.sum", "main.go", "pause/main.go"] {
        let path = module.join(file);
        hash.update(fs::read(&path).with_context(|| format!("cannot read {path:?}"))?);
    }
    Ok(hex::encode(&hash.finalize()[..8]))
}

/// Takes the lock on `path`, which is held until the file is closed, be it by the end of the process.
fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {path:?}"))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!("Waiting for another process that builds the Kubernetes components.")
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {path:?}")),
    }
    file.lock().with_context(|| format!("cannot lock {path:?}"))?;
    Ok(file)
}

fn build(module: &Path, target: &Path) -> anyhow::Result<()> {
    if Command::new("go").arg("version").output().is_err() {
        bail!(
            "the Kubernetes components have to be built, but there is no `go` command: install Go 1.26 or later \
             (https://go.dev/dl/), or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl"
        );
    }
    eprintln!(
        "Building Kubernetes (etcd, kube-apiserver, kubelet, kubectl and the like) into {}.\n\
         This is done once, and takes 4 to 6 minutes on 2 cores when nothing of it is in Go's own cache.",
        target.display()
    );
    // Beside the target, so that it can be renamed into place: a folder under the target's name is always complete. The caller
    // holds the lock, so what is there is of a build that was killed.
    let staging = target.with_extension("new");
    let _ = fs::remove_dir_all(&staging);
    fs::create_dir_all(&staging).with_context(|| format!("cannot create {staging:?}"))?;
    let built = compile(module, &staging).and_then(|()| {
        for component in COMPONENTS {
            symlink("controlplane", staging.join(component)).context("cannot make a symbolic link")?;
        }
        fs::rename(&staging, target).with_context(|| format!("cannot rename {staging:?}"))
    });
    if built.is_err() {
        let _ = fs::remove_dir_all(&staging);
    }
    built
}

fn compile(module: &Path, staging: &Path) -> anyhow::Result<()> {
    // Go's own temporary files too go with this process.
    let scratch = ScratchDir::new("go-build")?;
    let mut go = Command::new("go");
    go.args([
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        "-ldflags",
        LINKER_FLAGS,
        "-o",
    ])
    // A folder: each package becomes a program of its name there.
    .arg(format!("{}/", staging.display()))
    .args([".", "./pause"])
    .current_dir(module)
    .env("CGO_ENABLED", "0")
    .env("GOTMPDIR", scratch.path());
    let mut go = Process::spawn("go build", &go, &scratch.path().join("go.log"))?;
    let begun = Instant::now();
    let mut told = begun;
    let status = loop {
        if let Some(status) = go.try_wait()? {
            break status;
        }
        if told.elapsed() > Duration::from_secs(30) {
            told = Instant::now();
            eprintln!(
                "Still building the Kubernetes components, for {} s now.",
                begun.elapsed().as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    anyhow::ensure!(status.success(), "go build failed ({status}):\n{}", go.log_tail(4000));
    eprintln!("Built the Kubernetes components in {} s.", begun.elapsed().as_secs());
    Ok(())
}

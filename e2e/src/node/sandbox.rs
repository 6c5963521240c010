//! Namespaces of its own for the node: this program runs once more in them, as the first process.
//!
//! When that process ends, in whatever way, the kernel ends all others with it, and with the last of them go the bridge, the rule and
//! the mounts. What remains are files, in one folder, and empty cgroups; the outer process removes both.

use std::{
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context, bail};

use crate::cluster::{ScratchDir, kill_with_this_process};

/// The bridge that pods are connected to.
pub(super) const BRIDGE: &str = "e2e-pods";
/// The addresses of pods.
pub(super) const SUBNET: &str = "10.245.0.0/24";
/// This machine's address on the bridge: where pods reach the API server and the simulator.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 245, 0, 1);
/// Where Debian's package containernetworking-plugins puts them.
pub(super) const NETWORK_PLUGINS: &str = "/usr/lib/cni";

/// What has to be installed, and Debian's package of it.
pub const PROGRAMS: [(&str, &str); 7] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
];

/// Set for the program in the sandbox.
const INSIDE: &str = "ACK_OFFBOARDING_SANDBOX";

/// Without kube-proxy, this rule is the Service `kubernetes`. /run and /var/log are where containerd's shims and kubelet write whatever
/// they are told. /mnt is a short name for the folder: the path of a socket has no more than 108 bytes.
const SET_UP: &str = r#"
set -eu
bridge=$1 address=$2 service=$3 port=$4 files=$5
shift 5
mount --bind "$files" /mnt
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
ip link set lo up
ip link add "$bridge" type bridge
ip address add "$address/24" dev "$bridge"
ip link set "$bridge" up
echo 1 >/proc/sys/net/ipv4/ip_forward
iptables -t nat -A PREROUTING -d "$service" -p tcp --dport 443 -j DNAT --to-destination "$address:$port"
exec "$@"
"#;

/// Whether this process is the one in the sandbox.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program with `arguments` in the sandbox, and waits for its end.
///
/// # Errors
/// As [`check`].
pub fn run(arguments: &[&OsStr]) -> anyhow::Result<ExitStatus> {
    check()?;
    let files = ScratchDir::new("sandbox")?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .args(["sh", "-c", SET_UP, "sandbox", BRIDGE, &ADDRESS.to_string()])
        .args([
            crate::cluster::SERVICE_IP,
            &crate::cluster::POD_API_SERVER_PORT.to_string(),
        ])
        .arg(files.path())
        .arg(program)
        .args(arguments)
        .env(INSIDE, "yes")
        .env("TMPDIR", "/mnt")
        .process_group(0);
    let mut child = command.spawn().context("cannot run unshare")?;
    kill_with_this_process(child.id())?;
    let status = child.wait().context("cannot wait for the sandbox")?;
    remove_cgroups();
    Ok(status)
}

/// Whether a node can run here.
///
/// # Errors
/// When this is not root on Linux, a program is missing, or a node already runs here.
pub fn check() -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("a node that runs pods needs root; with E2E_KUBECONFIG, a cluster that exists is used instead");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let missing = |program: &str| !folders.iter().any(|folder| folder.join(program).is_file());
    let packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| missing(program))
        .map(|(_, package)| *package)
        .collect();
    if !packages.is_empty() {
        bail!(
            "a node that runs pods needs programs that are not here; on Debian: apt-get install {}",
            packages.join(" ")
        );
    }
    remove_cgroups();
    let left = pod_cgroups();
    if !left.is_empty() {
        bail!(
            "this machine is the node of a cluster already, as {} is there",
            left[0].display()
        );
    }
    Ok(())
}

/// The cgroups that kubelet makes for pods: one in each hierarchy.
fn pod_cgroups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    std::iter::once(root.to_owned())
        .chain(hierarchies)
        .map(|hierarchy| hierarchy.join("kubepods"))
        .filter(|cgroup| cgroup.is_dir())
        .collect()
}

/// Removes what a sandbox left. The kernel removes no cgroup with a process in it.
fn remove_cgroups() {
    fn remove(cgroup: &Path) {
        for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                remove(&entry.path());
            }
        }
        let _ = fs::remove_dir(cgroup);
    }
    pod_cgroups().iter().for_each(|cgroup| remove(cgroup));
}

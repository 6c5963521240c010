//! Namespaces of its own for the node: this program runs once more in them, as the first process.
//!
//! When that process ends, in whatever way, the kernel ends all others with it, and with the last of them go the bridge, the rule and
//! the mounts. What remains are files in one folder, which goes with the outer process, and empty cgroups, which that process removes
//! or else the next run does.

use std::{
    ffi::OsStr,
    fs,
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context, bail};

use crate::cluster::{ScratchDir, forget_group, kill_with_this_process};

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

/// Without kube-proxy, this rule is the Service `kubernetes`. The folders are where containerd's shims, kubelet and network plugins write
/// whatever they are told, and the settings are the kernel's that kubelet would change for the whole machine: it gets copies of them.
/// /mnt is a short name for the folder: the path of a socket has no more than 108 bytes.
const SET_UP: &str = r#"
set -eu
bridge=$1 address=$2 service=$3 port=$4 files=$5
shift 5
mount --bind "$files" /mnt
for folder in /run /var/log /var/lib/cni /var/lib/kubelet; do
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
done
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    copy=/run/setting-$(echo "$setting" | tr / -)
    cat "/proc/sys/$setting" >"$copy"
    mount --bind "$copy" "/proc/sys/$setting"
done
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
    let paths = arguments.iter().map(Path::new).chain([program.as_path()]);
    let hidden = |path: &&Path| {
        ["/mnt", "/run", "/var/log"]
            .iter()
            .any(|folder| path.starts_with(folder))
    };
    if let Some(path) = paths.into_iter().find(hidden) {
        bail!(
            "the node has a /mnt, a /run and a /var/log of its own, and would not see {}: put it elsewhere",
            path.display()
        );
    }
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
    forget_group(child.id());
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
    let in_use = |cgroup: &PathBuf| cgroup.ends_with("kubepods.slice") || has_process(cgroup);
    if let Some(cgroup) = pod_cgroups().iter().find(|cgroup| in_use(cgroup)) {
        bail!(
            "this machine is the node of a cluster already: {} is in use",
            cgroup.display()
        );
    }
    remove_cgroups();
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
        .flat_map(|hierarchy| ["kubepods", "kubepods.slice"].map(|name| hierarchy.join(name)))
        .filter(|cgroup| cgroup.is_dir())
        .collect()
}

/// Whether a process is in the cgroup, or in one below it.
fn has_process(cgroup: &Path) -> bool {
    let own = fs::read_to_string(cgroup.join("cgroup.procs")).is_ok_and(|processes| !processes.trim().is_empty());
    let below = fs::read_dir(cgroup)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    own || below.filter(|path| path.is_dir()).any(|path| has_process(&path))
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
    pod_cgroups()
        .iter()
        .filter(|cgroup| cgroup.ends_with("kubepods"))
        .for_each(|cgroup| remove(cgroup));
}

//! A node that runs real pods on this machine: containerd, runc and kubelet, joined to a [`Cluster`] that serves pods.
//!
//! It runs in namespaces of its own ([`sandbox`]): its network, its mounts and its processes end with it, and nothing of this machine's
//! network is changed. Needs root, Linux, and the programs that [`sandbox::PROGRAMS`] names.
//!
//! ```text
//!  sandbox     a bridge, one rule for the Service `kubernetes`, empty /run and /var/log, a process tree of its own
//!  config      what containerd, its network plugins and kubelet read
//!  archive     the sandbox image, written as a file that containerd imports; the size of an image
//! ```
//!
//! There is no kube-proxy and no DNS: the one Service that pods use is the API server's, and the one network plugin is a bridge, which
//! enforces no NetworkPolicy.

pub mod archive;
mod config;
pub mod sandbox;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::Context;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{Cluster, Process, ScratchDir, eventually};

/// The node's name.
pub const NAME: &str = "e2e-node";
/// A node is ready in about 10 s.
const DEADLINE: Duration = Duration::from_secs(120);

/// A running node. Dropping it ends kubelet and containerd; pods go with the sandbox.
pub struct Node {
    kubelet: Process,
    containerd: Containerd,
}

impl Node {
    /// Starts a node and waits until it is Ready. To be called in the sandbox.
    ///
    /// # Errors
    /// When a component ends, or the node is not Ready in time: with the end of kubelet's log.
    pub async fn start(cluster: &Cluster) -> anyhow::Result<Node> {
        let containerd = Containerd::start(cluster).await?;
        let dir = containerd.dir.path();
        let kubeconfig = cluster.user_kubeconfig(&format!("system:node:{NAME}"), &["system:nodes"])?;
        let mut kubelet = Command::new(cluster.binary("kubelet"));
        kubelet
            .arg("--config")
            .arg(dir.join(config::KUBELET))
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--root-dir")
            .arg(dir.join("kubelet"))
            .arg("--cert-dir")
            .arg(dir.join("kubelet-certificates"))
            .args(["--hostname-override", NAME])
            .args(["--node-ip", &sandbox::ADDRESS.to_string()]);
        let mut node = Node {
            kubelet: Process::spawn("kubelet", &kubelet, &dir.join("kubelet.log"))?,
            containerd,
        };
        node.until_ready(cluster).await?;
        Ok(node)
    }

    /// Makes the image in this OCI archive known to the node. Its name is without a registry, and Kubernetes adds its default one.
    ///
    /// # Errors
    /// When it cannot be read, or containerd does not accept it.
    pub async fn import(&self, archive: &Path) -> anyhow::Result<()> {
        let name = archive::read(archive)?.name;
        self.containerd.import(archive).await?;
        self.containerd.tag(&name)
    }

    /// Kills a pod's container at once, as the kernel's memory killer would: no signal that it could handle comes before.
    ///
    /// # Errors
    /// When no process runs `program` in that pod.
    pub fn kill(&self, pod_uid: &str, program: &str) -> anyhow::Result<()> {
        let pid = process_in_pod(pod_uid, program)?;
        kill_process(pid, Signal::KILL).context("cannot kill the container's process")
    }

    /// The resident set (VmRSS) of the process that runs `program` in this pod, in bytes: what is shared with the page cache counts.
    ///
    /// # Errors
    /// When there is none.
    pub fn resident(&self, pod_uid: &str, program: &str) -> anyhow::Result<u64> {
        let pid = process_in_pod(pod_uid, program)?;
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero()))?;
        let kib = status.lines().find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        });
        Ok(kib.context("the process has no VmRSS")? * 1024)
    }

    async fn until_ready(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let nodes = Api::<NodeObject>::all(cluster.admin());
        let ready = eventually("a Ready node", DEADLINE, async || {
            if let Some(status) = self.kubelet.try_wait()? {
                anyhow::bail!("kubelet ended: {status}");
            }
            let node = nodes.get_opt(NAME).await?;
            let conditions = node.and_then(|node| node.status?.conditions).unwrap_or_default();
            let ready = conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
            Ok(ready.then_some(()))
        });
        ready.await.with_context(|| {
            format!(
                "kubelet's last words:\n{}\ncontainerd's:\n{}",
                self.kubelet.log_tail(3000),
                self.containerd.process.log_tail(2000)
            )
        })
    }
}

/// The process that runs `program` in this pod.
fn process_in_pod(pod_uid: &str, program: &str) -> anyhow::Result<Pid> {
    // With cgroupfs, a pod's cgroup is `pod<uid>`, and its containers' are below it.
    let cgroup = format!("pod{pod_uid}/");
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let process = entry?.path();
        let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
        if read("cmdline").split('\0').next() == Some(program) && read("cgroup").contains(&cgroup) {
            let pid = process.file_name().and_then(|name| name.to_str()?.parse().ok());
            return pid.and_then(Pid::from_raw).context("a process without an id");
        }
    }
    anyhow::bail!("no process of pod {pod_uid} runs {program}")
}

/// What runs containers, and the folder for everything of the node.
struct Containerd {
    process: Process,
    // After the process that writes into it.
    dir: ScratchDir,
}

impl Containerd {
    /// Starts it, and gives it the sandbox image; then it serves.
    async fn start(cluster: &Cluster) -> anyhow::Result<Containerd> {
        let dir = ScratchDir::new("node")?;
        config::write(dir.path(), &cluster.ca_file())?;
        let mut command = Command::new("containerd");
        command.arg("--config").arg(dir.path().join(config::CONTAINERD));
        let process = Process::spawn("containerd", &command, &dir.path().join("containerd.log"))?;
        let containerd = Containerd { process, dir };
        let pause = archive::pause(&cluster.binary("pause"), containerd.dir.path())?;
        containerd.import(&pause).await?;
        Ok(containerd)
    }

    async fn import(&self, archive: &Path) -> anyhow::Result<()> {
        let imported = eventually("containerd to import an image", DEADLINE, async || {
            let output = self
                .ctr()
                .arg("import")
                .arg(archive)
                .output()
                .context("cannot run ctr")?;
            let said = String::from_utf8_lossy(&output.stderr);
            // Until it listens. Everything else is final.
            if said.contains("failed to dial") || said.contains("connection refused") {
                return Ok(None);
            }
            anyhow::ensure!(output.status.success(), "{}: {said}", output.status);
            Ok(Some(()))
        });
        imported.await.with_context(|| {
            format!(
                "cannot import {}; containerd's last words:\n{}",
                archive.display(),
                self.process.log_tail(2000)
            )
        })
    }

    /// Makes an image known by the name that Kubernetes gives it, with the registry's.
    fn tag(&self, name: &str) -> anyhow::Result<()> {
        let full = format!("docker.io/{name}");
        let output = self
            .ctr()
            .args(["tag", "--force", name, &full])
            .output()
            .context("cannot run ctr")?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "cannot name the image {full}: {said}");
        Ok(())
    }

    /// `ctr images`
    fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command
            .args(["--address", config::CONTAINERD_SOCKET])
            .args(["--namespace", "k8s.io", "images"]);
        command
    }
}

//! What containerd, its network plugins and kubelet read.

use std::{fs, path::Path};

use anyhow::Context;
use serde_json::json;

use super::{archive, sandbox};

/// File names in the node's folder.
pub(super) const CONTAINERD: &str = "containerd.toml";
/// Where containerd listens, in the sandbox's own /run. kubelet asks there for the names of containers, whatever it is told otherwise.
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
pub(super) const KUBELET: &str = "kubelet.json";

/// Writes the files into `dir`. Clients of kubelet need a certificate of the authority in `ca`.
pub(super) fn write(dir: &Path, ca: &Path) -> anyhow::Result<()> {
    let root = dir.display();
    let network = json!({
        "cniVersion": "1.0.0",
        "name": "e2e",
        "plugins": [
            {
                "type": "bridge",
                "bridge": sandbox::BRIDGE,
                "isGateway": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": sandbox::SUBNET, "gateway": sandbox::ADDRESS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": dir.join("addresses"),
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    let kubelet = json!({
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": ca},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "volumePluginDir": dir.join("volume-plugins"),
        "podLogsDir": dir.join("pod-logs"),
        "cgroupDriver": "cgroupfs",
        // Machines with the first version of cgroups are served as well.
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "enforceNodeAllocatable": [],
        // A test machine's disk may be nearly full.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "resolvConf": "",
    });
    // restrict_oom_score_adj: lowering a score is not permitted where tests run in a container themselves.
    let containerd = format!(
        r#"version = 2
root = "{root}/containerd"
state = "{root}/containerd-state"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
path = "{root}/opt"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{root}/network.d"
"#,
        pause = archive::PAUSE,
        plugins = sandbox::NETWORK_PLUGINS,
    );
    fs::create_dir_all(dir.join("network.d")).context("cannot make a folder in the node's")?;
    for (name, text) in [
        ("network.d/e2e.conflist", network.to_string()),
        (KUBELET, kubelet.to_string()),
        (CONTAINERD, containerd),
    ] {
        fs::write(dir.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

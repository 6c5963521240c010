//! The cluster that the operator is installed in.

use std::{
    ffi::OsStr,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{
    Api, Client, ResourceExt,
    api::DeleteParams,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig},
};

use super::{helm, installation::Installation};
use crate::{
    cluster::{self, Cluster, OPERATOR_NAMESPACE, ScratchDir},
    node::{Node, sandbox},
    screen::Screen,
};

/// The image's entrypoint.
const PROGRAM: &str = "/ack-offboarding-operator";

/// A cluster, this machine's own or another one. Dropping it ends a cluster of its own.
pub(super) struct Target {
    /// Only with a cluster of its own. The node ends before the API server does.
    node: Option<Node>,
    own: Option<Box<Cluster>>,
    /// The administrator's.
    kubeconfig: PathBuf,
    /// Where pods reach this machine.
    pub(super) address: IpAddr,
    /// For files that go with this value.
    pub(super) files: ScratchDir,
}

impl Target {
    /// The cluster of `kubeconfig`, or a new one.
    pub(super) async fn find(screen: &Screen, kubeconfig: Option<&OsStr>) -> anyhow::Result<Target> {
        cluster::install_crypto_provider();
        screen.heading("The cluster");
        let files = ScratchDir::new("in-cluster")?;
        if let Some(kubeconfig) = kubeconfig {
            let address = std::env::var("E2E_ADDRESS").unwrap_or_default();
            let address = address.parse().context(
                "with E2E_KUBECONFIG, E2E_ADDRESS has to be the IP address at which pods reach this machine",
            )?;
            screen.line("That of E2E_KUBECONFIG.");
            return Ok(Target {
                node: None,
                own: None,
                kubeconfig: std::path::absolute(kubeconfig)?,
                address,
                files,
            });
        }
        let step = screen.step(
            "Starting etcd, kube-apiserver, kube-controller-manager and kube-scheduler",
            "10 s",
        );
        let options = cluster::Options {
            pods: Some(sandbox::ADDRESS),
            ..cluster::Options::default()
        };
        let own = Box::new(Cluster::start(options).await?);
        step.done(screen, "ready");
        let step = screen.step("Starting containerd and kubelet", "10 s");
        let node = Node::start(&own).await?;
        step.done(screen, "the node is Ready");
        Ok(Target {
            kubeconfig: own.admin_kubeconfig(),
            node: Some(node),
            own: Some(own),
            address: IpAddr::V4(sandbox::ADDRESS),
            files,
        })
    }

    /// The audit log, of a cluster of its own.
    pub(super) fn audit_log(&self) -> Option<PathBuf> {
        self.own.as_ref().map(|own| own.audit_log())
    }

    /// The administrator's kubeconfig.
    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The administrator.
    pub(super) async fn admin(&self) -> anyhow::Result<Client> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// A client of this cluster with other credentials than the administrator's.
    pub(super) async fn client(&self, credentials: AuthInfo) -> anyhow::Result<Client> {
        let mut config = self.config().await?;
        config.auth_info = credentials;
        Ok(Client::try_from(config)?)
    }

    async fn config(&self) -> anyhow::Result<kube::Config> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        Ok(kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }

    /// Makes the image known to the node. A cluster that is not of this machine's own is given it by whoever made it.
    pub(super) async fn load(&self, archive: &Path) -> anyhow::Result<()> {
        match &self.node {
            Some(node) => node.import(archive).await,
            None => Ok(()),
        }
    }

    /// Kills a pod without a warning. On a node of its own that is SIGKILL for the container's process, and kubelet starts another; in
    /// another cluster the pod is deleted at once, which kubelet does with SIGTERM and SIGKILL a second later.
    pub(super) async fn kill(&self, pod: &Pod) -> anyhow::Result<()> {
        match &self.node {
            Some(node) => node.kill(&pod.uid().unwrap_or_default(), PROGRAM),
            None => {
                let pods = Api::<Pod>::namespaced(self.admin().await?, OPERATOR_NAMESPACE);
                let at_once = DeleteParams::default().grace_period(0);
                pods.delete(&pod.name_any(), &at_once).await?;
                Ok(())
            }
        }
    }

    /// The memory of a pod's container in bytes: on a node of its own the process's resident set, in another cluster the working set
    /// that kubelet reports.
    pub(super) async fn memory(&self, installation: &Installation, pod: &Pod) -> anyhow::Result<u64> {
        match &self.node {
            Some(node) => node.resident(&pod.uid().unwrap_or_default(), PROGRAM),
            None => installation.working_set(pod, Timestamp::now()).await,
        }
    }

    /// What is in the operator's namespace, for whoever has to find out what went wrong.
    pub(super) async fn describe(&self) -> String {
        let mut text = String::new();
        for arguments in [
            "get all,lease,events",
            "describe pods",
            "logs --selector app.kubernetes.io/name=ack-offboarding-operator --tail 40 --prefix",
            "get useroffboardings",
        ] {
            let output = self.kubectl(arguments.split(' ')).await;
            text += &format!(
                "$ kubectl {arguments}\n{}\n",
                output.unwrap_or_else(|error| format!("{error:#}"))
            );
        }
        text
    }

    /// Runs kubectl as the administrator, in the operator's namespace, and returns what it printed.
    pub(super) async fn kubectl(&self, arguments: impl IntoIterator<Item = &str>) -> anyhow::Result<String> {
        let mut command = match &self.own {
            Some(own) => own.kubectl(),
            None => std::process::Command::new(cluster::components()?.join("kubectl")),
        };
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .args(["--namespace", OPERATOR_NAMESPACE])
            .args(arguments);
        helm::output(command).await
    }

    /// Which addresses the simulator has to listen on.
    pub(super) fn listen(&self) -> anyhow::Result<IpAddr> {
        match self.address {
            IpAddr::V4(_) => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            IpAddr::V6(_) => bail!("E2E_ADDRESS has to be an IPv4 address"),
        }
    }
}

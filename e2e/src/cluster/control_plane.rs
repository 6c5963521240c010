//! Starts the components of a control plane.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use super::{
    aggregation,
    kubeconfig::{self, Credentials},
    options::{Options, POD_API_SERVER_PORT},
    pki::{self, Authority, Identity},
    process::Process,
    readiness::{self, Ended},
    reaper::ScratchDir,
};

/// The first address of the Services' range, which the Service `kubernetes` has.
pub(crate) const SERVICE_IP: &str = "10.96.0.1";

/// The controllers that tests without pods can notice the lack of: garbage collection, the deletion of namespaces, and what
/// fills them.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
    root-ca-certificate-publisher-controller,clusterrole-aggregation-controller,resourcequota-controller,\
    validatingadmissionpolicy-status-controller";

/// The running components. Dropped from top to bottom: an API server whose etcd is gone lingers.
pub(super) struct ControlPlane {
    pub(super) scheduler: Option<Process>,
    pub(super) controller_manager: Option<Process>,
    pub(super) apiserver: Process,
    pub(super) etcd: Process,
    pub(super) url: String,
    pub(super) admin: Identity,
}

/// Starts everything, with its files in `dir`. A port that is taken by someone else in the meantime is chosen anew.
pub(super) async fn start(
    binaries: &Path,
    dir: &ScratchDir,
    authority: &Authority,
    options: Options,
) -> anyhow::Result<ControlPlane> {
    write_files(dir.path(), authority, options)?;
    let mut admin = authority.client("kubernetes-admin", &["system:masters"])?;
    let dir = dir.path();
    let mut etcd = start_etcd(binaries, dir)?;
    for _ in 0..5 {
        let port = options.pods.map_or_else(free_port, |_| Ok(POD_API_SERVER_PORT))?;
        let url = format!("https://127.0.0.1:{port}");
        let apiserver = start_apiserver(binaries, dir, port, options.pods)?;
        let mut plane = ControlPlane {
            scheduler: None,
            controller_manager: None,
            apiserver,
            etcd,
            url,
            admin,
        };
        let config = kubeconfig::kubeconfig(&plane.url, &authority.pem(), Credentials::Certificate(&plane.admin));
        let client = kubeconfig::client(&plane.url, authority.der(), &config)?;
        match readiness::until_ready(&mut plane.etcd, &mut plane.apiserver, &client).await {
            Ok(()) => {}
            Err(Ended::PortTaken) if options.pods.is_none() => {
                (etcd, admin) = (plane.etcd, plane.admin);
                continue;
            }
            Err(Ended::PortTaken) => bail!("port {port} is taken, which pods would reach the API server at"),
            Err(Ended::Failed(error)) => return Err(error),
        }
        if options.pods.is_some() {
            plane.scheduler = Some(start_scheduler(binaries, dir, authority, &plane.url)?);
        }
        if options.controller_manager || options.pods.is_some() {
            let controllers = options.pods.map_or(CONTROLLERS, |_| "*");
            plane.controller_manager = Some(start_controller_manager(
                binaries,
                dir,
                authority,
                &plane.url,
                controllers,
                options.one_account,
            )?);
            readiness::until_controllers_run(plane.controller_manager.as_mut(), &client).await?;
        } else {
            aggregation::fill(&client).await?;
        }
        return Ok(plane);
    }
    bail!("five free ports in a row were taken by another process before kube-apiserver could use them")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port on loopback")?;
    Ok(listener.local_addr()?.port())
}

fn write_files(dir: &Path, authority: &Authority, options: Options) -> anyhow::Result<()> {
    let address = options.pods.unwrap_or(Ipv4Addr::LOCALHOST).to_string();
    let serving = authority.server(&["localhost", "127.0.0.1", "kubernetes.default.svc", SERVICE_IP, &address])?;
    // The API server's own, for `kubectl logs` and the like.
    let to_kubelet = authority.client("kube-apiserver-kubelet-client", &["system:masters"])?;
    let tokens = pki::signing_key()?;
    for (name, content) in [
        ("ca.crt", authority.pem()),
        ("apiserver.crt", serving.certificate),
        ("apiserver.key", serving.key),
        ("kubelet-client.crt", to_kubelet.certificate),
        ("kubelet-client.key", to_kubelet.key),
        // Only kube-controller-manager reads it, to sign CertificateSigningRequests.
        ("ca.key", authority.key_pem()),
        ("service-accounts.key", tokens.private),
        ("service-accounts.pub", tokens.public),
        ("audit-policy.yaml", include_str!("audit-policy.yaml").to_owned()),
        // There from the beginning, for those who follow it.
        ("audit.log", String::new()),
    ] {
        fs::write(dir.join(name), content).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// etcd listens on Unix sockets in its folder: no port can be raced for, and no other user can connect. It insists on
/// addresses with a port to advertise; nobody ever connects to those, as it is the only member of its cluster.
fn start_etcd(binaries: &Path, dir: &Path) -> anyhow::Result<Process> {
    let socket = |name: &str| format!("unix://{}", dir.join(name).display());
    let (client, peer) = (socket("etcd.sock"), socket("etcd-peer.sock"));
    // sockaddr_un holds 108 bytes on Linux, 104 elsewhere.
    anyhow::ensure!(
        peer.len() < 104,
        "the path of the temporary folder is too long for a socket in it: {dir:?}"
    );
    let mut command = Command::new(binaries.join("etcd"));
    command
        .args([
            "--name",
            "e2e",
            "--unsafe-no-fsync",
            "--data-dir",
            "etcd",
            "--log-level",
            "warn",
        ])
        .args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            "http://127.0.0.1:2379",
        ])
        .args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            "http://127.0.0.1:2380",
        ])
        .args(["--initial-cluster", "e2e=http://127.0.0.1:2380"])
        .current_dir(dir);
    Process::spawn("etcd", &command, &dir.join("etcd.log"))
}

fn start_apiserver(binaries: &Path, dir: &Path, port: u16, pods: Option<Ipv4Addr>) -> anyhow::Result<Process> {
    let listen = pods.map_or(Ipv4Addr::LOCALHOST, |_| Ipv4Addr::UNSPECIFIED);
    let mut command = Command::new(binaries.join("kube-apiserver"));
    command
        .args(["--etcd-servers", &format!("unix://{}", dir.join("etcd.sock").display())])
        .args([
            "--bind-address",
            &listen.to_string(),
            "--secure-port",
            &port.to_string(),
            "--cert-dir",
            ".",
        ])
        .args(["--external-hostname", "localhost"])
        .args([
            "--tls-cert-file",
            "apiserver.crt",
            "--tls-private-key-file",
            "apiserver.key",
        ])
        .args(["--client-ca-file", "ca.crt", "--authorization-mode", "Node,RBAC"])
        .args(["--service-account-issuer", "https://kubernetes.default.svc"])
        .args(["--service-account-key-file", "service-accounts.pub"])
        .args(["--service-account-signing-key-file", "service-accounts.key"])
        // Nobody calls the API server by its Service; the reconciler of its endpoints would only add traffic.
        .args([
            "--service-cluster-ip-range",
            "10.96.0.0/16",
            "--endpoint-reconciler-type",
            "none",
        ])
        // Blocking: when a request is answered, its record is in the file. 0: never rotated.
        .args([
            "--audit-policy-file",
            "audit-policy.yaml",
            "--audit-log-path",
            "audit.log",
        ])
        .args(["--audit-log-mode", "blocking", "--audit-log-maxsize", "0"])
        .args(["--profiling=false", "--event-ttl", "1h"])
        .current_dir(dir);
    if let Some(address) = pods {
        command
            .args(["--advertise-address", &address.to_string()])
            .args(["--kubelet-client-certificate", "kubelet-client.crt"])
            .args(["--kubelet-client-key", "kubelet-client.key"])
            // Names of nodes need not resolve.
            .args(["--kubelet-preferred-address-types", "InternalIP"])
            .args(["--enable-admission-plugins", "NodeRestriction"]);
    }
    Process::spawn("kube-apiserver", &command, &dir.join("kube-apiserver.log"))
}

fn start_scheduler(binaries: &Path, dir: &Path, authority: &Authority, url: &str) -> anyhow::Result<Process> {
    let config = component_kubeconfig("kube-scheduler", &[], dir, authority, url)?;
    let mut command = Command::new(binaries.join("kube-scheduler"));
    command
        .arg("--kubeconfig")
        .arg(config)
        .args(["--leader-elect=false", "--secure-port", "0"])
        .current_dir(dir);
    Process::spawn("kube-scheduler", &command, &dir.join("kube-scheduler.log"))
}

fn component_kubeconfig(
    component: &str,
    groups: &[&str],
    dir: &Path,
    authority: &Authority,
    url: &str,
) -> anyhow::Result<PathBuf> {
    let identity = authority.client(&format!("system:{component}"), groups)?;
    let config = dir.join(format!("{component}.kubeconfig"));
    kubeconfig::write(
        &config,
        &kubeconfig::kubeconfig(url, &authority.pem(), Credentials::Certificate(&identity)),
    )?;
    Ok(config)
}

fn start_controller_manager(
    binaries: &Path,
    dir: &Path,
    authority: &Authority,
    url: &str,
    controllers: &str,
    one_account: bool,
) -> anyhow::Result<Process> {
    let binary = binaries.join("kube-controller-manager");
    anyhow::ensure!(
        binary.is_file(),
        "{binaries:?} has no kube-controller-manager, which this cluster needs"
    );
    // Without accounts of their own, the controllers need whatever any of them needs.
    let (groups, accounts): (&[&str], _) = match one_account {
        true => (&["system:masters"], "--use-service-account-credentials=false"),
        false => (&[], "--use-service-account-credentials"),
    };
    let config = component_kubeconfig("kube-controller-manager", groups, dir, authority, url)?;
    let mut command = Command::new(binary);
    command
        .arg("--kubeconfig")
        .arg(&config)
        .args(["--leader-elect=false", "--secure-port", "0", accounts])
        // Tests do not wait for many objects, and three of these share a small machine.
        .args(["--concurrent-gc-syncs", "4", "--concurrent-namespace-syncs", "4"])
        .args(["--root-ca-file", "ca.crt", "--controllers", controllers])
        // In its own folder, and not in the system's.
        .args(["--flex-volume-plugin-dir", "volume-plugins"])
        .args([
            "--cluster-signing-cert-file",
            "ca.crt",
            "--cluster-signing-key-file",
            "ca.key",
        ])
        .current_dir(dir);
    Process::spawn(
        "kube-controller-manager",
        &command,
        &dir.join("kube-controller-manager.log"),
    )
}

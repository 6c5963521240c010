//! A real Kubernetes control plane on this machine: etcd and kube-apiserver, and kube-controller-manager on demand.
//!
//! Nothing is mocked: requests are authenticated by client certificate or ServiceAccount token, authorised by RBAC, admitted by
//! the same admission plugins as in ACK, and recorded in an audit log. By itself it has no node, so no pod runs: see
//! [`node`](crate::node). A cluster is ready in about 5 s, takes about 400 MB, and leaves neither a process nor a file behind, in whatever way this process ends.
//!
//! ```text
//! binaries                   the components: $KUBEBUILDER_ASSETS, or built once from e2e/controlplane
//! control_plane, readiness   starts them, and waits until they serve; aggregation fills view, edit and admin
//! pki, kubeconfig            who is who
//! process, reaper            children that cannot outlive this process
//! wait                       conditions with a deadline
//! manifests, operator_rbac   what an installed operator may do
//! etcd                       deletes what no policy lets anybody delete
//! named                      requests for objects whose names hold any character
//! reset, pool                clusters that tests take turns with
//! ```

mod aggregation;
mod binaries;
mod control_plane;
mod etcd;
mod kubeconfig;
mod manifests;
pub mod named;
mod operator_rbac;
mod options;
mod pki;
pub mod pool;
mod process;
mod readiness;
mod reaper;
mod reset;
mod wait;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client, api::PostParams};

pub use self::{
    binaries::components,
    kubeconfig::install_crypto_provider,
    manifests::apply_objects,
    operator_rbac::{BARRIER, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, POLICIES, is_allowed},
    options::{Options, POD_API_SERVER_PORT},
    process::{Process, Signal},
    reaper::ScratchDir,
    wait::eventually,
};
use self::{control_plane::ControlPlane, kubeconfig::Credentials, pki::Authority};
pub(crate) use self::{
    control_plane::SERVICE_IP,
    reaper::{forget_group, register_group as kill_with_this_process},
};

/// Eight hours: longer than any test or demo.
const TOKEN_SECONDS: i64 = 8 * 3600;

/// A running cluster. Dropping it kills its processes and removes its files.
///
/// It holds no kube client, as a client belongs to the runtime that it was made in: each call makes a new one.
pub struct Cluster {
    plane: ControlPlane,
    authority: Authority,
    binaries: PathBuf,
    options: Options,
    files: AtomicU32,
    // After the processes that write into it.
    dir: ScratchDir,
}

impl Cluster {
    /// Starts a cluster and waits until it serves.
    ///
    /// The first start ever may build the components, which takes minutes and is announced on standard error.
    ///
    /// Errors: there are no components (see [`components`]); a component ends or does not serve within two minutes, with the
    /// end of its log in the message.
    pub async fn start(options: Options) -> anyhow::Result<Cluster> {
        let binaries = tokio::task::spawn_blocking(components).await??;
        let dir = ScratchDir::new("cluster")?;
        let authority = Authority::new()?;
        let plane = control_plane::start(&binaries, &dir, &authority, options).await?;
        let cluster = Cluster {
            plane,
            authority,
            binaries,
            options,
            files: AtomicU32::new(0),
            dir,
        };
        let admin = cluster.certificate_kubeconfig(&cluster.plane.admin);
        kubeconfig::write(&cluster.dir.path().join("admin.kubeconfig"), &admin)?;
        Ok(cluster)
    }

    /// Stops it in order: kube-controller-manager, kube-apiserver, etcd; then removes its files. The same as dropping it.
    pub fn stop(self) {}

    /// What it was started with.
    pub fn options(&self) -> Options {
        self.options
    }

    /// The API server's address, `https://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.plane.url
    }

    /// The certificate of the authority that signed the API server's certificate.
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// The audit log: a JSON `Event` a line, in order of completion; the record of a request is there before its answer is.
    ///
    /// It is never rotated. [`pool`](self::pool) empties it when a cluster changes hands.
    pub fn audit_log(&self) -> PathBuf {
        self.dir.path().join("audit.log")
    }

    /// A folder for files that should go with the cluster, such as logs of processes that use it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The binary of a component, such as `kubelet`.
    pub(crate) fn binary(&self, component: &str) -> PathBuf {
        self.binaries.join(component)
    }

    /// The file with the certificate of the cluster's authority.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// The API server's process, to freeze it with `Signal::STOP` and thaw it with `Signal::CONT`.
    pub fn apiserver(&self) -> &Process {
        &self.plane.apiserver
    }

    /// Whether the API server answers and says that it is ready.
    pub async fn is_ready(&self) -> bool {
        readiness::is_ready(&self.admin()).await
    }

    /// Waits until the garbage collector has dealt with an object that is made for this: it has seen all that went before.
    ///
    /// # Errors
    /// When no kube-controller-manager runs, or it does not come to it within two minutes.
    pub async fn until_garbage_is_collected(&self) -> anyhow::Result<()> {
        readiness::until_garbage_is_collected(&self.admin()).await
    }

    /// A client with every permission (`system:masters`), for the runtime that this is called in.
    pub fn admin(&self) -> Client {
        let config = self.certificate_kubeconfig(&self.plane.admin);
        // `start` has made such a client from the same certificates.
        kubeconfig::client(self.url(), self.authority.der(), &config).expect("certificates made here can be read")
    }

    /// The kubeconfig file of [`admin`](Self::admin).
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.dir.path().join("admin.kubeconfig")
    }

    /// A client with a real client certificate, which the API server authenticates as the user `name` in `groups` (two at most).
    pub fn user_client(&self, name: &str, groups: &[&str]) -> anyhow::Result<Client> {
        let identity = self.authority.client(name, groups)?;
        kubeconfig::client(
            self.url(),
            self.authority.der(),
            &self.certificate_kubeconfig(&identity),
        )
    }

    /// A new kubeconfig file with a real client certificate, as [`user_client`](Self::user_client).
    ///
    /// A leaver's, as ACK issues it, has the name `<uid>-<unix seconds>` and no group.
    pub fn user_kubeconfig(&self, name: &str, groups: &[&str]) -> anyhow::Result<PathBuf> {
        let identity = self.authority.client(name, groups)?;
        self.write_kubeconfig(&self.certificate_kubeconfig(&identity))
    }

    /// A new kubeconfig file with a token of an existing ServiceAccount, valid for eight hours.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> anyhow::Result<PathBuf> {
        self.write_kubeconfig(&self.token_kubeconfig(namespace, name).await?)
    }

    /// A client with a token of an existing ServiceAccount, valid for eight hours.
    pub async fn service_account_client(&self, namespace: &str, name: &str) -> anyhow::Result<Client> {
        let config = self.token_kubeconfig(namespace, name).await?;
        kubeconfig::client(self.url(), self.authority.der(), &config)
    }

    /// A token of an existing ServiceAccount, valid for eight hours, for `audience`: `sts.aliyuncs.com` is RRSA's.
    ///
    /// An empty audience stands for the API server itself.
    pub async fn request_token(&self, namespace: &str, name: &str, audience: &str) -> anyhow::Result<String> {
        service_account_token(&self.admin(), namespace, name, audience).await
    }

    /// The public keys that verify ServiceAccount tokens: the JWKS that the API server publishes, as `{"keys": [...]}`.
    pub async fn jwks(&self) -> anyhow::Result<serde_json::Value> {
        let request = http::Request::get("/openid/v1/jwks").body(Vec::new())?;
        self.admin().request(request).await.context("cannot get the JWKS")
    }

    /// `kubectl` as the administrator, with its caches inside the cluster's folder.
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.binaries.join("kubectl"));
        command
            .env("KUBECONFIG", self.admin_kubeconfig())
            .env("KUBECACHEDIR", self.dir.path().join("kubectl-cache"))
            // The user's own preferences have no say here.
            .env("KUBERC", "off");
        command
    }

    /// A bash that runs these commands as the cluster's administrator, with this cluster's kubectl, and stops at the first that fails.
    ///
    /// # Errors
    /// When the environment's PATH cannot be extended.
    pub fn shell(&self, commands: &str) -> anyhow::Result<Command> {
        let kubectl = self.kubectl();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.binaries.clone()).chain(std::env::split_paths(&path));
        let mut shell = Command::new("bash");
        shell
            .envs(kubectl.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("PATH", std::env::join_paths(folders)?)
            .args(["-euo", "pipefail", "-c", commands]);
        Ok(shell)
    }

    async fn token_kubeconfig(&self, namespace: &str, name: &str) -> anyhow::Result<serde_json::Value> {
        let token = self.request_token(namespace, name, "").await?;
        Ok(kubeconfig::kubeconfig(
            self.url(),
            &self.ca_pem(),
            Credentials::Token(&token),
        ))
    }

    fn certificate_kubeconfig(&self, identity: &pki::Identity) -> serde_json::Value {
        kubeconfig::kubeconfig(self.url(), &self.ca_pem(), Credentials::Certificate(identity))
    }

    fn write_kubeconfig(&self, config: &serde_json::Value) -> anyhow::Result<PathBuf> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.path().join(format!("{number}.kubeconfig"));
        kubeconfig::write(&path, config)?;
        Ok(path)
    }
}

/// A token of an existing ServiceAccount, valid for eight hours, for `audience`; an empty one stands for the API server itself.
pub async fn service_account_token(
    admin: &Client,
    namespace: &str,
    name: &str,
    audience: &str,
) -> anyhow::Result<String> {
    let audiences = if audience.is_empty() {
        Vec::new()
    } else {
        vec![audience.to_owned()]
    };
    let spec = TokenRequestSpec {
        audiences,
        expiration_seconds: Some(TOKEN_SECONDS),
        bound_object_ref: None,
    };
    let request = TokenRequest {
        spec,
        ..TokenRequest::default()
    };
    let answer = Api::<ServiceAccount>::namespaced(admin.clone(), namespace)
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .with_context(|| format!("cannot request a token of ServiceAccount {namespace}/{name}"))?;
    Ok(answer.status.context("the TokenRequest has no status")?.token)
}

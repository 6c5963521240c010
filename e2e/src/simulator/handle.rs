//! A running simulator, as tests and the demo hold it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

use super::calls::Call;
use super::dispatch::State;
use super::faults::Fault;
use super::tls::Authority;
use super::world::{Record, World};
use super::{audit, lock, server};

/// How to start a simulator. The default is an empty account on free loopback ports, http and https.
#[derive(Debug, Clone)]
pub struct Options {
    /// What the cloud knows at first.
    pub world: World,
    /// Where to serve http; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where to serve https, if at all.
    pub https: Option<SocketAddr>,
    /// Serve https beyond loopback, for pods. The http address is on loopback, always.
    pub beyond_loopback: bool,
    /// Where to write the certificate authority's certificate (PEM), if anywhere.
    pub ca_out: Option<PathBuf>,
    /// Further host names and IP addresses of the https certificate, for clients that reach it through a forwarded port.
    /// Host names that clients send (SNI) need not be named: a certificate is made for each.
    pub tls_names: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            world: World::default(),
            http: loopback,
            https: Some(loopback),
            beyond_loopback: false,
            ca_out: None,
            tls_names: Vec::new(),
        }
    }
}

/// A running simulator. It has threads of its own, and stops when it is dropped; several can run in one process.
pub struct Simulator {
    state: Arc<State>,
    http: SocketAddr,
    https: Option<SocketAddr>,
    authority: Arc<Authority>,
    /// Only none while it is being dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator")
            .field("http", &self.http)
            .field("https", &self.https)
            .finish_non_exhaustive()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping a runtime waits for it, which is not allowed within another one.
            runtime.shutdown_background();
        }
    }
}

impl Simulator {
    /// Starts one. When this returns, it accepts connections.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        // The process may have one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulator")
            .enable_all()
            .build()
            .context("cannot start the simulator's runtime")?;
        let state = State::new(options.world);
        let authority = Authority::new(&options.tls_names)?;
        if let Some(path) = &options.ca_out {
            std::fs::write(path, authority.pem()).with_context(|| format!("cannot write {}", path.display()))?;
        }
        let listener = server::bind(options.http, false)?;
        let http = listener.local_addr()?;
        runtime.spawn(server::serve(listener, None, Arc::clone(&state)));
        let mut https = None;
        if let Some(address) = options.https {
            let listener = server::bind(address, options.beyond_loopback)?;
            https = Some(listener.local_addr()?);
            let acceptor = TlsAcceptor::from(Arc::new(Arc::clone(&authority).server_config()?));
            runtime.spawn(server::serve(listener, Some(acceptor), Arc::clone(&state)));
        }
        Ok(Self {
            state,
            http,
            https,
            authority,
            runtime: Some(runtime),
        })
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// `https://127.0.0.1:<port>`, if https is served.
    pub fn https_url(&self) -> Option<String> {
        self.https.map(|address| format!("https://{address}"))
    }

    /// Where http is served.
    pub fn address(&self) -> SocketAddr {
        self.http
    }

    /// The certificate authority's certificate (PEM).
    pub fn ca_pem(&self) -> &str {
        self.authority.pem()
    }

    /// Looks at the world.
    pub fn read<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        look(&lock(&self.state.world))
    }

    /// Changes the world.
    pub fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut lock(&self.state.world))
    }

    /// Every call so far, in the order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.state.calls.all()
    }

    /// Waits for a call of which `predicate` is true, one that has already been made included. A call is there when it
    /// arrives and changes when it is answered, so that `predicate` may ask for either.
    pub async fn wait_for_call(&self, predicate: impl Fn(&Call) -> bool, deadline: Duration) -> anyhow::Result<Call> {
        let mut changes = self.state.calls.changes();
        let wait = async {
            loop {
                if let Some(call) = self.state.calls.find(&predicate) {
                    return Ok(call);
                }
                changes.changed().await.context("the simulator has stopped")?;
            }
        };
        let result = tokio::time::timeout(deadline, wait).await;
        result.unwrap_or_else(|_| {
            let seen: Vec<_> = self.calls().iter().map(|call| call.operation).collect();
            anyhow::bail!("no such call within {deadline:?}; there were {seen:?}")
        })
    }

    /// Adds a fault. The oldest that applies to a call hits it.
    pub fn fault(&self, fault: Fault) {
        lock(&self.state.faults).push(fault);
    }

    /// Puts a fault in the place of all others, without a moment in between.
    pub fn fault_instead(&self, fault: Fault) {
        *lock(&self.state.faults) = vec![fault];
    }

    /// Takes all faults away. Calls that hang already go on hanging.
    pub fn clear_faults(&self) {
        lock(&self.state.faults).clear();
    }

    /// Lets purges delete bindings in a real cluster, as the administrator of this kubeconfig.
    pub fn attach_cluster(&self, cluster: &str, kubeconfig: &Path) {
        lock(&self.state.kubeconfigs).insert(cluster.to_owned(), kubeconfig.to_owned());
    }

    /// Lets DescribeClusterUserKubeconfig hand this kubeconfig of a real cluster to the RAM user or role of this ID.
    pub fn attach_user_kubeconfig(&self, cluster: &str, id: &str, kubeconfig: &Path) {
        let key = (cluster.to_owned(), id.to_owned());
        lock(&self.state.user_kubeconfigs).insert(key, kubeconfig.to_owned());
    }

    /// Takes back [`attach_cluster`](Self::attach_cluster): purges leave the bindings of the real cluster alone.
    pub fn detach_cluster(&self, cluster: &str) {
        lock(&self.state.kubeconfigs).remove(cluster);
    }

    /// Fills the cluster's logstore from the API server's audit file, from the file's present end on.
    pub fn follow_audit_log(&self, cluster: &str, path: &Path) {
        self.follow_audit_log_from(cluster, path, audit::end(path));
    }

    /// Fills the cluster's logstore from the API server's audit file, from an offset in bytes on.
    pub fn follow_audit_log_from(&self, cluster: &str, path: &Path, offset: u64) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(audit::follow(
                Arc::clone(&self.state),
                cluster.to_owned(),
                path.to_owned(),
                offset,
            ));
        }
    }

    /// Adds a record to the cluster's logstore. False if it has none.
    pub fn add_record(&self, cluster: &str, record: Record) -> bool {
        self.edit(|world| {
            world
                .audit_logstore_mut(cluster)
                .map(|logstore| logstore.records.push(record))
                .is_some()
        })
    }

    /// Changes the records of which `which` is true, and says how many there were.
    pub fn change_records(
        &self,
        cluster: &str,
        which: impl Fn(&Record) -> bool,
        change: impl Fn(Record) -> Record,
    ) -> usize {
        self.edit(|world| {
            world
                .audit_logstore_mut(cluster)
                .map_or(0, |logstore| logstore.records.change(which, change))
        })
    }

    /// Makes the records of which `which` is true older, and says how many there were.
    pub fn age_records(&self, cluster: &str, which: impl Fn(&Record) -> bool, by: Duration) -> usize {
        self.change_records(cluster, which, |record| {
            let time = record.time() - by.as_secs() as i64;
            record.at(time)
        })
    }

    /// Waits until the cluster's logstore has a record of which `which` is true: the audit file is followed with a delay.
    pub async fn wait_for_record(
        &self,
        cluster: &str,
        which: impl Fn(&Record) -> bool,
        deadline: Duration,
    ) -> anyhow::Result<Record> {
        let wait = async {
            loop {
                let found = self.read(|world| {
                    world
                        .audit_logstore(cluster)
                        .and_then(|logstore| logstore.records.iter().find(|r| which(r)).cloned())
                });
                match found {
                    Some(record) => return record,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(deadline, wait)
            .await
            .with_context(|| format!("no such record within {deadline:?}"))
    }

    /// Finishes a purge whose state was held back, as ACK eventually does.
    pub fn finish_purge(&self, cluster: &str, uid: &str) {
        self.edit(|world| {
            let certificate = world
                .cluster_mut(cluster)
                .and_then(|cluster| cluster.certificates.get_mut(uid));
            if let Some(certificate) = certificate.filter(|certificate| certificate.removed_after_polls.is_some()) {
                certificate.removed_after_polls = Some(0);
            }
        });
    }
}

//! A stage on which tests and the demo play: a cluster with the operator's permissions, a simulated cloud that follows
//! the cluster's audit log, and the real operator binary between the two.

use crate::{
    cluster::{BARRIER, Cluster, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, Process, Signal},
    observer::{self, Asked, Breach, Invariant, Question, Watched},
    simulator::{
        self, Call, Operation, Simulator,
        world::{AccessKey, CertificateState, Cluster as AckCluster, Principal, Role, User, World},
    },
};
use ack_offboarding_operator::api::{UserOffboarding, UserOffboardingStatus, conditions};
use anyhow::Context;
use k8s_openapi::{
    api::{
        authorization::v1::SubjectAccessReview,
        core::v1::ConfigMap,
        rbac::v1::{ClusterRoleBinding, RoleBinding},
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Deref,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use crate::cluster::eventually;

/// The ID of the simulated ACK cluster.
pub const CLUSTER_ID: &str = "c0123456789abcdef0123456789abcdef";
/// The account that it belongs to; also the root account's UID.
pub const ACCOUNT: &str = "1234567890123456";
/// The ID of the RAM role that the operator works with.
pub const OPERATOR_ROLE: &str = "300000000000000009";
/// The operator's AccessKeyId.
pub const ACCESS_KEY: &str = "LTAI-stage-operator";
/// The operator's AccessKeySecret: what must never be seen anywhere.
pub const ACCESS_SECRET: &str = "stage-secret-0123456789abcdef";
/// The security token of the operator's credentials: what must never be seen anywhere.
pub const SECURITY_TOKEN: &str = "stage-token/with+special==chars";
/// The region.
pub const REGION: &str = "cn-hangzhou";
/// How long tests wait for something that takes milliseconds on a quiet machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How the operator is started.
#[derive(Clone, Debug)]
pub struct OperatorOptions {
    /// Further flags, which come after the usual ones.
    pub flags: Vec<String>,
    /// Further environment variables.
    pub env: Vec<(String, String)>,
    /// The release build instead of the one that tests use.
    pub release: bool,
    /// Another URL for the API server: a proxy's.
    pub api_server: Option<String>,
    /// Another URL for Container Service: a proxy's.
    pub cs: Option<String>,
}

impl Default for OperatorOptions {
    /// A second instead of an hour between looks, and quick retries. Alone: one that was killed does not keep the next one
    /// waiting for its Lease.
    fn default() -> Self {
        let flags = [
            "--recheck-interval=1s",
            "--backoff=500ms",
            "--poll-interval=1h",
            // Looking every second takes more calls than looking every hour.
            "--cloud-calls-per-minute=100000",
            "--leader-elect=false",
            "--listen=127.0.0.1:0",
        ];
        OperatorOptions {
            flags: flags.map(str::to_owned).into(),
            env: Vec::new(),
            release: false,
            api_server: None,
            cs: None,
        }
    }
}

impl OperatorOptions {
    /// With a flag, as `--name=value`, in the place of an earlier one of its name.
    pub fn flag(mut self, flag: &str) -> Self {
        self.flags.retain(|earlier| name_of(earlier) != name_of(flag));
        self.flags.push(flag.to_owned());
        self
    }
}

/// The name of a flag, as `--name`.
fn name_of(flag: &str) -> &str {
    flag.split('=').next().unwrap_or_default()
}

/// One with a cluster of its own, as the demo and the benchmarks have it.
pub type OwnEnv = Env<Box<Cluster>>;

/// A stack of a cluster, a cloud and an operator. `C` holds the cluster: a lease of the pool in tests, a cluster of its own in the demo.
///
/// When it is dropped, an [observer](crate::observer) says which invariants the operator broke, and the test fails. The demo's and the
/// benchmarks' clusters, which have no garbage collector, are not observed.
pub struct Env<C: Deref<Target = Cluster>> {
    // Dropped in this order: the operator first, the cluster last.
    operator: Option<Process>,
    /// The simulated cloud.
    pub sim: Simulator,
    /// The cluster.
    pub cluster: C,
    logs: Vec<PathBuf>,
    started: Option<Timestamp>,
    admin: Client,
    protected: BTreeSet<String>,
    excused: BTreeMap<Invariant, String>,
}

impl<C: Deref<Target = Cluster>> Drop for Env<C> {
    fn drop(&mut self) {
        self.kill_operator();
        if !self.cluster.options().controller_manager {
            return;
        }
        let told = match self.breaches() {
            Ok(breaches) if breaches.is_empty() => return,
            Ok(breaches) => breaches.iter().map(|b| format!("{b}\n")).collect(),
            Err(error) => format!("the observer cannot tell: {error:#}\n"),
        };
        // A test that fails already says why.
        match std::thread::panicking() {
            true => eprintln!("Invariants that were broken:\n{told}"),
            false => panic!("Invariants that were broken:\n{told}"),
        }
    }
}

impl<C: Deref<Target = Cluster>> Env<C> {
    /// Sets the stage, without the operator: its CRD and permissions, the cluster's profile, and the cloud.
    ///
    /// # Errors
    /// When something cannot be installed or started.
    pub async fn set(cluster: C) -> anyhow::Result<Self> {
        cluster.install_operator(OPERATOR_NAMESPACE).await?;
        cluster.set_cluster_profile(CLUSTER_ID, ACCOUNT).await?;
        let sim = Simulator::start(simulator::Options {
            world: world(),
            https: None,
            ..simulator::Options::default()
        })?;
        sim.attach_cluster(CLUSTER_ID, &cluster.admin_kubeconfig());
        sim.follow_audit_log(CLUSTER_ID, &cluster.audit_log());
        let admin = cluster.admin();
        Ok(Env {
            operator: None,
            sim,
            cluster,
            logs: Vec::new(),
            started: None,
            admin,
            protected: BTreeSet::from([ACCOUNT.to_owned(), OPERATOR_ROLE.to_owned()]),
            excused: BTreeMap::new(),
        })
    }

    /// Has the observer overlook an invariant that this scenario breaks on purpose, by acting as the operator, say.
    pub fn breaks_on_purpose(&mut self, invariant: Invariant, why: &str) {
        self.excused.insert(invariant, why.to_owned());
    }

    /// What the observer finds in what happened so far.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn breaches(&self) -> anyhow::Result<Vec<Breach>> {
        let watched = Watched {
            operator: format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}"),
            namespace: OPERATOR_NAMESPACE.to_owned(),
            barrier: BARRIER.to_owned(),
            protected: self.protected.clone(),
        };
        let asked: Vec<_> = self.sim.calls().iter().map(asked).collect::<Result<_, _>>()?;
        let mut breaches = observer::observe(&self.cluster.audit_log(), &asked, &watched)?;
        breaches.retain(|breach| !self.excused.contains_key(&breach.invariant));
        Ok(breaches)
    }

    /// Starts the operator with its own ServiceAccount's token.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub async fn start_operator(&mut self, options: &OperatorOptions) -> anyhow::Result<()> {
        self.operator = Some(self.another_operator(options).await?);
        Ok(())
    }

    /// Starts an operator that the stage does not look after.
    ///
    /// # Errors
    /// When it cannot be built or started.
    pub async fn another_operator(&mut self, options: &OperatorOptions) -> anyhow::Result<Process> {
        let mut command = self.command("run", options).await?;
        command.env("RUST_LOG", "debug,hyper_util=info,rustls=info,tower=info,h2=info");
        let log = self
            .cluster
            .dir()
            .join(format!("operator-{}-{}.log", std::process::id(), self.logs.len()));
        // A cluster of the pool may hold the log of an earlier test under this name.
        let _ = std::fs::remove_file(&log);
        self.logs.push(log.clone());
        let protected = options
            .flags
            .iter()
            .filter_map(|flag| flag.strip_prefix("--protected-uids="));
        let protected = protected.flat_map(|uids| uids.split(',')).map(str::to_owned);
        self.protected.extend(protected);
        self.started = Some(Timestamp::now());
        Process::spawn("operator", &command, &log)
    }

    /// The operator's command line, with its ServiceAccount's token and this stage's cloud.
    ///
    /// # Errors
    /// When it cannot be built, or there is no token.
    pub async fn command(&self, verb: &str, options: &OperatorOptions) -> anyhow::Result<Command> {
        let kubeconfig = self
            .cluster
            .service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
            .await?;
        let kubeconfig = match &options.api_server {
            None => kubeconfig,
            Some(url) => {
                let through_proxy = kubeconfig.with_extension(format!("{}.yaml", self.logs.len()));
                let text = std::fs::read_to_string(&kubeconfig)?.replace(self.cluster.url(), url);
                anyhow::ensure!(text.contains(url), "the kubeconfig does not name the API server's URL");
                std::fs::write(&through_proxy, text)?;
                through_proxy
            }
        };
        let binary = operator_binary(options.release)?;
        let cloud = self.sim.url();
        let mut flags = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--region={REGION}"),
        ];
        for service in ["sts", "ims", "ram", "cs", "sls"] {
            let url = options.cs.as_ref().filter(|_| service == "cs").unwrap_or(&cloud);
            flags.push(format!("--{service}-endpoint={url}"));
        }
        flags.retain(|flag| options.flags.iter().all(|other| name_of(other) != name_of(flag)));
        let mut command = Command::new(binary);
        command.arg(verb).args(flags).args(&options.flags);
        command.env_remove("ACK_OFFBOARDING_CLUSTER_ID");
        command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", ACCESS_KEY);
        command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ACCESS_SECRET);
        command.env("ALIBABA_CLOUD_SECURITY_TOKEN", SECURITY_TOKEN);
        command.envs(options.env.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// When the operator's process was last started.
    pub fn operator_started(&self) -> Option<Timestamp> {
        self.started
    }

    /// The running operator.
    ///
    /// # Errors
    /// When none runs.
    pub fn operator(&mut self) -> anyhow::Result<&mut Process> {
        self.operator.as_mut().context("the operator was not started")
    }

    /// Kills the operator as a power cut would.
    pub fn kill_operator(&mut self) {
        if let Some(mut operator) = self.operator.take() {
            operator.kill();
        }
    }

    /// Stops the operator as Kubernetes does, and waits for its end.
    ///
    /// # Errors
    /// When it does not end in time, or not successfully.
    pub async fn stop_operator(&mut self) -> anyhow::Result<()> {
        let mut operator = self.operator.take().context("the operator was not started")?;
        operator.signal(Signal::TERM)?;
        let status = operator.wait(PATIENCE).await?;
        anyhow::ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    /// What the operator tells Prometheus.
    ///
    /// # Errors
    /// When none runs, or it does not answer.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let address = self.operator_address()?;
        let answer = reqwest::get(format!("http://{address}/metrics")).await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Where the operator serves health and metrics.
    ///
    /// # Errors
    /// When none runs, or it does not listen yet.
    pub fn operator_address(&self) -> anyhow::Result<String> {
        let operator = self.operator.as_ref().context("the operator was not started")?;
        let log = std::fs::read_to_string(operator.log())?;
        Ok(listens_at(&log).context("the operator does not listen yet")?.to_owned())
    }

    /// Everything that the operator logged, over all its starts.
    pub fn operator_log(&self) -> String {
        self.logs
            .iter()
            .map(|log| std::fs::read_to_string(log).unwrap_or_default())
            .collect()
    }

    /// The cluster's administrator.
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// The API of UserOffboardings, for the administrator.
    pub fn offboardings(&self) -> Api<UserOffboarding> {
        Api::all(self.admin.clone())
    }

    /// Applies a UserOffboarding with this spec.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply(&self, name: &str, spec: Value) -> anyhow::Result<UserOffboarding> {
        let object = json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding", "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("person").force();
        Ok(self.offboardings().patch(name, &params, &Patch::Apply(object)).await?)
    }

    /// The object's status.
    ///
    /// # Errors
    /// When there is no such object.
    pub async fn status(&self, name: &str) -> anyhow::Result<UserOffboardingStatus> {
        Ok(self.offboardings().get(name).await?.status.unwrap_or_default())
    }

    /// Waits until the status is as it should be.
    ///
    /// # Errors
    /// When it is not in time: with the status, and the end of the operator's log.
    pub async fn wait_for(
        &self,
        name: &str,
        what: &str,
        mut is_so: impl FnMut(&UserOffboardingStatus) -> bool,
    ) -> anyhow::Result<UserOffboardingStatus> {
        let what = format!("{name}: {what}");
        let outcome = eventually(&what, PATIENCE, async || {
            let status = self.status(name).await?;
            Ok(is_so(&status).then_some(status))
        });
        match outcome.await {
            Ok(status) => Ok(status),
            Err(error) => {
                let status = self.status(name).await.ok();
                let status = serde_json::to_string_pretty(&status).unwrap_or_default();
                let log = self.operator_log();
                // What the API server's client logs of each request would hide the rest.
                let lines = log.lines().filter(|line| !line.contains("kube_client"));
                let tail: Vec<String> = lines
                    .rev()
                    .take(25)
                    .map(|line| line.chars().take(400).collect())
                    .collect();
                let tail: Vec<_> = tail.into_iter().rev().collect();
                let error = error.context(format!("status: {status}\noperator's log:\n{}", tail.join("\n")));
                // Should an invariant be broken as well, the stage panics, and the test's own error is lost.
                eprintln!("{error:#}");
                Err(error)
            }
        }
    }

    /// Waits until Ready's reason is `reason`, for the current generation.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn wait_for_state(&self, name: &str, reason: &str) -> anyhow::Result<UserOffboardingStatus> {
        let generation = self.offboardings().get(name).await?.metadata.generation;
        self.wait_for(name, reason, |s| {
            state(s) == reason && s.observed_generation == generation
        })
        .await
    }

    /// Binds subjects to ClusterRole `role` in a namespace, which is made if need be.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn role_binding(
        &self,
        namespace: &str,
        name: &str,
        role: &str,
        subjects: &[Value],
    ) -> anyhow::Result<RoleBinding> {
        self.cluster.ensure_namespace(namespace).await?;
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"team": "a"}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": subjects,
        }))?;
        let api = Api::namespaced(self.admin.clone(), namespace);
        self.until_watching().await?;
        let binding = api.create(&PostParams::default(), &binding).await?;
        self.until_in_force(Some(namespace), role, subjects).await?;
        self.until_indexed(&binding).await?;
        Ok(binding)
    }

    /// Binds subjects to ClusterRole `role` everywhere.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn cluster_role_binding(
        &self,
        name: &str,
        role: &str,
        subjects: &[Value],
    ) -> anyhow::Result<ClusterRoleBinding> {
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": subjects,
        }))?;
        self.until_watching().await?;
        let binding = Api::all(self.admin.clone())
            .create(&PostParams::default(), &binding)
            .await?;
        self.until_in_force(None, role, subjects).await?;
        self.until_indexed(&binding).await?;
        Ok(binding)
    }

    /// Waits until the operator, if one runs, follows bindings by watch.
    async fn until_watching(&self) -> anyhow::Result<()> {
        self.until_logged("the index of the operator", |line| {
            line.contains("the index is complete")
        })
        .await
    }

    /// Waits until the operator, if one runs, knows of a binding that was made since [`until_watching`](Self::until_watching).
    async fn until_indexed(&self, binding: &impl ResourceExt) -> anyhow::Result<()> {
        let version = binding.resource_version().unwrap_or_default();
        let (text, json) = (
            format!("resource_version=\"{version}\""),
            format!("\"resource_version\":\"{version}\""),
        );
        self.until_logged("a binding to be in the index", |line| {
            line.contains("the index took in a binding") && (line.contains(&text) || line.contains(&json))
        })
        .await
    }

    async fn until_logged(&self, what: &str, is_it: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        let Some(operator) = &self.operator else { return Ok(()) };
        eventually(what, PATIENCE, async || {
            let log = std::fs::read_to_string(operator.log())?;
            Ok(log.lines().any(&is_it).then_some(()))
        })
        .await
    }

    /// Waits until the authorizer, which follows bindings by watch, lets the first user among the subjects do what the role is known to
    /// allow. Asked by review: nothing of it looks like activity of theirs.
    async fn until_in_force(&self, namespace: Option<&str>, role: &str, subjects: &[Value]) -> anyhow::Result<()> {
        let users = subjects.iter().filter(|subject| subject["kind"] == "User");
        let user = users.filter_map(|user| user["name"].as_str()).next();
        let (Some(user), true) = (user, ["view", "edit", "admin", "cluster-admin"].contains(&role)) else {
            return Ok(());
        };
        let review: SubjectAccessReview = serde_json::from_value(json!({"metadata": {}, "spec": {
            "user": user,
            "resourceAttributes": {"verb": "get", "resource": "configmaps", "namespace": namespace},
        }}))?;
        let reviews = Api::all(self.admin.clone());
        eventually("a binding to be in force", PATIENCE, async || {
            let answer = reviews.create(&PostParams::default(), &review).await?;
            Ok(answer.status.is_some_and(|status| status.allowed).then_some(()))
        })
        .await
    }

    /// The bindings in which a User subject bears this name or `<name>-<digits>`, as `Kind namespace/name`.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn bindings_of(&self, uid: &str) -> anyhow::Result<Vec<String>> {
        let names = |subjects: &Option<Vec<k8s_openapi::api::rbac::v1::Subject>>| {
            let is_uid = |name: &str| {
                name == uid
                    || name
                        .strip_prefix(uid)
                        .and_then(|rest| rest.strip_prefix('-'))
                        .is_some_and(|ts| !ts.is_empty() && ts.bytes().all(|b| b.is_ascii_digit()))
            };
            subjects.iter().flatten().any(|s| s.kind == "User" && is_uid(&s.name))
        };
        let all = ListParams::default();
        let mut found = Vec::new();
        for binding in Api::<ClusterRoleBinding>::all(self.admin.clone()).list(&all).await? {
            if names(&binding.subjects) {
                found.push(format!(
                    "ClusterRoleBinding {}",
                    binding.metadata.name.unwrap_or_default()
                ));
            }
        }
        for binding in Api::<RoleBinding>::all(self.admin.clone()).list(&all).await? {
            if names(&binding.subjects) {
                let metadata = binding.metadata;
                found.push(format!(
                    "RoleBinding {}/{}",
                    metadata.namespace.unwrap_or_default(),
                    metadata.name.unwrap_or_default()
                ));
            }
        }
        Ok(found)
    }

    /// The backups in the operator's namespace.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn backups(&self) -> anyhow::Result<Vec<ConfigMap>> {
        let api: Api<ConfigMap> = Api::namespaced(self.admin.clone(), OPERATOR_NAMESPACE);
        Ok(api
            .list(&ListParams::default().labels("ack-offboarding.io/object-uid"))
            .await?
            .items)
    }

    /// What the API server answers to `GET path` by a client with a certificate of this name: the HTTP status.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn probe(&self, user: &str, path: &str) -> anyhow::Result<u16> {
        let client = self.cluster.user_client(user, &[])?;
        probe(&client, path).await
    }

    /// Waits until the API server answers `GET path` of a client with a certificate of this name with `status`: the authorizer follows
    /// bindings by watch, and may be a moment behind.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn until_answered(&self, user: &str, path: &str, status: u16) -> anyhow::Result<()> {
        let what = format!("GET {path} of {user} to be answered with {status}");
        eventually(&what, Duration::from_secs(10), async || {
            Ok((self.probe(user, path).await? == status).then_some(()))
        })
        .await
    }

    /// Deletes a UserOffboarding.
    ///
    /// # Errors
    /// When it cannot be deleted.
    pub async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.offboardings().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// A call as the observer knows it.
fn asked(call: &Call) -> anyhow::Result<Asked> {
    let parameters = ["uid", "UserId", "query"];
    let given = parameters.map(|name| call.parameter(name));
    Ok(Asked {
        at: Timestamp::try_from(call.at)?,
        what: match call.operation {
            Operation::SlsGetLogsV2 | Operation::SlsGetHistograms => Question::Search,
            Operation::CsListUserKubeConfigStates => Question::KubeconfigState,
            Operation::CsCleanClusterUserPermissions => Question::Purge,
            _ => Question::Other,
        },
        about: given
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or_default()
            .to_owned(),
        succeeded: call.succeeded(),
    })
}

/// Where an operator serves health and metrics, as its log says.
pub fn listens_at(log: &str) -> Option<&str> {
    let line = log.lines().find(|line| line.contains("serving /healthz"))?;
    line.split_once("address=")?.1.split_whitespace().next()
}

/// What the API server answers to `GET path`: the HTTP status.
///
/// # Errors
/// When there is no answer.
pub async fn probe(client: &Client, path: &str) -> anyhow::Result<u16> {
    let request = http::Request::get(path).body(Vec::new())?;
    match client.request_text(request).await {
        Ok(_) => Ok(200),
        Err(kube::Error::Api(status)) => Ok(status.code),
        Err(error) => Err(error.into()),
    }
}

/// How long the API server's authorizer may take to learn of a binding that came or went: it follows them by watch.
const SETTLED: Duration = Duration::from_secs(10);

/// The answer's status once it is `wanted`, or the last one if it never is.
pub(crate) async fn settled(client: &Client, path: &str, wanted: u16) -> anyhow::Result<u16> {
    let mut last = probe(client, path).await?;
    let asked = eventually(path, SETTLED, async || {
        last = probe(client, path).await?;
        Ok((last == wanted).then_some(()))
    });
    match asked.await {
        Ok(()) => Ok(wanted),
        // What was observed is what counts.
        Err(_) => Ok(last),
    }
}

/// The account of the stage: the operator's role and key, and one cluster with a log of heartbeats.
pub fn world() -> World {
    let mut key = AccessKey::new(
        ACCESS_KEY,
        ACCESS_SECRET,
        Principal::AssumedRole {
            role_id: OPERATOR_ROLE.to_owned(),
            session: "operator".to_owned(),
        },
    );
    key.security_token = Some(SECURITY_TOKEN.to_owned());
    let mut world = World {
        account_id: ACCOUNT.to_owned(),
        access_keys: vec![key],
        roles: vec![Role::new(OPERATOR_ROLE, "ack-offboarding-operator")],
        ..World::default()
    };
    world.add_cluster(AckCluster::new(CLUSTER_ID));
    world
}

/// Adds a RAM user.
pub fn add_user(sim: &Simulator, uid: &str, name: &str) {
    sim.edit(|w| w.users.push(User::new(uid, name)));
}

/// Gives a UID a kubeconfig in the stage's cluster.
pub fn issue_kubeconfig(sim: &Simulator, uid: &str, state: CertificateState) {
    sim.edit(|w| w.cluster_mut(CLUSTER_ID).map(|c| c.issue(uid, state).id.clone()));
}

/// The state of a UID's kubeconfig in the stage's cluster.
pub fn kubeconfig_state(sim: &Simulator, uid: &str) -> Option<CertificateState> {
    sim.read(|w| w.cluster(CLUSTER_ID)?.certificates.get(uid).map(|c| c.state))
}

/// A subject of kind User.
pub fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

/// Ready's reason; `""` before the first visit.
pub fn state(status: &UserOffboardingStatus) -> &str {
    let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
    ready.map_or("", |c| c.reason.as_str())
}

/// `Status/Reason` of a condition; `""` if it is missing.
pub fn condition(status: &UserOffboardingStatus, type_: &str) -> String {
    use ack_offboarding_operator::api::ConditionType;
    let found = ConditionType::parse(type_).and_then(|t| conditions::find(&status.conditions, t));
    found.map(|c| format!("{}/{}", c.status, c.reason)).unwrap_or_default()
}

/// The operator's binary, built once for each process if it is not up to date.
///
/// # Errors
/// When it does not build.
pub fn operator_binary(release: bool) -> anyhow::Result<PathBuf> {
    static BUILT: [OnceLock<Result<PathBuf, String>>; 2] = [const { OnceLock::new() }; 2];
    let built = BUILT[usize::from(release)].get_or_init(|| build(release).map_err(|e| format!("{e:#}")));
    built
        .clone()
        .map_err(|message| anyhow::anyhow!("the operator does not build: {message}"))
}

/// The kubectl plugin's binary, built once for each process if it is not up to date.
///
/// # Errors
/// When it does not build.
pub fn plugin_binary() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        anyhow::Ok(
            cargo("kubectl-ack-offboard", "kubectl-ack_offboard")?
                .run()?
                .path()
                .to_owned(),
        )
    };
    let built = BUILT.get_or_init(|| build().map_err(|e| format!("{e:#}")));
    built
        .clone()
        .map_err(|message| anyhow::anyhow!("the plugin does not build: {message}"))
}

fn build(release: bool) -> anyhow::Result<PathBuf> {
    let mut cargo = cargo("ack-offboarding-operator", "ack-offboarding-operator")?;
    if release {
        cargo = cargo.release();
    }
    Ok(cargo.run()?.path().to_owned())
}

/// The build of a package's program, as it is built by the commands that people run: nothing is built twice.
fn cargo(package: &str, program: &str) -> anyhow::Result<escargot::CargoBuild> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the workspace's folder")?;
    // Both packages, so that dependencies have the features that the tests' own build gave them.
    let mut cargo = escargot::CargoBuild::new()
        .manifest_path(root.join("Cargo.toml"))
        .package(package)
        .arg("--package=ack-offboarding-e2e")
        .bin(program);
    // What `cargo test` and `cargo run` tell this process of its own package: ring's build script watches these, and with it all that needs
    // ring would be built again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|of| text.starts_with(of))
        {
            cargo = cargo.env_remove(&name);
        }
    }
    Ok(cargo)
}

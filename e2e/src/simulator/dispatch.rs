//! From a request to its answer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use kube::config::{KubeConfigOptions, Kubeconfig};

use super::calls::{Call, Calls, Operation, Service};
use super::faults::{self, Fault, FaultKind};
use super::message::{Incoming, Refusal, Reply};
use super::route::{Target, access_key, target};
use super::services::{cs, ims, ram, sls, sts};
use super::sign::{self, Nonces};
use super::world::{AccessKey, World};
use super::{lock, now, purge, random_hex};

/// Everything that a running simulator holds.
pub(crate) struct State {
    pub(crate) world: Mutex<World>,
    pub(crate) calls: Calls,
    pub(crate) faults: Mutex<Vec<Fault>>,
    pub(crate) kubeconfigs: Mutex<HashMap<String, PathBuf>>,
    /// What DescribeClusterUserKubeconfig hands out: by cluster and by the caller's ID.
    pub(crate) user_kubeconfigs: Mutex<HashMap<(String, String), PathBuf>>,
    nonces: Nonces,
}

/// How a request ends.
pub(crate) enum Outcome {
    Answer(Reply),
    /// The answer breaks off in the middle.
    Truncated(Reply),
    /// The connection is closed without an answer.
    Cut,
}

impl State {
    pub(crate) fn new(world: World) -> Arc<Self> {
        Arc::new(Self {
            world: Mutex::new(world),
            calls: Calls::new(),
            faults: Mutex::default(),
            kubeconfigs: Mutex::default(),
            user_kubeconfigs: Mutex::default(),
            nonces: Nonces::default(),
        })
    }

    /// Answers a request, and notes it.
    pub(crate) async fn handle(self: &Arc<Self>, request: Incoming) -> Outcome {
        let target = target(&request);
        let call = self.calls.begin(Call {
            at: SystemTime::now(),
            operation: target.operation,
            method: request.method.clone(),
            path: request.path.clone(),
            parameters: target.parameters.clone(),
            access_key: access_key(&request),
            status: None,
            code: None,
            done: false,
        });
        // In a task of its own: a real service finishes what it began, also when the client has gone.
        let state = Arc::clone(self);
        let work = tokio::spawn(async move {
            let outcome = state.work(&target, &request).await;
            let (status, code) = match &outcome {
                Outcome::Answer(reply) | Outcome::Truncated(reply) => (Some(reply.status), reply.code.clone()),
                Outcome::Cut => (None, None),
            };
            tracing::debug!(operation = ?target.operation, parameters = ?target.parameters, status, code, "call");
            state.calls.end(call, status, code);
            outcome
        });
        work.await.unwrap_or(Outcome::Cut)
    }

    async fn work(&self, target: &Target, request: &Incoming) -> Outcome {
        let id = request_id();
        let refused =
            |refusal: &Refusal| Outcome::Answer(finish(refusal.reply(target.service, &id), target.service, &id));
        let caller = match self.authenticate(target, request) {
            Ok(caller) => caller,
            Err(refusal) => return refused(&refusal),
        };
        let fault = faults::take(&mut lock(&self.faults), target);
        match &fault {
            Some(FaultKind::Hang) => std::future::pending().await,
            Some(FaultKind::Latency(time)) => tokio::time::sleep(*time).await,
            Some(FaultKind::CutBefore) => return Outcome::Cut,
            Some(kind) => {
                if let Some(reply) = kind.reply(target.service, &id) {
                    return Outcome::Answer(finish(reply, target.service, &id));
                }
            }
            None => {}
        }
        let served = self.serve(target, request, caller.as_ref(), &id).await;
        let mut reply = served.unwrap_or_else(|refusal| refusal.reply(target.service, &id));
        if let Some(FaultKind::Page(fault)) = fault.as_ref().filter(|_| reply.status == 200) {
            let before = match fault.asks(request) {
                Some(request) => self.serve(target, &request, caller.as_ref(), &id).await.ok(),
                None => None,
            };
            reply = fault.spoil(reply, before);
        }
        let ahead = lock(&self.world).clock_ahead_seconds;
        let reply = match u64::try_from(ahead) {
            Ok(0) => reply,
            Ok(ahead) => reply.with_header(
                "date",
                httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(ahead)),
            ),
            Err(_) => {
                let behind = Duration::from_secs(ahead.unsigned_abs());
                reply.with_header("date", httpdate::fmt_http_date(SystemTime::now() - behind))
            }
        };
        let mut reply = finish(reply, target.service, &id);
        match fault {
            Some(FaultKind::CutAfter) => Outcome::Cut,
            Some(FaultKind::TruncatedBody) => Outcome::Truncated(reply),
            Some(FaultKind::EmptyBody) => {
                (reply.status, reply.code) = (200, None);
                reply.body.clear();
                Outcome::Answer(reply)
            }
            _ => Outcome::Answer(reply),
        }
    }

    /// Who sent it; nobody, for the one operation that is not signed.
    fn authenticate(&self, target: &Target, request: &Incoming) -> Result<Option<AccessKey>, Refusal> {
        let world = lock(&self.world);
        match (target.operation, target.service) {
            (Operation::StsAssumeRoleWithOidc, _) => Ok(None),
            (_, Service::Sls) => sign::sls4(request, &world, now() + world.clock_ahead_seconds).map(Some),
            _ => sign::acs3(request, &world, &self.nonces, now() + world.clock_ahead_seconds).map(Some),
        }
    }

    async fn serve(
        &self,
        target: &Target,
        request: &Incoming,
        caller: Option<&AccessKey>,
        id: &str,
    ) -> Result<Reply, Refusal> {
        use Operation as O;
        let parameter = |name: &str| target.parameters.get(name).map_or("", String::as_str);
        let (Some(caller), O::CsCleanClusterUserPermissions) = (caller, target.operation) else {
            let mut world = lock(&self.world);
            let world = &mut *world;
            let rpc = request.parameters();
            let (project, logstore) = (parameter("project"), parameter("logstore"));
            let mut answer = match target.operation {
                O::StsGetCallerIdentity => caller
                    .map(|caller| sts::get_caller_identity(world, caller))
                    .unwrap_or_default(),
                O::StsAssumeRoleWithOidc => sts::assume_role_with_oidc(world, &rpc)?,
                O::ImsGetUser => ims::get_user(world, &rpc)?,
                O::ImsGetUserInRecycleBin => ims::get_user_in_recycle_bin(world, &rpc)?,
                O::ImsListUsers => ims::list_users(world, &rpc)?,
                O::ImsListUsersInRecycleBin => ims::list_users_in_recycle_bin(world, &rpc)?,
                O::RamListRoles => ram::list_roles(world, &rpc)?,
                O::RamListUsers => ram::list_users(world, &rpc)?,
                O::RamGetUser => ram::get_user(world, &rpc)?,
                O::RamGetRole => ram::get_role(world, &rpc)?,
                O::CsGetClusterAuditProject => cs::get_cluster_audit_project(world, parameter("cluster"))?,
                O::CsListUserKubeConfigStates => cs::list_user_kube_config_states(world, parameter("uid"), request)?,
                O::CsDescribeUserPermission => caller
                    .map(|caller| cs::describe_user_permission(world, parameter("uid"), caller))
                    .unwrap_or_default(),
                O::CsListClusterKubeconfigStates => {
                    cs::list_cluster_kubeconfig_states(world, parameter("cluster"), request)?
                }
                O::CsDescribeClusterUserKubeconfig => {
                    let cluster = cs::cluster(world, parameter("cluster"))?.id.clone();
                    let own = caller.map(|caller| caller.principal.id(&world.account_id).to_owned());
                    let path = lock(&self.user_kubeconfigs)
                        .get(&(cluster, own.unwrap_or_default()))
                        .cloned();
                    cs::describe_cluster_user_kubeconfig(world, path.as_deref(), request)?
                }
                O::CsDescribeClustersV1 => cs::describe_clusters_v1(world, request)?,
                O::SlsGetLogsV2 => return sls::get_logs_v2(world, project, logstore, request),
                O::SlsGetLogStore => return sls::get_log_store(world, project, logstore),
                O::SlsGetIndex => return sls::get_index(world, project, logstore),
                O::SlsGetHistograms => return sls::get_histograms(world, project, logstore, request),
                O::CsCleanClusterUserPermissions | O::Unknown => {
                    return Err(Refusal::new(
                        404,
                        "Simulated.UnknownOperation",
                        "the simulator does not serve this",
                    ));
                }
            };
            if matches!(target.service, Service::Sts | Service::Ims | Service::Ram) {
                answer["RequestId"] = id.into();
            }
            return Ok(Reply::json(&answer));
        };
        self.purge(
            parameter("cluster"),
            parameter("uid"),
            parameter("force") == "true",
            caller,
        )
        .await?;
        Ok(Reply::json(&serde_json::json!({})))
    }

    async fn purge(&self, cluster: &str, uid: &str, force: bool, caller: &AccessKey) -> Result<(), Refusal> {
        let behaviour = {
            let world = lock(&self.world);
            purge::check(&world, caller, cluster, uid, force)?;
            world.purge.clone()
        };
        let kubeconfig = lock(&self.kubeconfigs).get(cluster).cloned();
        if let Some(path) = kubeconfig {
            let deleted = async {
                let client = client(&path).await?;
                anyhow::Ok(purge::delete_bindings(client, uid, &behaviour).await?)
            };
            let deleted = deleted.await.map_err(|error| {
                tracing::warn!("the purge of {uid} failed: {error:#}");
                Refusal::new(500, "InternalError", "the cluster's API server cannot be used")
            })?;
            tracing::info!(uid, cluster, deleted, "purged");
        }
        purge::revoke(&self.world, cluster, uid);
        Ok(())
    }
}

/// A client for the API server, read anew each time: a test may restart it on another port.
async fn client(kubeconfig: &std::path::Path) -> anyhow::Result<kube::Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.read_timeout = Some(std::time::Duration::from_secs(30));
    Ok(kube::Client::try_from(config)?)
}

/// The headers that every answer of the service has.
fn finish(reply: Reply, service: Service, id: &str) -> Reply {
    match service {
        Service::Sls => reply
            .with_header("x-log-requestid", id)
            .with_header("server", "Tengine"),
        _ => reply.with_header("x-acs-request-id", id),
    }
}

fn request_id() -> String {
    let hex = random_hex(16).to_uppercase();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

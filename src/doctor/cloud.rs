//! Alibaba Cloud: is it there, does it know us, and may we do what we need to?

use super::{
    audit,
    report::{Check, Outcome},
};
use crate::sources::{Account, AckCluster, activity::LogstoreRef, advice};
use alibaba_cloud::{
    Cloud, Uid,
    ack::Grant,
    error::{ApiError, ErrorKind, Service},
    sls::LogQuery,
    sts::CallerIdentity,
};
use k8s_openapi::jiff::Timestamp;
use std::time::{Duration, SystemTime};

/// The action that purges a kubeconfig.
const PURGE_ACTION: &str = "cs:CleanClusterUserPermissions";
/// The action that only this check needs.
const GRANTS_ACTION: &str = "cs:GetUserPermissions";

const CREDENTIALS: &str = "credentials";
const CLOCK: &str = "clock";
const ACCOUNT: &str = "account of the credentials";
const KNOWN: &str = "cluster known to ACK";
const ADMINISTRATOR: &str = "RBAC administrator in ACK";

/// The services refuse requests from 15 minutes on; who is further off than this will be there some day.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);
/// A name that is looked up to see whether that is allowed; whether it exists is no matter.
const ANY_NAME: &str = "ack-offboarding-operator";

/// Checks all that is about the cloud. Without a context, the cluster's ID and account are not known.
pub(super) async fn checks(cloud: &Cloud, known: Option<(Account, AckCluster)>) -> Vec<Check> {
    let caller = async { (cloud.sts.get_caller_identity_and_time().await, SystemTime::now()) };
    let (reached, sls, (caller, asked_at)) = tokio::join!(
        cloud.reach(),
        sls(cloud, known.as_ref().map(|(_, cluster)| cluster)),
        caller
    );
    let reached: Vec<_> = reached.into_iter().chain(sls.map(|sls| (Service::Sls, sls))).collect();
    let is_down = |(service, reached): &(Service, Result<String, ApiError>)| reached.is_err().then_some(*service);
    let down: Vec<Service> = reached.iter().filter_map(is_down).collect();
    let down = Down(&down);
    let mut checks: Vec<Check> = reached.into_iter().map(endpoint).collect();
    if known.is_none() {
        checks.push(Check::untried(
            "endpoint of SLS",
            "each project has its own, and the cluster is unknown",
        ));
    }
    let caller = match caller {
        Ok((caller, time)) => {
            checks.push(Check::ok(
                CREDENTIALS,
                format!("{} {}", caller.identity_type, caller.arn),
            ));
            checks.push(clock(time, asked_at));
            caller
        }
        Err(error) if error.is_about_the_clock() => {
            checks.push(Check::failed(CLOCK, &error, advice::of(&error)));
            checks.push(Check::untried(CREDENTIALS, "the clock is wrong"));
            checks.push(Check::untried("account, RAM actions, audit log", "the clock is wrong"));
            return checks;
        }
        Err(error) => {
            checks.push(down.failed(CREDENTIALS, &error));
            let why = "the credentials could not be verified";
            checks.push(Check::untried("clock, account, RAM actions, audit log", why));
            return checks;
        }
    };
    let Some((of, cluster)) = known else {
        let why = "the cluster's ID and account are unknown";
        checks.push(Check::untried("account, RAM actions, audit log", why));
        return checks;
    };
    let account = account(&caller, of.id());
    let same = account.outcome == Outcome::Ok;
    checks.push(account);
    if !same {
        let why = "the answers for another account would prove nothing";
        checks.push(Check::untried("RAM actions, audit log", why));
        return checks;
    }
    let uid = own_uid(&caller);
    let audit = async {
        match [Service::Ack, Service::Sls]
            .into_iter()
            .find(|service| down.has(*service))
        {
            None => audit::checks(cluster.log()).await,
            Some(service) => (
                audit::untried(&format!("the endpoint of {service} does not answer")),
                None,
            ),
        }
    };
    let (identities, kubeconfigs, administrator, (audit, place)) = tokio::join!(
        identities(cloud, down, uid),
        kubeconfigs(&cluster, down, uid),
        administrator(&cluster, down, &caller, uid),
        audit
    );
    let [known, ..] = &kubeconfigs;
    let administrator = match known.outcome {
        Outcome::Failed => Check::untried(ADMINISTRATOR, "ACK does not know the cluster"),
        _ => administrator,
    };
    checks.extend(identities);
    checks.extend(kubeconfigs);
    checks.extend(logs(cloud, down, place.as_ref()).await);
    checks.push(Check::untried(
        action(PURGE_ACTION),
        "trying it would purge a kubeconfig; if it is missing, the first offboarding reports it (KubeconfigPurged)",
    ));
    checks.push(administrator);
    checks.extend(audit);
    checks
}

/// Whether the audit log's project can be reached; its usual name where ACK does not say which it is. None if the cluster is not known.
async fn sls(cloud: &Cloud, cluster: Option<&AckCluster>) -> Option<Result<String, ApiError>> {
    let cluster = cluster?.id();
    let audit = cloud.ack.get_cluster_audit_project(cluster).await;
    let project = audit.ok().and_then(|audit| audit.project);
    let project = project.unwrap_or_else(|| format!("k8s-log-{cluster}"));
    Some(cloud.sls.reach(&project).await)
}

fn endpoint((service, reached): (Service, Result<String, ApiError>)) -> Check {
    let name = format!("endpoint of {service}");
    match reached {
        Ok(url) => Check::ok(name, format!("{url} answers")),
        Err(error) => Down(&[]).failed(name, &error),
    }
}

/// The services whose endpoint does not answer: what else fails there is a consequence.
#[derive(Clone, Copy)]
struct Down<'a>(&'a [Service]);

impl Down<'_> {
    fn has(self, service: Service) -> bool {
        self.0.contains(&service)
    }

    /// A failed call, with what to do about it.
    fn failed(self, check: impl Into<String>, error: &ApiError) -> Check {
        if self.has(error.service) {
            return Check::untried(check, format!("the endpoint of {} does not answer", error.service));
        }
        Check::failed(check, error, super::report::or_try_again(advice::of(error)))
    }

    /// An action was tried; that there is no such user or role is an answer too.
    fn tried<T>(self, name: &str, outcome: Result<T, ApiError>) -> Check {
        match outcome {
            Ok(_) => Check::ok(action(name), "granted"),
            Err(error) if error.says_no_entity() => Check::ok(action(name), "granted"),
            // It may have been refused, had it been there.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::ClusterNotFound) => {
                Check::untried(action(name), error)
            }
            Err(error) if error.kind == ErrorKind::Forbidden => {
                let fix =
                    format!("Add {name} to the RAM policy of the operator's role (docs/ram-policy.json has them all).");
                Check::failed(action(name), error, fix)
            }
            Err(error) => self.failed(action(name), &error),
        }
    }
}

fn clock(theirs: Option<SystemTime>, ours: SystemTime) -> Check {
    let Some(theirs) = theirs else {
        return Check::untried(
            CLOCK,
            "STS did not send its time; it accepts the operator's within 15 minutes",
        );
    };
    let (apart, which) = match theirs.duration_since(ours) {
        Ok(behind) => (behind, "behind"),
        Err(ahead) => (ahead.duration(), "ahead of"),
    };
    let seconds = apart.as_secs();
    if apart <= CLOCK_TOLERANCE {
        return Check::ok(CLOCK, format!("within {} s of Alibaba Cloud's", seconds + 1));
    }
    Check::failed(
        CLOCK,
        format!("{seconds} s {which} Alibaba Cloud's; it refuses requests that are 900 s or more off"),
        "Correct the node's clock (NTP).",
    )
}

fn account(caller: &CallerIdentity, expected: &str) -> Check {
    if caller.account_id == expected {
        return Check::ok(ACCOUNT, format!("{expected}, the same as the cluster's"));
    }
    Check::failed(
        ACCOUNT,
        format!(
            "the credentials belong to account {}, but the cluster belongs to account {expected}: every UID would look deleted",
            caller.account_id
        ),
        format!("Use a RAM role, or a key, of account {expected}."),
    )
}

/// The caller's own ID, to look up: it harms nobody.
fn own_uid(caller: &CallerIdentity) -> Option<Uid> {
    let id = caller
        .role_id
        .as_ref()
        .or(caller.user_id.as_ref())
        .unwrap_or(&caller.account_id);
    id.parse().ok()
}

fn action(name: &str) -> String {
    format!("RAM action {name}")
}

async fn identities(cloud: &Cloud, down: Down<'_>, uid: Option<Uid>) -> Vec<Check> {
    let no_uid = "the caller has no ID to look up";
    let by_uid = async {
        let Some(uid) = uid else {
            return ["ims:GetUser", "ram:GetUserInRecycleBin"].map(|name| Check::untried(action(name), no_uid));
        };
        let (user, recycled) = tokio::join!(cloud.ims.get_user(uid), cloud.ims.get_user_in_recycle_bin(uid));
        [
            down.tried("ims:GetUser", user),
            down.tried("ram:GetUserInRecycleBin", recycled),
        ]
    };
    let (by_uid, user, roles, role) = tokio::join!(
        by_uid,
        cloud.ram.get_user(ANY_NAME),
        cloud.ram.list_roles(),
        cloud.ram.get_role(ANY_NAME)
    );
    let by_name = [
        down.tried("ram:GetUser", user),
        down.tried("ram:ListRoles", roles),
        down.tried("ram:GetRole", role),
    ];
    by_uid.into_iter().chain(by_name).collect()
}

/// Whether ACK knows the cluster, and the two actions that read from it.
async fn kubeconfigs(cluster: &AckCluster, down: Down<'_>, uid: Option<Uid>) -> [Check; 3] {
    let (ack, cluster) = (cluster.ack(), cluster.id());
    let states = async {
        let name = "cs:ListUserKubeConfigStates";
        match uid {
            Some(uid) => down.tried(name, ack.list_user_kubeconfig_states(uid).await),
            None => Check::untried(action(name), "the caller has no ID to look up"),
        }
    };
    let (states, project) = tokio::join!(states, ack.get_cluster_audit_project(cluster));
    let known = match &project {
        Ok(_) => Check::ok(KNOWN, cluster),
        Err(error) if error.kind == ErrorKind::ClusterNotFound => Check::failed(
            KNOWN,
            error,
            "Check the cluster's ID (kube-system/ack-cluster-profile, --cluster-id) and its region (--region).",
        ),
        Err(_) => Check::untried(KNOWN, "ACK did not say"),
    };
    [known, states, down.tried("cs:GetClusterAuditProject", project)]
}

async fn administrator(of: &AckCluster, down: Down<'_>, caller: &CallerIdentity, uid: Option<Uid>) -> Check {
    let cluster = of.id();
    if caller.identity_type == "Account" {
        return Check::ok(ADMINISTRATOR, "the account itself is an administrator");
    }
    let Some(uid) = uid else {
        return Check::untried(ADMINISTRATOR, "the caller has no ID to look up");
    };
    let fix = format!(
        "In the ACK console (Authorizations), grant {} the predefined administrator role on this cluster.",
        caller.arn
    );
    match of.ack().describe_user_permission(uid).await {
        Ok(grants) if grants.iter().any(|grant| grant.is_administrator_of(cluster)) => {
            Check::ok(ADMINISTRATOR, format!("{uid} is an RBAC administrator"))
        }
        Ok(grants) => {
            let here = |grant: &&Grant| grant.resource_id.starts_with(cluster);
            let roles: Vec<_> = grants
                .iter()
                .filter(here)
                .map(|grant| grant.role_type.as_str())
                .collect();
            let has = match roles.is_empty() {
                true => "nothing that the operator can see".to_owned(),
                false => roles.join(", "),
            };
            let found = format!(
                "ACK has granted {has} to {uid} in this cluster, but purges kubeconfigs for administrators only"
            );
            Check::failed(ADMINISTRATOR, found, fix)
        }
        Err(error) if error.kind == ErrorKind::Forbidden => Check::untried(
            ADMINISTRATOR,
            format!(
                "check it in the ACK console (Authorizations): {error}. This check needs {GRANTS_ACTION}; everything else works without \
                 it"
            ),
        ),
        Err(error) => down.failed(ADMINISTRATOR, &error),
    }
}

async fn logs(cloud: &Cloud, down: Down<'_>, place: Option<&LogstoreRef>) -> Vec<Check> {
    let names = [
        "log:GetLogStore",
        "log:GetIndex",
        "log:GetLogStoreHistogram",
        "log:GetLogStoreLogs",
    ];
    let Some(LogstoreRef { project, logstore }) = place else {
        return names
            .map(|name| Check::untried(action(name), "it is not known where the audit log is"))
            .into();
    };
    let sls = &cloud.sls;
    let to = Timestamp::now().as_second();
    let query = LogQuery {
        from: to - 60,
        to,
        query: "*".to_owned(),
        line: 1,
        offset: 0,
        reverse: false,
    };
    let (store, index, histogram, found) = tokio::join!(
        sls.get_logstore(project, logstore),
        sls.get_index(project, logstore),
        sls.get_histograms(project, logstore, query.from, query.to, &query.query),
        sls.get_logs(project, logstore, &query)
    );
    let [store_name, index_name, histogram_name, logs_name] = names;
    vec![
        down.tried(store_name, store),
        down.tried(index_name, index),
        down.tried(histogram_name, histogram),
        down.tried(logs_name, found),
    ]
}

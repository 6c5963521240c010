//! Checks, before first use, everything that the operator needs: item by item, each with what to do about it.
//!
//! ```text
//!          ┌─ cluster   the API server, the CRD, the barrier, the admission policies, a place for backups ── permissions   RBAC
//! doctor ──┤
//!          └─ cloud     endpoints, credentials, clock, account, RAM actions, RBAC administrator ── audit   the audit log
//! ```
//!
//! It changes nothing: what can only be tried by writing is tried as a dry run, and what cannot be tried so is said to be untried. A
//! check whose precondition failed is untried as well, so that what failed is the cause and not its consequences.

mod audit;
mod cloud;
mod cluster;
mod permissions;
mod report;

pub use permissions::{Permission, permissions};
pub use report::Report;

use crate::{
    offboarding::settings::Settings,
    operator::{clients, settings::RunArgs},
    sources::{
        Account, AckCluster,
        activity::audit_log::{AuditLog, Caller},
    },
};
use alibaba_cloud::{Cloud, CloudSettings, Timeouts};
use kube::Client;
use report::Check;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Tries of a call: one that a service throttles is made once more, and one to a place that is not there is not made for long.
const TRIES: u32 = 2;
/// The longest that one try may take.
const LONGEST_TRY: Duration = Duration::from_secs(10);

/// Checks everything. What it needs is what `run` is given.
pub async fn examine(args: &RunArgs) -> Report {
    let began = Instant::now();
    let mut report = Report::default();
    let client = match clients::connect(args.kubeconfig.as_deref()).await {
        Ok(clients) => Some(clients.request),
        Err(error) => {
            let fix = "Pass a kubeconfig of the operator's ServiceAccount (--kubeconfig), or run in a pod that uses this \
             ServiceAccount.";
            report.add(Check::failed("API server", error, fix));
            None
        }
    };
    let connected = connect(args);
    let reachable = match &client {
        Some(client) => {
            let (check, answers) = cluster::api_server(client).await;
            report.add(check);
            answers
        }
        None => false,
    };
    let settings = match &client {
        Some(client) if reachable => match args.complete(client).await {
            Ok(settings) => {
                let Settings {
                    cluster_id, account_id, ..
                } = &settings;
                report.add(Check::ok(
                    "cluster and account",
                    format!("cluster {cluster_id} of account {account_id}"),
                ));
                Some(settings)
            }
            Err(error) => {
                let fix = "Follow the message (in the Helm chart: cluster.id, cluster.accountId). On an ACK cluster neither needs \
                 to be set.";
                report.add(Check::failed("cluster and account", error, fix));
                None
            }
        },
        _ => {
            report.add(Check::untried("cluster and account", "the API server does not answer"));
            None
        }
    };

    let in_cluster = async {
        match &client {
            Some(client) if reachable => cluster::checks(client, args).await,
            _ => vec![Check::untried("the cluster", "the API server does not answer")],
        }
    };
    let in_cloud = async {
        match connected {
            Ok(cloud) => cloud::checks(&cloud, sources(client.as_ref(), &cloud, settings.as_ref())).await,
            Err(check) => vec![*check, Check::untried("Alibaba Cloud", "the settings are invalid")],
        }
    };
    let (in_cluster, in_cloud) = tokio::join!(in_cluster, in_cloud);
    in_cluster.into_iter().chain(in_cloud).for_each(|check| {
        report.add(check);
    });
    report.took(began.elapsed());
    report
}

/// The clients of the cloud, if the settings serve.
fn connect(args: &RunArgs) -> Result<Cloud, Box<Check>> {
    let failed = |error: &dyn std::fmt::Display, fix| Box::new(Check::failed("settings", error, fix));
    let mut settings: CloudSettings = args
        .cloud()
        .map_err(|error| failed(&error, "Set the cluster's region (in the Helm chart: cluster.region)."))?;
    // Patience is for those who work; `helm test` waits for five minutes.
    settings.timeouts = Timeouts::of(settings.timeouts.attempt.min(LONGEST_TRY));
    settings.timeouts.tries = TRIES;
    Cloud::connect(&settings, Arc::new(())).map_err(|error| {
        let fix = "Correct the setting named here (in the Helm chart: credentials, endpoints, cluster.region, cluster.network).";
        failed(&error, fix)
    })
}

/// The account and the cluster, as an offboarding asks about them.
fn sources(client: Option<&Client>, cloud: &Cloud, settings: Option<&Settings>) -> Option<(Account, AckCluster)> {
    let (client, settings) = client.zip(settings)?;
    let own = Caller::new(client.clone(), settings.barrier.cluster_role_binding.clone());
    let log = AuditLog::new(cloud.clone(), settings.cluster_id.clone(), Some(own));
    Some((
        Account::new(cloud.clone(), settings.account_id.clone()),
        AckCluster::new(cloud.clone(), settings.cluster_id.clone(), log),
    ))
}

//! `scan --direct`: where no operator runs, with the person's own credentials of Alibaba Cloud.

use super::scan::{Findings, is_asked_for};
use crate::{
    cli::ScanArgs,
    cloud,
    cluster::{Cluster, said},
    exit::{Exit, Failure, Outcome},
    output,
};
use ack_offboarding_operator::{
    api::scan::{Include, ScanReason},
    scan::direct::{self, AckIdentity, NotScanned},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use std::fmt;

/// Shows it.
///
/// # Errors
/// When it is not known which cluster it is, a question is refused, or a listing is not whole.
pub(super) async fn run(cluster: &Cluster, args: &ScanArgs) -> Outcome {
    let cloud = cloud::connect(&args.cloud).await?;
    let identity = identity(cluster, args.cluster_id.as_deref(), args.account_id.as_deref())
        .await
        .map_err(|nameless| Failure::usage(format!("{nameless} Name it: {}=ID.", nameless.flag)))?;
    if output::is_live() {
        output::note(format!("Scanning cluster {} …", identity.cluster_id));
    }
    let include = include(args.all, args.uid.as_deref());
    let scanned = direct::direct(&cluster.client, &cloud, &identity, include)
        .await
        .map_err(failed)?;
    let now = Timestamp::now();
    let found = scanned.findings.into_iter();
    let shown = Findings {
        scanned_at: Time(now),
        truncated: false,
        gaps: scanned.gaps.iter().map(|gap| output::clean(gap)).collect(),
        items: found
            .filter(|finding| is_asked_for(finding, args.all, args.uid.as_deref()))
            .collect(),
        now,
    };
    output::show(args.output.output, &shown)?;
    for gap in &shown.gaps {
        output::warn(gap);
    }
    if shown.items.is_empty() {
        output::note("Nobody was found.");
    }
    Ok(match shown.items.is_empty() {
        true => Exit::Done,
        false => Exit::Found,
    })
}

/// Who is looked for: who is asked for by UID may be anybody.
pub(super) fn include(all: bool, uid: Option<&str>) -> Include {
    match all || uid.is_some() {
        true => Include::All,
        false => Include::Deleted,
    }
}

/// Why it is not known which ACK cluster it is, or whose.
pub(super) struct Nameless {
    what: &'static str,
    why: String,
    /// What would say it.
    pub(super) flag: &'static str,
    /// Why the cluster did not say it, if it was asked and did not answer.
    pub(super) error: Option<kube::Error>,
}

impl fmt::Display for Nameless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is not known {}: {}.", self.what, self.why)
    }
}

/// Which ACK cluster it is, and whose: what is known, else what the cluster itself says.
///
/// # Errors
/// When neither says it.
pub(super) async fn identity(
    cluster: &Cluster,
    cluster_id: Option<&str>,
    account_id: Option<&str>,
) -> Result<AckIdentity, Nameless> {
    let profile = match (cluster_id, account_id) {
        (Some(_), Some(_)) => Ok((None, None)),
        _ => direct::profile(&cluster.client).await,
    };
    let why = match &profile {
        Ok(_) => "ConfigMap kube-system/ack-cluster-profile does not say it".to_owned(),
        Err(error) => format!(
            "ConfigMap kube-system/ack-cluster-profile cannot be read: {}",
            said(error)
        ),
    };
    let ((own_id, own_account), error) = match profile {
        Ok(own) => (own, None),
        Err(error) => ((None, None), Some(error)),
    };
    let nameless = |what, flag| Nameless { what, why, flag, error };
    let known = |said: Option<&str>, own: Option<String>| said.map(str::to_owned).or(own);
    match (known(cluster_id, own_id), known(account_id, own_account)) {
        (Some(cluster_id), Some(account_id)) => Ok(AckIdentity { cluster_id, account_id }),
        (None, _) => Err(nameless("which ACK cluster this is", "--cluster-id")),
        (Some(_), None) => Err(nameless("which account the cluster belongs to", "--account-id")),
    }
}

/// Why nothing is known, and what the person can do about it.
pub(super) fn failed(why: NotScanned) -> Failure {
    let next = match why.reason {
        ScanReason::CredentialsRejected => " Renew your Alibaba Cloud credentials, or choose others: --profile.",
        ScanReason::Forbidden => {
            " `kubectl ack-offboard scan --help` lists what your credentials and your kubeconfig must allow."
        }
        ScanReason::ClusterNotFound => " Check --cluster-id and --region.",
        ScanReason::ListingIncomplete | ScanReason::LookupFailed => " Try again.",
        _ => "",
    };
    Failure::new(format!(
        "nobody is called deleted, as it is not known who exists: {}{next}",
        output::clean(&why.message)
    ))
}

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

/// Shows it.
///
/// # Errors
/// When it is not known which cluster it is, a question is refused, or a listing is not whole.
pub(super) async fn run(cluster: &Cluster, args: &ScanArgs) -> Outcome {
    let cloud = cloud::connect(&args.cloud).await?;
    let identity = identity(cluster, args).await?;
    if output::is_live() {
        output::note(format!("Scanning cluster {} …", identity.cluster_id));
    }
    // Who is asked for by UID may be anybody.
    let include = match args.all || args.uid.is_some() {
        true => Include::All,
        false => Include::Deleted,
    };
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

/// Which ACK cluster it is, and whose: what the flags say, else the cluster itself.
async fn identity(cluster: &Cluster, args: &ScanArgs) -> Result<AckIdentity, Failure> {
    let profile = match (&args.cluster_id, &args.account_id) {
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
    let (cluster_id, account_id) = profile.unwrap_or_default();
    let known = |flag: &Option<String>, own: Option<String>, what: &str, name: &str| {
        flag.clone()
            .or(own)
            .ok_or_else(|| Failure::usage(format!("it is not known {what}: {why}. Name it: {name}=ID.")))
    };
    Ok(AckIdentity {
        cluster_id: known(
            &args.cluster_id,
            cluster_id,
            "which ACK cluster this is",
            "--cluster-id",
        )?,
        account_id: known(
            &args.account_id,
            account_id,
            "which account the cluster belongs to",
            "--account-id",
        )?,
    })
}

/// Why nothing is known, and what the person can do about it.
fn failed(why: NotScanned) -> Failure {
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

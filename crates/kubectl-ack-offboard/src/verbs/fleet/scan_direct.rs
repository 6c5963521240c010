//! `fleet scan --direct`: where no operators run, with the person's own credentials of Alibaba Cloud. Users and roles are listed once for all
//! clusters.

use crate::{
    cli::ManyArgs,
    cloud,
    cluster::{Cluster, Role},
    exit::{Failure, NotCovered},
    fleet::{
        crew::Crew,
        member::Member,
        result::{ClusterResult, Ended, Gap},
    },
    output::{self, clean},
    verbs::{
        scan::is_asked_for,
        scan_direct::{self, Nameless},
    },
};
use ack_offboarding_operator::{
    api::scan::ScanReason,
    scan::direct::{self, AckIdentity, Everyone},
};
use alibaba_cloud::Cloud;
use k8s_openapi::jiff::Timestamp;
use std::collections::HashMap;

/// The account, and whom it has.
pub(super) struct Direct<'a> {
    cloud: Cloud,
    many: &'a ManyArgs,
    everyone: Everyone,
    /// The regions of the account's clusters, by ID; or why they are not known.
    regions: Result<HashMap<String, String>, String>,
}

impl<'a> Direct<'a> {
    /// Lists users and roles: of the account whose credentials are used. `cloud` are its clients, if it was asked before.
    ///
    /// # Errors
    /// When there are no credentials, or a listing is not whole.
    pub(super) async fn list(cloud: Option<Cloud>, many: &'a ManyArgs) -> Result<Self, Failure> {
        // Whose clusters were listed knows their regions.
        let is_placed = cloud.is_some();
        let cloud = match cloud {
            Some(cloud) => cloud,
            None => cloud::connect(&many.cloud).await?,
        };
        if output::is_live() {
            output::note("Listing the users and roles of your account …");
        }
        let regions = async {
            match is_placed {
                true => Ok(HashMap::new()),
                false => regions(&cloud).await,
            }
        };
        let (everyone, regions) = tokio::join!(Everyone::list(&cloud), regions);
        Ok(Direct {
            everyone: everyone.map_err(scan_direct::failed)?,
            cloud,
            many,
            regions,
        })
    }

    /// The region of a cluster, where ACK knows it and its audit log is.
    ///
    /// # Errors
    /// Why it is not known.
    fn region_of(&self, member: &Member, cluster_id: &str) -> Result<String, String> {
        if let Some(region) = &member.region {
            return Ok(region.clone());
        }
        let regions = self.regions.as_ref().map_err(String::clone)?;
        regions
            .get(cluster_id)
            .cloned()
            .ok_or_else(|| "ACK does not list it among the clusters of your account".to_owned())
    }
}

async fn regions(cloud: &Cloud) -> Result<HashMap<String, String>, String> {
    let listed = cloud.ack.describe_clusters().await;
    let listed = listed.map_err(|error| format!("ACK does not list your clusters (cs:DescribeClustersV1): {error}"))?;
    let known = listed.into_iter().filter(|cluster| !cluster.region.is_empty());
    Ok(known.map(|cluster| (cluster.id, cluster.region)).collect())
}

fn unknown(cluster: &Cluster, member: &Member, nameless: &Nameless) -> Failure {
    let alone = format!(
        "Scan it alone, and name it: kubectl ack-offboard scan --direct --context={} {}=ID",
        clean(&member.name),
        nameless.flag
    );
    let failure = Failure::new(format!("{nameless} {alone}"));
    match &nameless.error {
        Some(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => failure.because(NotCovered::NoRights),
        None | Some(kube::Error::Api(_)) => failure,
        Some(error) => cluster.refused(error, "read ConfigMap kube-system/ack-cluster-profile", Role::Auditor),
    }
}

/// Scans one cluster into the result.
///
/// # Errors
/// When it is not known which cluster it is, it belongs to another account, or something that is needed does not answer.
pub(super) async fn scan_one(
    crew: &Crew<'_>,
    member: &Member,
    all: bool,
    uid: Option<&str>,
    direct: &Direct<'_>,
    result: &mut ClusterResult,
) -> Result<(), Failure> {
    let account = direct.everyone.account_id();
    let (cluster, identity) = crew
        .first(member, async |cluster| {
            let of = member.id.as_deref();
            // ACK lists the clusters of this account, and names them.
            let account = of.map(|_| account);
            let known = scan_direct::identity(cluster, of, account).await;
            known.map_err(|nameless| unknown(cluster, member, &nameless))
        })
        .await?;
    let AckIdentity { cluster_id, account_id } = &identity;
    if account_id != account {
        let message = format!(
            "it belongs to account {}, and your credentials are of account {account}: who exists there is unknown. Ask it with other \
             credentials: --profile.",
            clean(account_id)
        );
        return Err(Failure::new(message).because(NotCovered::OtherAccount));
    }
    result.cluster_id = Some(clean(cluster_id));
    let mut gaps = Vec::new();
    let cloud = match direct.region_of(member, cluster_id) {
        Ok(region) => {
            let cloud = cloud::in_region(&direct.cloud, &direct.many.cloud, &region)?;
            result.region = Some(clean(&region));
            cloud
        }
        Err(why) => {
            gaps.push(format!(
                "its region is not known, and ACK and the audit log were asked in that of your credentials: {why}"
            ));
            direct.cloud.clone()
        }
    };
    let include = scan_direct::include(all, uid);
    let is_placed = gaps.is_empty();
    let asked = async {
        let scanned = direct::direct_among(&cluster.client, &cloud, &identity, include, &direct.everyone).await;
        scanned.map_err(|why| match why.reason {
            ScanReason::Forbidden => scan_direct::failed(why).because(NotCovered::NoRights),
            ScanReason::ClusterNotFound if !is_placed => Failure::new(format!(
                "{} Scan it alone, in its region: kubectl ack-offboard scan --direct --context={} --region=REGION",
                clean(&why.message),
                clean(&member.name)
            )),
            _ => scan_direct::failed(why),
        })
    };
    let scanned = crew.interrupt.ends(asked).await?;
    result.scanned_at = Some(Timestamp::now());
    result.findings = scanned
        .findings
        .into_iter()
        .filter(|finding| is_asked_for(finding, all, uid))
        .collect();
    let mut message = match result.findings.len() {
        0 => "nobody was found".to_owned(),
        found => format!("{found} found"),
    };
    gaps.extend(scanned.gaps);
    result.gaps = match gaps.is_empty() {
        true => Vec::new(),
        false => vec![Gap::NotAsked],
    };
    for gap in &gaps {
        message.push_str(&format!("; {}", clean(gap.trim_end_matches('.'))));
    }
    result.end(Ended::Done, message);
    Ok(())
}

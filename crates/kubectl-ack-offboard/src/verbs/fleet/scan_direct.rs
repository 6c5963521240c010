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

/// The account, and whom it has.
pub(super) struct Direct<'a> {
    cloud: Cloud,
    many: &'a ManyArgs,
    everyone: Everyone,
}

impl<'a> Direct<'a> {
    /// Lists users and roles: of the account whose credentials are used. `cloud` are its clients, if it was asked before.
    ///
    /// # Errors
    /// When there are no credentials, or a listing is not whole.
    pub(super) async fn list(cloud: Option<Cloud>, many: &'a ManyArgs) -> Result<Self, Failure> {
        let cloud = match cloud {
            Some(cloud) => cloud,
            None => cloud::connect(&many.cloud).await?,
        };
        if output::is_live() {
            output::note("Listing the users and roles of your account …");
        }
        let everyone = Everyone::list(&cloud).await.map_err(scan_direct::failed)?;
        Ok(Direct { cloud, many, everyone })
    }

    /// The clients for a cluster: its audit log is in its region.
    fn cloud_of(&self, member: &Member) -> Result<Cloud, Failure> {
        match &member.region {
            Some(region) => cloud::in_region(&self.cloud, &self.many.cloud, region),
            None => Ok(self.cloud.clone()),
        }
    }
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
    let cloud = direct.cloud_of(member)?;
    let include = scan_direct::include(all, uid);
    let asked = async {
        let scanned = direct::direct_among(&cluster.client, &cloud, &identity, include, &direct.everyone).await;
        scanned.map_err(|why| match why.reason {
            ScanReason::Forbidden => scan_direct::failed(why).because(NotCovered::NoRights),
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
    if !scanned.gaps.is_empty() {
        result.gaps = vec![Gap::NotAsked];
    }
    for gap in &scanned.gaps {
        message.push_str(&format!("; {}", clean(gap.trim_end_matches('.'))));
    }
    result.end(Ended::Done, message);
    Ok(())
}

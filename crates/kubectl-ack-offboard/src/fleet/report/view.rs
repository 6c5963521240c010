//! What a report shows: identities by clusters, the worst first. Pure.

use crate::{
    fleet::result::{ClusterResult, Ended, FleetReport, Gap, Offboarding},
    output::clean,
};
use ack_offboarding_operator::api::{
    CertState,
    scan::{Access, Finding, FindingState},
};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

/// A report, as it is shown. Every text is one line.
#[derive(Serialize)]
pub(super) struct View {
    /// What was asked.
    pub(super) title: String,
    /// What the report is about: who has access, or what a verb did.
    pub(super) heading: String,
    /// Whether it is about who has access, so that a cluster without a scan is missing.
    pub(super) is_of_access: bool,
    pub(super) made_at: String,
    pub(super) plugin: String,
    pub(super) summary: Summary,
    pub(super) clusters: Vec<Cluster>,
    /// The worst first.
    pub(super) identities: Vec<Identity>,
    pub(super) offboardings: Vec<Row>,
}

/// What somebody in a hurry reads.
#[derive(Serialize)]
pub(super) struct Summary {
    /// Identities that are deleted, in the recycle bin or frozen, and have access somewhere.
    pub(super) gone: usize,
    /// Of these, those that are cluster-admin somewhere.
    pub(super) gone_admins: usize,
    /// Of these, those that nothing deals with in some cluster.
    pub(super) gone_left: usize,
    /// All identities that are shown.
    pub(super) identities: usize,
    pub(super) clusters: usize,
    /// Clusters with a scan: the counts above are of these, and say nothing where there is none.
    pub(super) scanned: usize,
    /// Whether each was scanned lately, and no scan left out anybody who is gone: only then, no finding means nobody.
    pub(super) is_whole: bool,
    /// Identities of which nobody knows whether they exist.
    pub(super) unknown: usize,
    pub(super) done: usize,
    pub(super) held: usize,
    pub(super) failed: usize,
    pub(super) not_covered: usize,
}

/// One cluster.
#[derive(Serialize)]
pub(super) struct Cluster {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) region: String,
    /// How it ended, and why it is not covered if it is not.
    pub(super) ended: String,
    /// Whether what it has is not in the report, or not all of it.
    pub(super) is_missing: bool,
    /// Whether something waits there.
    pub(super) is_held: bool,
    /// What its scan leaves out.
    pub(super) gaps: Vec<Gap>,
    /// What ACK says of the UID's own kubeconfig for it.
    pub(super) kubeconfig: String,
    /// Whether that is one that may still work.
    pub(super) is_kubeconfig_left: bool,
    pub(super) message: String,
    pub(super) took_ms: u64,
    pub(super) kubeconfigs_issued: u32,
    pub(super) scanned_at: String,
    pub(super) findings: usize,
}

/// One identity, in all clusters.
#[derive(Serialize)]
pub(super) struct Identity {
    pub(super) uid: String,
    pub(super) type_: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    /// Whether nobody should be able to sign in as it.
    pub(super) is_gone: bool,
    /// The most that it may do in any cluster.
    pub(super) access: &'static str,
    /// The order of that: 0 is the most.
    pub(super) access_rank: usize,
    /// In how many clusters it has access.
    pub(super) count: usize,
    /// The latest request in any of them.
    pub(super) last_seen: String,
    /// One for each cluster, in their order.
    pub(super) cells: Vec<Place>,
    #[serde(skip)]
    state_order: FindingState,
}

/// One identity in one cluster.
#[derive(Clone, Serialize)]
pub(super) struct Place {
    /// What it may do there; empty if it holds nothing, or nobody knows.
    pub(super) access: &'static str,
    /// Whether it is known.
    pub(super) is_known: bool,
    pub(super) bindings: u32,
    pub(super) kubeconfig: &'static str,
    pub(super) offboarding: String,
    /// Each as `NAMESPACE/NAME (ROLE)`.
    pub(super) places: Vec<String>,
    pub(super) note: String,
    /// Whether the identity is gone, has access here, and no UserOffboarding deals with it.
    pub(super) is_open: bool,
}

/// One offboarding in one cluster.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) cluster: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) identity: String,
    pub(super) state: String,
    pub(super) offboarded: bool,
    pub(super) planned: String,
    pub(super) removed: u32,
    /// Of the plan that waits for approval.
    pub(super) digest: String,
    pub(super) reason: String,
    pub(super) message: String,
}

fn access_word(access: Access) -> &'static str {
    match access {
        Access::ClusterAdmin => "cluster-admin",
        Access::ClusterWide => "cluster-wide",
        Access::Namespaced => "namespaces",
        Access::None => "kubeconfig only",
    }
}

fn kubeconfig_word(state: Option<CertState>) -> &'static str {
    match state {
        None => "",
        Some(CertState::Unexpired) => "works",
        Some(CertState::Expired) => "expired",
        Some(CertState::Absent | CertState::Removed) => "none",
        Some(CertState::Unissued) => "not issued",
        Some(_) => "unknown",
    }
}

fn time(time: Option<Timestamp>) -> String {
    time.map(|time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
        .unwrap_or_default()
}

fn line(text: Option<&str>) -> String {
    text.map(clean).unwrap_or_default()
}

impl View {
    pub(super) fn of(report: &FleetReport) -> Self {
        let scanned = report.clusters.iter().filter(|cluster| cluster.scanned_at.is_some());
        let scanned = scanned.count();
        let is_of_access = scanned > 0 || matches!(report.verb.as_str(), "scan" | "report");
        let clusters: Vec<Cluster> = report
            .clusters
            .iter()
            .map(|cluster| Cluster::of(cluster, is_of_access))
            .collect();
        let identities = identities(&report.clusters);
        let gone = || identities.iter().filter(|identity| identity.is_gone);
        let ended = |ended: Ended| report.clusters.iter().filter(|cluster| cluster.ended == ended).count();
        let is_left = |identity: &&Identity| identity.cells.iter().any(|place| place.is_open);
        let summary = Summary {
            gone: gone().count(),
            gone_admins: gone()
                .filter(|identity| identity.access == access_word(Access::ClusterAdmin))
                .count(),
            gone_left: gone().filter(is_left).count(),
            identities: identities.len(),
            clusters: clusters.len(),
            scanned,
            is_whole: report.clusters.iter().all(is_whole),
            unknown: identities
                .iter()
                .filter(|identity| identity.state_order == FindingState::Unknown)
                .count(),
            done: ended(Ended::Done),
            held: ended(Ended::Held),
            failed: ended(Ended::Failed),
            not_covered: ended(Ended::NotCovered),
        };
        let offboardings = report.clusters.iter().flat_map(|cluster| {
            let rows = cluster.offboardings.iter();
            rows.map(|offboarding| Row::of(&cluster.name, offboarding))
        });
        let verb = clean(&report.verb);
        let title = match &report.uid {
            Some(uid) => format!("fleet {verb} {}", clean(uid)),
            None => format!("fleet {verb}"),
        };
        View {
            heading: if is_of_access {
                "Who has access".to_owned()
            } else {
                title.clone()
            },
            is_of_access,
            title,
            made_at: time(Some(report.made_at)),
            plugin: clean(&report.plugin),
            summary,
            offboardings: offboardings.collect(),
            clusters,
            identities,
        }
    }
}

impl Cluster {
    fn of(cluster: &ClusterResult, is_of_access: bool) -> Self {
        Cluster {
            name: clean(&cluster.name),
            id: line(cluster.cluster_id.as_deref()),
            region: line(cluster.region.as_deref()),
            ended: cluster.words(),
            is_missing: matches!(cluster.ended, Ended::NotCovered | Ended::Failed)
                || (is_of_access && cluster.scanned_at.is_none()),
            is_held: cluster.ended == Ended::Held,
            gaps: cluster.gaps.clone(),
            kubeconfig: line(cluster.kubeconfig.as_deref()),
            is_kubeconfig_left: cluster.kubeconfig_left().is_some(),
            message: line(cluster.message.as_deref()),
            took_ms: cluster.took_ms,
            kubeconfigs_issued: cluster.kubeconfigs_issued,
            scanned_at: time(cluster.scanned_at),
            findings: cluster.findings.len(),
        }
    }
}

impl Row {
    fn of(cluster: &str, offboarding: &Offboarding) -> Self {
        Row {
            cluster: clean(cluster),
            name: clean(&offboarding.name),
            uid: clean(&offboarding.uid),
            identity: line(offboarding.identity.as_deref()),
            state: clean(&offboarding.state),
            offboarded: offboarding.offboarded,
            planned: offboarding.planned.map(|count| count.to_string()).unwrap_or_default(),
            removed: offboarding.removed,
            digest: line(offboarding.digest.as_deref()),
            reason: line(offboarding.reason.as_deref()),
            message: line(offboarding.message.as_deref()),
        }
    }
}

impl Place {
    /// In a cluster where it was not found. What a scan does not look for, or has no room for, is not known to be absent.
    fn nothing(cluster: &ClusterResult, is_looked_for: bool) -> Self {
        let has = |gap| cluster.gaps.contains(&gap);
        Place {
            access: "",
            is_known: cluster.scanned_at.is_some() && !has(Gap::Truncated) && (is_looked_for || !has(Gap::GoneOnly)),
            bindings: 0,
            kubeconfig: "",
            offboarding: String::new(),
            places: Vec::new(),
            note: String::new(),
            is_open: false,
        }
    }

    fn of(finding: &Finding) -> Self {
        let places = finding.bindings.iter().map(|binding| match &binding.namespace {
            Some(namespace) => clean(&format!("{namespace}/{} ({})", binding.name, binding.role_ref)),
            None => clean(&format!("{} ({})", binding.name, binding.role_ref)),
        });
        Place {
            access: access_word(finding.access),
            is_known: true,
            bindings: finding.bindings_total,
            kubeconfig: kubeconfig_word(finding.kubeconfig),
            offboarding: line(finding.offboarding.as_deref()),
            places: places.collect(),
            note: line(finding.note.as_deref()),
            is_open: false,
        }
    }
}

/// Whether nobody in a cluster is gone but those that were found.
fn is_whole(cluster: &ClusterResult) -> bool {
    let hides = |gap: &Gap| matches!(gap, Gap::Truncated | Gap::Outdated);
    cluster.scanned_at.is_some() && !cluster.gaps.iter().any(hides)
}

/// Everybody who was found anywhere, the worst first: by state, by what they may do, by in how many clusters.
fn identities(clusters: &[ClusterResult]) -> Vec<Identity> {
    let mut found: BTreeMap<&str, Vec<(usize, &Finding)>> = BTreeMap::new();
    for (index, cluster) in clusters.iter().enumerate() {
        for finding in &cluster.findings {
            found.entry(&finding.uid).or_default().push((index, finding));
        }
    }
    let mut all: Vec<Identity> = found
        .into_iter()
        .filter_map(|(uid, findings)| {
            // Clusters are scanned at different times: the state that asks for most counts.
            let state = findings.iter().map(|(_, finding)| finding.state).min()?;
            let is_gone = matches!(
                state,
                FindingState::Deleted | FindingState::RecycleBin | FindingState::Frozen
            );
            let is_looked_for = is_gone || state == FindingState::Unknown;
            let mut cells: Vec<_> = clusters.iter().map(|one| Place::nothing(one, is_looked_for)).collect();
            for (index, finding) in &findings {
                if let Some(cell) = cells.get_mut(*index) {
                    *cell = Place::of(finding);
                }
            }
            for cell in &mut cells {
                cell.is_open = is_gone && !cell.access.is_empty() && cell.offboarding.is_empty();
            }
            let access = findings.iter().map(|(_, finding)| finding.access).min()?;
            let named = findings.iter().find_map(|(_, finding)| finding.name.as_deref());
            let last_seen = findings
                .iter()
                .filter_map(|(_, finding)| Some(finding.last_seen.as_ref()?.0))
                .max();
            Some(Identity {
                uid: clean(uid),
                type_: findings
                    .first()
                    .map(|(_, finding)| format!("{:?}", finding.type_))
                    .unwrap_or_default(),
                name: line(named),
                state: state.as_str(),
                is_gone,
                access: access_word(access),
                access_rank: access as usize,
                count: findings.len(),
                last_seen: time(last_seen),
                cells,
                state_order: state,
            })
        })
        .collect();
    all.sort_by(|a, b| {
        let key = |one: &Identity| {
            (
                one.state_order,
                one.access_rank,
                std::cmp::Reverse(one.count),
                one.uid.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    all
}

//! What a scan found: every identity with access, judged. Pure.

use super::{
    ack_opinion::AckOpinion, classify::classify, findings, gather::Seen, identity::Identity, last_seen::LastSeen,
};
use crate::api::scan::{Access, Dormancy, Finding, FindingState, Include, ScanCounts};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What a scan found.
#[derive(Debug)]
pub(crate) struct ScanResult {
    pub(super) identities: Vec<Identity>,
    pub(super) include: Include,
    /// Whether the audit log reaches back far enough to call anybody dormant.
    pub(super) dormancy_is_known: bool,
    /// From when on the audit log was searched, if it was.
    pub(super) seen_since: Option<Timestamp>,
    /// Why who was not seen may have been there all the same.
    pub(super) seen_doubt: Option<String>,
    /// How many bindings that name very many UIDs were left unread: whom they name is unknown.
    pub(super) unread: usize,
    /// Why ACK gave no second opinion, if it gave none.
    pub(super) ack_is_silent: Option<String>,
    /// The account itself, and the operator.
    pub(super) untouchable: HashSet<Uid>,
    /// Proposals of each scan that are not complete.
    pub(super) open: HashMap<String, u32>,
}

/// Puts together what was seen.
pub(super) fn assemble(seen: &Seen, include: Include, dormant_days: u16, now: Timestamp) -> ScanResult {
    let uids: BTreeSet<Uid> = seen
        .holdings
        .by_uid
        .keys()
        .copied()
        .chain(seen.ack.with_kubeconfig())
        .collect();
    let identities = uids
        .into_iter()
        .map(|uid| Identity {
            uid,
            who: classify(uid, &seen.listings, &seen.ack),
            is_listed: seen.listings.have(uid),
            held: seen.holdings.by_uid.get(&uid).cloned().unwrap_or_default(),
            kubeconfig: seen.ack.kubeconfig(uid),
            last_seen: seen.last_seen.of(uid),
            dormancy: seen.last_seen.dormancy(uid, dormant_days, now),
            dealing: seen.offboardings.dealing_with(uid).cloned(),
        })
        .collect();
    ScanResult {
        identities,
        include,
        dormancy_is_known: seen.last_seen.covers(dormant_days, now),
        seen_since: match &seen.last_seen {
            LastSeen::Known { since, .. } => Some(*since),
            LastSeen::NotAvailable(_) => None,
        },
        seen_doubt: match &seen.last_seen {
            LastSeen::Known { doubt, .. } => doubt.clone(),
            LastSeen::NotAvailable(why) => Some(why.clone()),
        },
        unread: seen.holdings.unread,
        ack_is_silent: match &seen.ack {
            AckOpinion::Said(_) => None,
            AckOpinion::Silent(why) => Some(why.clone()),
        },
        untouchable: seen.listings.untouchable(),
        open: seen.offboardings.all_open(),
    }
}

impl ScanResult {
    /// The findings, worst first.
    pub(super) fn worst_first(&self) -> Vec<&Identity> {
        let is_finding = |identity: &&Identity| findings::is_finding(identity, self.include);
        let mut found: Vec<&Identity> = self.identities.iter().filter(is_finding).collect();
        found.sort_by(|a, b| findings::worst_first(a, b));
        found
    }

    /// Those of them that are looked at, worst first.
    pub(super) fn selected(&self) -> Vec<&Identity> {
        findings::selected(self.worst_first())
    }

    /// All findings whole, worst first.
    pub(super) fn into_findings(mut self) -> Vec<Finding> {
        self.identities
            .retain(|identity| findings::is_finding(identity, self.include));
        findings::whole(self.identities)
    }

    /// Those that a status of so many bytes has room for, and whether there are more.
    pub(super) fn shown(&self, room: usize) -> (Vec<Finding>, bool) {
        findings::shown(self.worst_first(), room)
    }

    /// How many there are in each state.
    pub(crate) fn counts(&self) -> ScanCounts {
        let mut counts = ScanCounts {
            dormant: self.dormancy_is_known.then_some(0),
            ..ScanCounts::default()
        };
        for identity in &self.identities {
            counts.identities += 1;
            *match identity.who.state {
                FindingState::Active => &mut counts.active,
                FindingState::Frozen => &mut counts.frozen,
                FindingState::RecycleBin => &mut counts.recycle_bin,
                FindingState::Deleted => &mut counts.deleted,
                FindingState::Root => &mut counts.root,
                FindingState::Unknown => &mut counts.unknown,
            } += 1;
            if identity.dormancy == Dormancy::Dormant {
                counts.dormant = counts.dormant.map(|count| count + 1);
            }
            if findings::is_finding(identity, self.include) {
                counts.findings += 1;
                counts.cluster_admins += u32::from(identity.held.access == Access::ClusterAdmin);
            }
            let is_dealt_with = identity.dealing.as_ref().is_some_and(|dealing| !dealing.is_idle);
            let is_left = findings::is_gone(identity.who.state) && !is_dealt_with;
            counts.without_offboarding += u32::from(is_left);
        }
        counts
    }
}

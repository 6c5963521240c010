//! For whom a scan proposes an offboarding, and for whom it did. Pure.

use super::{findings, result::ScanResult};
use crate::api::{PermissionScanSpec, scan::FindingState};
use alibaba_cloud::Uid;
use std::collections::{BTreeMap, HashSet};

/// How many UIDs a status remembers.
const REMEMBERED: usize = 1000;

/// What to remember, by UID: the digest of the bindings for which an offboarding was proposed.
pub(crate) type Memory = BTreeMap<String, String>;

/// What a scan proposes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Proposals {
    /// The UIDs for which a UserOffboarding is to be created, the worst first.
    pub(crate) uids: Vec<Uid>,
    /// What is to be remembered before any is created.
    pub(crate) memory: Memory,
    /// How many more would be proposed if there were room.
    pub(crate) waiting: u32,
}

/// Chooses. `others` is what other scans remember; `protected` are the UIDs that are never offboarded.
pub(crate) fn choose(
    result: &ScanResult,
    spec: &PermissionScanSpec,
    scan: &str,
    own: &Memory,
    others: &[Memory],
    protected: &HashSet<Uid>,
) -> Proposals {
    let mut memory = own.clone();
    let held: HashSet<String> = result
        .identities
        .iter()
        .filter(|identity| identity.held.total > 0)
        .map(|identity| identity.uid.to_string())
        .collect();
    // Who holds nothing any more is as new if that changes.
    if result.unread == 0 {
        memory.retain(|uid, _| held.contains(uid));
    }
    let open = result.open.get(scan).copied().unwrap_or_default();
    let mut room = usize::from(spec.max_proposals).saturating_sub(open as usize);
    let mut proposals = Proposals::default();
    // Only those that were looked up once more.
    for identity in findings::known_first(result.selected()) {
        let is_wanted = identity.who.state == FindingState::Deleted
            && identity.held.total > 0
            // Somebody who only looks does not deal with it.
            && identity.dealing.as_ref().is_none_or(|dealing| dealing.is_dry_run)
            && !result.untouchable.contains(&identity.uid)
            && !protected.contains(&identity.uid);
        if !is_wanted {
            continue;
        }
        let (uid, digest) = (identity.uid.to_string(), identity.held.digest());
        let was_proposed = |memory: &Memory| memory.get(&uid) == Some(&digest);
        if was_proposed(&memory) || others.iter().any(was_proposed) {
            continue;
        }
        let fits = memory.contains_key(&uid) || memory.len() < REMEMBERED;
        if room == 0 || !fits {
            proposals.waiting += 1;
            continue;
        }
        room -= 1;
        memory.insert(uid, digest);
        proposals.uids.push(identity.uid);
    }
    proposals.memory = memory;
    proposals
}

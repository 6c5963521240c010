//! What a scan leaves in the status. Pure.

use super::{
    proposals::{Memory, Proposals},
    result::ScanResult,
    trouble::Trouble,
};
use crate::api::{
    ConditionStatus, OperatorStatus, PermissionScanStatus,
    scan::{LastSeenStatus, ScanCondition, ScanCounts, ScanReason, set_scan_condition},
};
use alibaba_cloud::Uid;
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use std::time::Duration;

/// Bytes of JSON that findings and proposals may have together: etcd takes 1.5 MiB, and people 256 KiB. The rest is for metadata,
/// conditions, and who manages which field.
const ROOM: usize = 232 << 10;

/// Characters of a reason that is not ours.
const REASON: usize = 512;

/// One attempt: whose, of what, and when.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) generation: Option<i64>,
    pub(crate) operator: OperatorStatus,
    /// The request that it deals with.
    pub(crate) request: Option<String>,
    pub(crate) now: Timestamp,
    /// In what time to scan again.
    pub(crate) again: Duration,
}

impl Attempt {
    fn note(&self, status: &mut PermissionScanStatus) {
        status.observed_generation = self.generation;
        status.operator = Some(self.operator.clone());
        status.last_attempt_time = Some(Time(self.now));
        let again = SignedDuration::try_from(self.again).unwrap_or(SignedDuration::MAX);
        status.next_scan_time = self.now.checked_add(again).ok().map(Time);
        if self.request.is_some() {
            status.last_request = self.request.clone();
        }
    }

    fn set(
        &self,
        status: &mut PermissionScanStatus,
        type_: ScanCondition,
        is: ConditionStatus,
        reason: ScanReason,
        message: &str,
    ) {
        set_scan_condition(
            &mut status.conditions,
            type_,
            (is, reason),
            message,
            self.generation,
            self.now,
        );
    }
}

/// A whole scan.
pub(crate) fn complete(
    status: &mut PermissionScanStatus,
    attempt: &Attempt,
    result: &ScanResult,
    proposals: Option<&Proposals>,
) {
    attempt.note(status);
    status.last_scan_time = Some(Time(attempt.now));
    if let Some(proposals) = proposals {
        status.proposed = proposals.memory.clone();
    }
    let counts = result.counts();
    status.counts = Some(counts);
    status.last_seen = Some(LastSeenStatus {
        since: result.seen_since.map(Time),
        not_available: result.seen_doubt.as_deref().map(cut),
    });
    let remembered = serde_json::to_vec(&status.proposed).map_or(0, |json| json.len());
    (status.findings, status.truncated) = result.shown(ROOM.saturating_sub(remembered));
    let mut message = format!(
        "{} with access: {}.",
        plural(counts.identities, "identity", "identities"),
        by_state(&counts)
    );
    if let Some(why) = &result.ack_is_silent {
        message += &format!(
            " ACK gave no second opinion, and no state of kubeconfigs: {}.",
            cut(why)
        );
    }
    if result.unread > 0 {
        message += &format!(
            " {} of very many UIDs {} left out: whom they name is unknown. Split them, or bind groups instead.",
            plural(
                u32::try_from(result.unread).unwrap_or(u32::MAX),
                "further binding",
                "further bindings"
            ),
            if result.unread == 1 { "was" } else { "were" }
        );
    }
    if let Some(proposals) = proposals.filter(|proposals| proposals.waiting > 0) {
        message += &format!(" {} more to propose, once others are complete.", proposals.waiting);
    }
    let none = (ConditionStatus::False, ScanReason::None);
    attempt.set(
        status,
        ScanCondition::Ready,
        ConditionStatus::True,
        ScanReason::Scanned,
        &message,
    );
    attempt.set(status, ScanCondition::Reconciling, none.0, none.1, "");
    attempt.set(status, ScanCondition::Stalled, none.0, none.1, "");
    let (is, reason, message) = match counts.findings {
        0 if result.unread > 0 => (
            ConditionStatus::Unknown,
            ScanReason::ListingIncomplete,
            "Nobody was found in the bindings that were read; some were not.".to_owned(),
        ),
        0 => (
            ConditionStatus::False,
            ScanReason::NothingFound,
            "Nobody is to be looked at.".to_owned(),
        ),
        found => (
            ConditionStatus::True,
            ScanReason::Found,
            format!(
                "{} to be looked at, {} of them cluster-admin. No UserOffboarding deals with {} of those that are gone.{}",
                plural(found, "identity is", "identities are"),
                counts.cluster_admins,
                counts.without_offboarding,
                match status.truncated {
                    true => format!(" The worst {} are shown.", status.findings.len()),
                    false => String::new(),
                }
            ),
        ),
    };
    attempt.set(status, ScanCondition::FindingsPresent, is, reason, &message);
}

/// Proposals were created, and perhaps one was not; those that were not are not remembered. `attempt` says when to try again then.
pub(crate) fn proposed(
    status: &mut PermissionScanStatus,
    attempt: &Attempt,
    created: &[Uid],
    failed: Option<(&[Uid], &Trouble)>,
    before: &Memory,
) {
    for uid in created.iter().map(Uid::to_string) {
        if let Some(finding) = status.findings.iter_mut().find(|finding| finding.uid == uid) {
            finding.offboarding = Some(format!("scan-{uid}"));
        }
        if let Some(counts) = &mut status.counts {
            counts.without_offboarding = counts.without_offboarding.saturating_sub(1);
        }
    }
    let Some((uids, trouble)) = failed else { return };
    attempt.note(status);
    for uid in uids.iter().map(Uid::to_string) {
        match before.get(&uid) {
            Some(digest) => status.proposed.insert(uid, digest.clone()),
            None => status.proposed.remove(&uid),
        };
    }
    attempt.set(
        status,
        ScanCondition::Ready,
        ConditionStatus::False,
        trouble.reason,
        &trouble.message,
    );
    attempt.set(
        status,
        ScanCondition::Reconciling,
        ConditionStatus::True,
        trouble.reason,
        "The operator tries again.",
    );
}

/// A scan that was not complete: counts and findings stay as they were, and say of when they are.
pub(crate) fn failed(status: &mut PermissionScanStatus, attempt: &Attempt, trouble: &Trouble) {
    attempt.note(status);
    let age = match &status.last_scan_time {
        Some(time) => format!(
            "Counts and findings are those of {}.",
            time.0.strftime("%Y-%m-%dT%H:%M:%SZ")
        ),
        None => "No scan was complete yet.".to_owned(),
    };
    let message = format!("{} {age}", trouble.message);
    let stalled = trouble.reason.is_stalled();
    let flag = |is: bool| match is {
        true => (ConditionStatus::True, trouble.reason),
        false => (ConditionStatus::False, ScanReason::None),
    };
    attempt.set(
        status,
        ScanCondition::Ready,
        ConditionStatus::False,
        trouble.reason,
        &message,
    );
    let (is, reason) = flag(!stalled);
    attempt.set(status, ScanCondition::Reconciling, is, reason, "");
    let (is, reason) = flag(stalled);
    attempt.set(
        status,
        ScanCondition::Stalled,
        is,
        reason,
        if stalled { &trouble.message } else { "" },
    );
    attempt.set(
        status,
        ScanCondition::FindingsPresent,
        ConditionStatus::Unknown,
        trouble.reason,
        &message,
    );
}

/// The spec says to stop: what was found stays.
pub(crate) fn suspended(status: &mut PermissionScanStatus, attempt: &Attempt) {
    status.observed_generation = attempt.generation;
    status.operator = Some(attempt.operator.clone());
    status.next_scan_time = None;
    let message = "The spec says to stop scanning. The last findings stay as they are.";
    attempt.set(
        status,
        ScanCondition::Ready,
        ConditionStatus::False,
        ScanReason::Suspended,
        message,
    );
    for type_ in [ScanCondition::Reconciling, ScanCondition::Stalled] {
        attempt.set(status, type_, ConditionStatus::False, ScanReason::None, "");
    }
}

fn by_state(counts: &ScanCounts) -> String {
    let all = [
        (counts.deleted, "deleted"),
        (counts.recycle_bin, "in the recycle bin"),
        (counts.frozen, "frozen"),
        (counts.unknown, "unknown"),
        (counts.active, "active"),
        (counts.root, "the account itself"),
    ];
    let said: Vec<String> = all
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match said.is_empty() {
        true => "none".to_owned(),
        false => said.join(", "),
    }
}

fn plural(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Without control characters, and not too long; without the full stop that follows.
fn cut(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(REASON).collect();
    plain.trim_end_matches('.').to_owned()
}

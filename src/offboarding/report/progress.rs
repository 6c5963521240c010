//! What was done so far.

use super::{Report, later};
use crate::{
    api::{
        ActivityState, BackupStatus, CertState, ClearanceStatus, ConditionStatus as Is, ConditionType as Condition,
        Decision, KubeconfigStatus, Reason, conditions,
    },
    offboarding::{
        decide::Clearance,
        facts::Facts,
        journal::Journal,
        outcome::{self, Blocked, Interrupted, Requeue},
        plan::{Plan, bindings, more_bindings},
        purge::{Purge, RESTORABLE_FOR},
        run::Run,
        shells::{self, Waiting},
    },
    rbac::appearances::Appearances,
    sources::Backups,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use std::{collections::BTreeSet, time::Duration};

/// How a purge ends.
const PURGED: &str = "ACK purged the kubeconfig and reports none. It can be restored in ACK for 30 days.";

/// How many missing ConfigMaps the status names.
const SHOWN_MISSING: usize = 20;

/// How many ConfigMaps the status lists.
const SHOWN: usize = 100;

impl Report {
    /// Says why the run may go on.
    pub fn approved(&mut self, clearance: &Clearance) {
        let is_quiet = self
            .status
            .activity
            .as_ref()
            .is_some_and(|activity| activity.state == ActivityState::Inactive);
        let why = match clearance.decision() {
            Decision::OverrideActive if is_quiet => {
                "ACK refused the purge, possibly because it counts the identity as active. The spec says to proceed (whenActive)."
            }
            Decision::PlanApproved => "A person approved the plan.",
            Decision::OverrideActive => "The identity is active, but the spec says to proceed (whenActive).",
            Decision::OverrideUnknown => {
                "The activity of the identity is unknown, but the spec says to proceed (whenUnknown)."
            }
            Decision::WaitExpired => "The longest wait that the spec allows is over (waitAtMostDays).",
            Decision::Automatic => "The plan needs no approval.",
        };
        self.set(Condition::Approved, Is::True, clearance.reason(), why);
        self.status.waiting_since = None;
    }

    /// Notes what the run may do.
    pub fn cleared(&mut self, run: ClearanceStatus) {
        self.status.clearance = Some(run);
        self.has_begun = true;
    }

    /// Notes which bindings no longer name anybody and wait for their finalizers.
    pub fn waiting(&mut self, waiting: Vec<Waiting>) {
        self.waiting = Some(waiting);
    }

    /// Checks, at the end, that what was stored is there still; names what is not.
    ///
    /// # Errors
    /// When the backups cannot be listed.
    pub async fn check_backups(
        &mut self,
        backups: &Backups,
        record: &Journal,
        object_uid: &str,
    ) -> Result<(), Interrupted> {
        let there = backups.names(object_uid).await.map_err(|error| {
            Interrupted::Blocked(outcome::api_server(&error, "Listing the backups of this object failed"))
        })?;
        let ours = record.parts.iter().map(|part| part.config_map.clone());
        let missing: Vec<String> = ours.filter(|name| !there.contains(name)).collect();
        self.missing(missing, backups.namespace());
        Ok(())
    }

    /// Says which backups are no longer there.
    fn missing(&mut self, mut missing: Vec<String>, namespace: &str) {
        let before = self
            .status
            .backup
            .as_ref()
            .map(|backup| backup.missing.clone())
            .unwrap_or_default();
        missing.extend(
            before
                .into_iter()
                .filter_map(|name| name.split_once('/').map(|(_, name)| name.to_owned())),
        );
        missing.sort();
        missing.dedup();
        let Some(first) = missing.first() else { return };
        let more = match missing.len() {
            1 => String::new(),
            n => format!(" and {} more no longer exist", n - 1),
        };
        let is = if missing.len() == 1 { " no longer exists" } else { "" };
        let message = format!(
            "ConfigMap {namespace}/{first}{more}{is}: someone deleted a backup after it was stored and read back. Its contents \
             cannot be restored from this cluster. Find out in the audit log who deleted it, and restore it from a copy if you \
             have one."
        );
        self.status.backup.get_or_insert_default().missing = missing
            .iter()
            .take(SHOWN_MISSING)
            .map(|name| format!("{namespace}/{name}"))
            .collect();
        self.set(Condition::BackedUp, Is::False, Reason::BackupMissing, &message);
    }

    /// Says that the run begins, or goes on. One that is tried again and again says so once only.
    pub fn started(&mut self, plan: &Plan, in_progress: bool) {
        let approved =
            |list: &[_]| conditions::find(list, Condition::Approved).map(|c| (c.status.clone(), c.reason.clone()));
        if in_progress && approved(&self.writer.written().conditions) == approved(&self.status.conditions) {
            return;
        }
        self.in_progress(&format!("The operator is about to {}.", plan.summary()));
        if !in_progress || self.status.started_at.is_none() {
            self.status.started_at = Some(Time(self.after_the_last_end()));
        }
    }

    fn in_progress(&mut self, message: &str) {
        self.set(Condition::Ready, Is::False, Reason::InProgress, message);
        self.set(Condition::Offboarded, Is::False, Reason::InProgress, message);
        self.set(Condition::Reconciling, Is::True, Reason::InProgress, message);
        self.set(Condition::Stalled, Is::False, Reason::None, "");
    }

    /// Says how far a long removal is.
    pub fn removing(&mut self, done: usize, total: usize) {
        self.in_progress(&format!(
            "The operator is removing the bindings: {done} of {total} are done."
        ));
    }

    /// Says where the backups are.
    pub fn backed_up(&mut self, record: &Journal, namespace: &str) {
        if record.is_empty() {
            let lost = self
                .status
                .backup
                .as_ref()
                .filter(|backup| !backup.config_maps.is_empty());
            let message = match lost {
                None => "No binding names the UID.".to_owned(),
                Some(lost) => format!(
                    "No binding names the UID. The earlier backup of {} is no longer in namespace {}: was the namespace deleted?",
                    bindings(lost.bindings as usize),
                    namespace
                ),
            };
            return self.set(Condition::BackedUp, Is::True, Reason::NothingToBackUp, &message);
        }
        let stored = record.bindings();
        self.stored(record, namespace);
        let message = format!(
            "{} stored and read back, in {} of namespace {}.",
            bindings(stored as usize),
            match record.parts.len() {
                1 => "a ConfigMap".to_owned(),
                n => format!("{n} ConfigMaps"),
            },
            namespace
        );
        self.set(Condition::BackedUp, Is::True, Reason::Stored, &message);
        // Those that were listed, and are no longer there.
        let there: BTreeSet<&str> = record.parts.iter().map(|part| part.config_map.as_str()).collect();
        let known = self
            .listed
            .iter()
            .filter_map(|name| name.split_once('/').map(|(_, name)| name));
        let missing = known.filter(|name| !there.contains(name)).map(str::to_owned).collect();
        self.missing(missing, namespace);
    }

    /// Lists the backups: the newest ones.
    fn stored(&mut self, record: &Journal, namespace: &str) {
        let newest = record.parts.iter().rev().take(SHOWN);
        let mut config_maps: Vec<_> = newest.map(|p| format!("{namespace}/{}", p.config_map)).collect();
        config_maps.reverse();
        self.newest_backup = record.parts.last().map(|p| p.created);
        let there: BTreeSet<&String> = config_maps.iter().collect();
        let before = self.status.backup.take().unwrap_or_default();
        self.status.backup = Some(BackupStatus {
            // One that was put back is missing no more.
            missing: before
                .missing
                .into_iter()
                .filter(|name| !there.contains(name))
                .collect(),
            config_maps,
            bindings: record.bindings(),
        });
    }

    /// What is said of bindings that no longer name anybody and wait for their finalizers.
    fn still_there(&self) -> String {
        let waiting = self.waiting.as_deref().unwrap_or_default();
        let Some((key, why)) = waiting.first() else {
            return String::new();
        };
        let more = match waiting.len() {
            1 => String::new(),
            n => format!(" So do {}.", more_bindings(n - 1)),
        };
        format!(" {key} has no subjects and grants nothing, but still exists: {why}.{more}")
    }

    /// Says that no binding names the UID.
    pub fn bindings_removed(&mut self, record: &Journal) {
        let (deleted, shrunk) = record.removed();
        let what = match (deleted, shrunk) {
            (0, 0) => None,
            (0, shrunk) => Some(format!("The UID was removed from {}", bindings(shrunk))),
            (deleted, 0) => Some(format!("{} deleted", bindings(deleted))),
            (deleted, shrunk) => Some(format!(
                "{} deleted, and the UID removed from {shrunk} more",
                bindings(deleted)
            )),
        };
        let (reason, message) = match what {
            None => (Reason::NothingToRemove, "No binding names the UID.".to_owned()),
            Some(what) => (
                Reason::Removed,
                format!(
                    "{what}. An up-to-date read found no remaining binding for this UID.{}",
                    self.still_there()
                ),
            ),
        };
        self.set(Condition::BindingsRemoved, Is::True, reason, &message);
    }

    /// Says what ACK says of the kubeconfig.
    pub fn kubeconfig(&mut self, state: CertState) {
        let known = self.status.kubeconfig.take();
        self.status.kubeconfig = Some(match known {
            Some(known) => KubeconfigStatus { state, ..known },
            None => KubeconfigStatus::of(state),
        });
    }

    /// Notes, before the call, that ACK is asked to purge.
    pub fn purge_requested_now(&mut self) {
        self.status.purge_requested_at = Some(Time(self.after_the_last_end()));
    }

    /// Now, but later than the last completion, whichever node's clock that was written by.
    fn after_the_last_end(&self) -> Timestamp {
        let now = self.now.max(self.clock.now());
        let end = self
            .status
            .completed_at
            .as_ref()
            .and_then(|end| end.0.checked_add(SignedDuration::from_secs(1)).ok());
        end.map_or(now, |end| end.max(now))
    }

    /// Notes that ACK refused the purge.
    pub fn purge_refused_now(&mut self) {
        let now = self.after_the_last_end();
        if let Some(kubeconfig) = &mut self.status.kubeconfig {
            kubeconfig.refused_at = Some(Time(now));
        }
    }

    /// Whether ACK was asked to purge in this run.
    pub fn purge_requested(&self) -> bool {
        later(
            self.status.purge_requested_at.as_ref(),
            self.status.completed_at.as_ref(),
        )
    }

    /// Whether ACK purged the kubeconfig, in this run or in an earlier one.
    pub fn was_purged(&self) -> bool {
        self.purge_requested() || self.status.kubeconfig.as_ref().is_some_and(|k| k.purged_at.is_some())
    }

    /// Notes that ACK accepted the purge.
    pub fn purge_accepted_now(&mut self) {
        let now = self.after_the_last_end();
        if let Some(kubeconfig) = &mut self.status.kubeconfig {
            kubeconfig.purged_at = Some(Time(now));
            kubeconfig.restorable_until = now.checked_add(RESTORABLE_FOR).ok().map(Time);
        }
    }

    /// Whether ACK accepted the purge in this run, and so lately that it may still be at it.
    pub fn purge_accepted_within(&self, time: Duration) -> bool {
        let Some(accepted) = self.status.kubeconfig.as_ref().and_then(|k| k.purged_at.as_ref()) else {
            return false;
        };
        later(Some(accepted), self.status.completed_at.as_ref())
            && self.now.duration_since(accepted.0).unsigned_abs() < time
    }

    /// The refusal of the purge again, if ACK was asked for this spec so lately that it is not asked anew.
    pub fn refused_within(&self, time: Duration) -> Option<Blocked> {
        let last = conditions::find(&self.writer.written().conditions, Condition::KubeconfigPurged)?;
        let is_of_this_spec = last.observed_generation == self.object().metadata.generation;
        if last.reason != Reason::RefusedByAck.as_str() || !is_of_this_spec {
            return None;
        }
        let asked = self.status.purge_requested_at.as_ref()?.0;
        let left = time
            .checked_sub(self.now.duration_since(asked).unsigned_abs())
            .filter(|left| !left.is_zero())?;
        let blocked = Blocked::new(Reason::RefusedByAck, Requeue::After(left), last.message.clone());
        Some(blocked.about(Condition::KubeconfigPurged, Is::False))
    }

    /// Listens for what begins to bear the UID, until the end is confirmed.
    pub fn listen(&mut self, appearances: Appearances) {
        self.appearances = Some(appearances);
    }

    /// Names what appeared between the last proof and the confirmation, and is no longer there: ACK may have taken it, without a backup.
    pub fn lost_meanwhile(&mut self) {
        let Some((keys, more)) = self.appearances.as_ref().map(Appearances::seen) else {
            return;
        };
        let Some(first) = keys.first() else { return };
        let others = match (keys.len(), more) {
            (1, false) => String::new(),
            (n, false) => format!(" and {}", more_bindings(n - 1)),
            (n, true) => format!(" and more than {}", bindings(n - 1)),
        };
        tracing::warn!(binding = %first, others = keys.len() - 1, "appeared during ACK's purge and disappeared");
        let message = format!(
            "{PURGED} {first}{others} appeared for the UID between the last check and the confirmation of the purge, and \
             disappeared: ACK's purge may have removed it, and there is no backup. Find out in the audit log who created it and \
             whom else it named."
        );
        self.set(Condition::KubeconfigPurged, Is::True, Reason::Purged, &message);
    }

    /// Says how the kubeconfig's purge ended.
    pub fn purged(&mut self, purge: Purge) {
        let (reason, message) = match purge {
            Purge::Kept => (
                Reason::Kept,
                "The spec keeps the kubeconfig: it still authenticates, but no binding names the UID.",
            ),
            Purge::NothingToPurge => (
                Reason::NothingToPurge,
                "ACK reports no kubeconfig of the UID for this cluster.",
            ),
            Purge::Accepted => (Reason::Purged, PURGED),
        };
        if purge == Purge::Accepted
            && self.purge_requested()
            && !self.purge_accepted_within(Duration::MAX)
            && let Some(requested) = self.status.purge_requested_at.clone()
        {
            // The answer was lost, and ACK had carried it out.
            if let Some(kubeconfig) = &mut self.status.kubeconfig {
                kubeconfig.restorable_until = requested.0.checked_add(RESTORABLE_FOR).ok().map(Time);
                kubeconfig.purged_at = Some(requested);
            }
        }
        self.set(Condition::KubeconfigPurged, Is::True, reason, message);
    }

    /// Says that bindings of others disappeared between the request to purge and its confirmation: somebody may have lost access who
    /// should not.
    fn disappeared(&mut self, count: u32) {
        let purged = conditions::find(&self.status.conditions, Condition::KubeconfigPurged)
            .is_some_and(|c| c.reason == Reason::Purged.as_str());
        if count > 0 && purged {
            let message = format!(
                "{PURGED} {} that contain the UID but do not belong to the leaver disappeared between the purge request and its \
                 confirmation. The backups contain them in kept.yaml. Restore those that should stay.",
                bindings(count as usize)
            );
            self.set(Condition::KubeconfigPurged, Is::True, Reason::Purged, &message);
        }
    }

    /// Counts what is gone.
    pub async fn count(&mut self, run: &Run, facts: &Facts, record: &Journal) -> Result<(), Interrupted> {
        // Where the backups are lost, only the status knows.
        let mut counts = facts.status.removed.unwrap_or_default();
        if !record.is_empty() {
            let found = run.bindings.of(&facts.leaver).await?;
            let lookalikes = run.bindings.lookalikes(&facts.leaver).await?;
            let gone = record.counts(&found.bindings, &lookalikes);
            let disarmed = shells::shells(run, &facts.leaver, record, &facts.object_uid, &found.bindings).await?;
            let before = counts;
            counts.disarmed = disarmed;
            counts.deleted = gone.deleted.saturating_sub(disarmed);
            counts.subjects_removed = gone.subjects_removed;
            counts.disappeared = match facts.in_progress() || self.has_begun || facts.status.removed.is_none() {
                true => gone.disappeared,
                // What else happens to bindings that were kept, after the end, is not the purge's doing.
                false => before.disappeared,
            };
            self.stored(record, run.backups.namespace());
        }
        self.disappeared(counts.disappeared);
        counts.total = counts.deleted + counts.disarmed + counts.subjects_removed + counts.disappeared;
        self.status.removed = Some(counts);
        Ok(())
    }
}

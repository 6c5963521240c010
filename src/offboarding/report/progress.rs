//! What is said of a run while it goes on: why it may, where the backups are, which bindings are gone.

use super::Report;
use crate::{
    api::{
        ActivityState, Approval, ApproverStatus, BackupStatus, ClearanceStatus, ConditionStatus as Is,
        ConditionType as Condition, Decision, Reason, conditions,
    },
    offboarding::{
        decide::Clearance,
        facts::Facts,
        journal::Journal,
        outcome::{self, Interrupted},
        plan::{Plan, bindings, more_bindings},
        run::Run,
        shells::{self, Waiting},
    },
    sources::Backups,
};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use std::collections::BTreeSet;

/// How many missing ConfigMaps the status names.
const SHOWN_MISSING: usize = 20;

/// How many ConfigMaps the status lists.
const SHOWN: usize = 100;

impl Report {
    /// Says why the run may go on.
    pub(crate) fn approved(&mut self, clearance: &Clearance) {
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
        let said = match &self.object().spec.reason {
            Some(reason) => format!("{why} The reason given for the offboarding: {reason}"),
            None => why.to_owned(),
        };
        self.set(Condition::Approved, Is::True, clearance.reason(), &said);
        self.status.waiting_since = None;
    }

    /// Notes by which approval the run begins. Who gave it, the audit log tells later.
    pub(crate) fn approved_by(&mut self, digest: &str) {
        let spec = &self.object().spec;
        if spec.approval != Approval::Manual {
            self.status.approved_by = None;
            return;
        }
        let is_listed = spec.approvals.iter().any(|approval| approval.digest == digest);
        let known = self.status.approved_by.as_ref();
        let is_known = known.is_some_and(|known| known.digest == digest);
        // What is left of a run that goes on has another digest: it is the approval of the whole that counts.
        if is_listed && !is_known {
            self.status.approved_by = Some(ApproverStatus {
                digest: digest.to_owned(),
                since: Time(self.clock.now()),
                user: None,
                through: None,
                time: None,
            });
        }
    }

    /// Notes what the run may do: written before its first effect, and believed by the next reconcile.
    pub(crate) fn cleared(&mut self, run: ClearanceStatus) {
        self.status.clearance = Some(run);
        self.has_begun = true;
    }

    /// Notes which bindings no longer name anybody and wait for their finalizers.
    pub(crate) fn waiting(&mut self, waiting: Vec<Waiting>) {
        self.waiting = Some(waiting);
    }

    /// Checks, at the end, that what was stored is there still; names what is not.
    ///
    /// # Errors
    /// When the backups cannot be listed.
    pub(crate) async fn check_backups(
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
    pub(crate) fn started(&mut self, plan: &Plan, in_progress: bool) {
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
    pub(crate) fn removing(&mut self, done: usize, total: usize) {
        self.in_progress(&format!(
            "The operator is removing the bindings: {done} of {total} are done."
        ));
    }

    /// Says where the backups are.
    pub(crate) fn backed_up(&mut self, record: &Journal, namespace: &str) {
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
    pub(crate) fn bindings_removed(&mut self, record: &Journal) {
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

    /// Now, but later than the last completion, whichever node's clock that was written by.
    pub(super) fn after_the_last_end(&self) -> Timestamp {
        let now = self.now.max(self.clock.now());
        let end = self
            .status
            .completed_at
            .as_ref()
            .and_then(|end| end.0.checked_add(SignedDuration::from_secs(1)).ok());
        end.map_or(now, |end| end.max(now))
    }

    /// Counts what is gone.
    pub(crate) async fn count(&mut self, run: &Run, facts: &Facts, record: &Journal) -> Result<(), Interrupted> {
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

//! What was done so far.

use super::{Report, later};
use crate::{
    api::{
        BackupStatus, CertState, ConditionStatus as Is, ConditionType as Condition, KubeconfigStatus, Reason,
        conditions,
    },
    offboarding::{
        context::Context,
        decide::Go,
        hold::Stop,
        observe::{self, Facts},
        plan::{Plan, bindings},
        purge::{Purge, RESTORABLE_FOR},
        record::Record,
    },
    rbac::subject,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use std::time::Duration;

/// How a purge ends.
const PURGED: &str = "ACK purged the kubeconfig, and reports none; it can be restored in ACK for 30 days.";

/// How many ConfigMaps the status lists.
const SHOWN: usize = 100;

impl Report {
    /// Says why the run may go on.
    pub fn approved(&mut self, go: Go) {
        let why = match go.reason {
            Reason::PlanApproved => "A person approved the plan.",
            Reason::OverrideActive => "The identity is active, and the spec says to proceed (whenActive).",
            Reason::OverrideUnknown => {
                "Activity of the identity is unknown, and the spec says to proceed (whenUnknown)."
            }
            Reason::WaitExpired => "The longest wait that the spec allows is over (waitAtMostDays).",
            _ => "The plan needs no approval.",
        };
        self.set(Condition::Approved, Is::True, go.reason, why);
        self.status.waiting_since = None;
    }

    /// Says that the run begins, or goes on. One that is tried again and again says so once only.
    pub fn started(&mut self, plan: &Plan, in_progress: bool) {
        let approved =
            |list: &[_]| conditions::find(list, Condition::Approved).map(|c| (c.status.clone(), c.reason.clone()));
        if in_progress && approved(&self.written.conditions) == approved(&self.status.conditions) {
            return;
        }
        self.in_progress(&format!("The operator is about to {}.", plan.summary()));
        if !in_progress || self.status.started_at.is_none() {
            self.status.started_at = Some(Time(self.now));
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
        self.in_progress(&format!("The bindings are being removed: {done} of {total} are done."));
    }

    /// Says where the backups are.
    pub fn backed_up(&mut self, record: &Record, ctx: &Context) {
        if record.is_empty() {
            let lost = self
                .status
                .backup
                .as_ref()
                .filter(|backup| !backup.config_maps.is_empty());
            let message = match lost {
                None => "No binding names the UID.".to_owned(),
                Some(lost) => format!(
                    "No binding names the UID. The backup of {} that was stored before is not in namespace {} any more: was the \
                     namespace deleted?",
                    bindings(lost.bindings as usize),
                    ctx.settings.namespace
                ),
            };
            return self.set(Condition::BackedUp, Is::True, Reason::NothingToBackUp, &message);
        }
        let stored = record.bindings();
        self.stored(record, ctx);
        let message = format!(
            "{} stored and read back, in {} of namespace {}.",
            bindings(stored as usize),
            match record.parts.len() {
                1 => "a ConfigMap".to_owned(),
                n => format!("{n} ConfigMaps"),
            },
            ctx.settings.namespace
        );
        self.set(Condition::BackedUp, Is::True, Reason::Stored, &message);
    }

    /// Lists the backups: the newest ones.
    fn stored(&mut self, record: &Record, ctx: &Context) {
        let newest = record.parts.iter().rev().take(SHOWN);
        let mut config_maps: Vec<_> = newest
            .map(|p| format!("{}/{}", ctx.settings.namespace, p.config_map))
            .collect();
        config_maps.reverse();
        self.newest_backup = record.parts.last().map(|p| p.created);
        self.status.backup = Some(BackupStatus {
            config_maps,
            bindings: record.bindings(),
        });
    }

    /// Says that no binding names the UID.
    pub fn bindings_removed(&mut self, record: &Record) {
        let (deleted, shrunk) = record.removed();
        let what = match (deleted, shrunk) {
            (0, 0) => None,
            (0, shrunk) => Some(format!("The UID was taken out of {}", bindings(shrunk))),
            (deleted, 0) => Some(format!("{} deleted", bindings(deleted))),
            (deleted, shrunk) => Some(format!(
                "{} deleted, and the UID taken out of {shrunk} more",
                bindings(deleted)
            )),
        };
        let (reason, message) = match what {
            None => (Reason::NothingToRemove, "No binding names the UID.".to_owned()),
            Some(what) => (
                Reason::Removed,
                format!("{what}; a read that is known to be current found none left that names it."),
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
        self.status.purge_requested_at = Some(Time(self.now.max(Timestamp::now())));
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
        if let Some(kubeconfig) = &mut self.status.kubeconfig {
            let now = Timestamp::now();
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

    /// Says how the kubeconfig's purge ended.
    pub fn purged(&mut self, purge: Purge) {
        let (reason, message) = match purge {
            Purge::Kept => (
                Reason::Kept,
                "The spec keeps the kubeconfig: it still authenticates, though no binding names the UID any more.",
            ),
            Purge::NothingToPurge => (
                Reason::NothingToPurge,
                "ACK knows of no kubeconfig of the UID for this cluster.",
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

    /// Says that ACK's purge took bindings of others: somebody may have lost access who should not.
    fn taken_by_ack(&mut self, count: u32) {
        let purged = conditions::find(&self.status.conditions, Condition::KubeconfigPurged)
            .is_some_and(|c| c.reason == Reason::Purged.as_str());
        if count > 0 && purged {
            let message = format!(
                "{PURGED} The purge also took {} that only bore the UID's name under another kind of subject: the backups \
                 have them in kept.yaml. Restore those that should stay.",
                bindings(count as usize)
            );
            self.set(Condition::KubeconfigPurged, Is::True, Reason::Purged, &message);
        }
    }

    /// Counts what is gone.
    pub async fn count(&mut self, ctx: &Context, facts: &Facts) -> Result<(), Stop> {
        // Where the backups are lost, only the status knows.
        let mut counts = facts.status.removed.unwrap_or_default();
        if !facts.record.is_empty() {
            let key = subject::key(&facts.uid);
            let found = observe::bindings(ctx, key).await?;
            let lookalikes = observe::lookalikes(ctx, key).await?;
            let gone = facts.record.counts(&found, &lookalikes);
            (counts.deleted, counts.subjects_removed, counts.disappeared) =
                (gone.deleted, gone.subjects_removed, gone.disappeared);
            if !facts.in_progress()
                && let Some(before) = &facts.status.removed
            {
                // What else happens to bindings that were kept, after the end, is not ACK's doing.
                counts.disappeared = before.disappeared;
            }
            self.stored(&facts.record, ctx);
        }
        self.taken_by_ack(counts.disappeared);
        counts.total = counts.deleted + counts.subjects_removed + counts.disappeared;
        self.status.removed = Some(counts);
        Ok(())
    }
}

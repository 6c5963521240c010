//! What was done so far.

use super::{Report, later};
use crate::{
    api::{
        BackupStatus, CertState, ConditionStatus as Is, ConditionType as Condition, KubeconfigStatus, Reason,
        RemovedStatus, conditions,
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

impl Report {
    /// Says why the run may go on, and that it does.
    pub fn started(&mut self, go: Go, plan: &Plan, in_progress: bool) {
        let why = match go.reason {
            Reason::PlanApproved => "A person approved the plan.",
            Reason::OverrideActive => "The identity is active, and the spec says to proceed (whenActive).",
            Reason::OverrideUnknown => {
                "Nobody can tell whether the identity is active, and the spec says to proceed (whenUnknown)."
            }
            Reason::WaitExpired => "The longest wait that the spec allows is over (waitAtMostDays).",
            _ => "The plan needs no approval.",
        };
        self.set(Condition::Approved, Is::True, go.reason, why);
        let progress = format!("The operator is about to {}.", plan.summary());
        self.set(Condition::Ready, Is::False, Reason::InProgress, &progress);
        self.set(Condition::Offboarded, Is::False, Reason::InProgress, &progress);
        self.set(Condition::Reconciling, Is::True, Reason::InProgress, &progress);
        self.set(Condition::Stalled, Is::False, Reason::None, "");
        if !in_progress || self.status.started_at.is_none() {
            self.status.started_at = Some(Time(self.now));
        }
        self.status.waiting_since = None;
    }

    /// Says where the backups are.
    pub fn backed_up(&mut self, record: &Record, ctx: &Context) {
        if record.is_empty() {
            return self.set(
                Condition::BackedUp,
                Is::True,
                Reason::NothingToBackUp,
                "No binding names the UID.",
            );
        }
        let stored = record.bindings();
        let maps: Vec<_> = record
            .parts
            .iter()
            .map(|p| format!("{}/{}", ctx.settings.namespace, p.config_map))
            .collect();
        let message = format!(
            "{} stored and read back, in {} of namespace {}.",
            bindings(stored as usize),
            if maps.len() == 1 {
                "a ConfigMap".to_owned()
            } else {
                format!("{} ConfigMaps", maps.len())
            },
            ctx.settings.namespace
        );
        self.set(Condition::BackedUp, Is::True, Reason::Stored, &message);
        self.status.backup = Some(BackupStatus {
            config_maps: maps,
            bindings: stored,
        });
    }

    /// Says that no binding names the UID.
    pub fn bindings_removed(&mut self, record: &Record) {
        let (reason, message) = match record.bindings() {
            0 => (Reason::NothingToRemove, "No binding names the UID.".to_owned()),
            n => (
                Reason::Removed,
                format!(
                    "{} removed; a read that is known to be current found none left.",
                    bindings(n as usize)
                ),
            ),
        };
        self.set(Condition::BindingsRemoved, Is::True, reason, &message);
    }

    /// Says what ACK says of the kubeconfig.
    pub fn kubeconfig(&mut self, state: CertState) {
        let known = self.status.kubeconfig.take();
        let (purged_at, restorable_until) = known.map(|k| (k.purged_at, k.restorable_until)).unwrap_or_default();
        self.status.kubeconfig = Some(KubeconfigStatus {
            state,
            purged_at,
            restorable_until,
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
                "The spec keeps the kubeconfig: it still authenticates, and is authorized for nothing by RBAC.",
            ),
            Purge::NothingToPurge => (
                Reason::NothingToPurge,
                "ACK knows of no kubeconfig of the UID for this cluster.",
            ),
            Purge::Accepted => (
                Reason::Purged,
                "ACK purged the kubeconfig, and reports none; it can be restored in ACK for 30 days.",
            ),
        };
        if purge == Purge::Accepted
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

    /// Counts what is gone.
    pub async fn count(&mut self, ctx: &Context, facts: &Facts) -> Result<(), Stop> {
        let mut counts = RemovedStatus::default();
        if !facts.record.is_empty() {
            let (found, lookalikes) = observe::bindings(ctx, subject::key(&facts.uid)).await?;
            let gone = facts.record.counts(&found, &lookalikes);
            (counts.deleted, counts.subjects_removed, counts.by_ack) =
                (gone.deleted, gone.subjects_removed, gone.by_ack);
            if !facts.in_progress()
                && let Some(before) = &facts.status.removed
            {
                // What else happens to bindings that were kept, after the end, is not ACK's doing.
                counts.by_ack = before.by_ack;
            }
            self.backed_up_so_far(&facts.record, ctx);
        }
        counts.total = counts.deleted + counts.subjects_removed + counts.by_ack;
        self.status.removed = Some(counts);
        Ok(())
    }

    /// A backup that stands is reported, also while something else is in the way.
    fn backed_up_so_far(&mut self, record: &Record, ctx: &Context) {
        let failed =
            conditions::find(&self.status.conditions, Condition::BackedUp).is_some_and(|c| c.status == "False");
        if !failed {
            self.backed_up(record, ctx);
        }
    }
}

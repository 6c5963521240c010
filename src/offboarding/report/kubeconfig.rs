//! What is said of the kubeconfig and its purge.

use super::{Report, later};
use crate::{
    api::{CertState, ConditionStatus as Is, ConditionType as Condition, KubeconfigStatus, Reason, conditions},
    offboarding::{
        outcome::{Blocked, Requeue},
        plan::{bindings, more_bindings},
        purge::{Purge, RESTORABLE_FOR},
    },
    rbac::appearances::Appearances,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::time::Duration;

/// How a purge ends.
const PURGED: &str = "ACK purged the kubeconfig and reports none. It can be restored in ACK for 30 days.";

impl Report {
    /// Says what ACK says of the kubeconfig.
    pub(crate) fn kubeconfig(&mut self, state: CertState) {
        let known = self.status.kubeconfig.take();
        self.status.kubeconfig = Some(match known {
            Some(known) => KubeconfigStatus { state, ..known },
            None => KubeconfigStatus::of(state),
        });
    }

    /// Notes, before the call, that ACK is asked to purge.
    pub(crate) fn purge_requested_now(&mut self) {
        self.status.purge_requested_at = Some(Time(self.after_the_last_end()));
    }

    /// Notes when ACK refused the purge: the spec may then say to force it.
    pub(crate) fn purge_refused_now(&mut self) {
        let now = self.after_the_last_end();
        if let Some(kubeconfig) = &mut self.status.kubeconfig {
            kubeconfig.refused_at = Some(Time(now));
        }
    }

    /// Whether ACK was asked to purge in this run.
    pub(crate) fn purge_requested(&self) -> bool {
        later(
            self.status.purge_requested_at.as_ref(),
            self.status.completed_at.as_ref(),
        )
    }

    /// Whether ACK purged the kubeconfig, in this run or in an earlier one.
    pub(crate) fn was_purged(&self) -> bool {
        self.purge_requested() || self.status.kubeconfig.as_ref().is_some_and(|k| k.purged_at.is_some())
    }

    /// Notes when ACK accepted the purge, and until when its console can take that back.
    pub(crate) fn purge_accepted_now(&mut self) {
        let now = self.after_the_last_end();
        if let Some(kubeconfig) = &mut self.status.kubeconfig {
            kubeconfig.purged_at = Some(Time(now));
            kubeconfig.restorable_until = now.checked_add(RESTORABLE_FOR).ok().map(Time);
        }
    }

    /// Whether ACK accepted the purge in this run, and so lately that it may still be at it.
    pub(crate) fn purge_accepted_within(&self, time: Duration) -> bool {
        let Some(accepted) = self.status.kubeconfig.as_ref().and_then(|k| k.purged_at.as_ref()) else {
            return false;
        };
        later(Some(accepted), self.status.completed_at.as_ref())
            && self.now.duration_since(accepted.0).unsigned_abs() < time
    }

    /// The refusal of the purge again, if ACK was asked for this spec so lately that it is not asked anew.
    pub(crate) fn refused_within(&self, time: Duration) -> Option<Blocked> {
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

    /// Says how the kubeconfig's purge ended.
    pub(crate) fn purged(&mut self, purge: Purge) {
        let (reason, message) = match purge {
            Purge::Kept => (
                Reason::Kept,
                "The spec keeps the kubeconfig: it still authenticates, but no binding names the UID.",
            ),
            Purge::Absent => (
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

    /// Listens for what begins to bear the UID, until the end is confirmed.
    pub(crate) fn listen(&mut self, appearances: Appearances) {
        self.appearances = Some(appearances);
    }

    /// Names what appeared between the last proof and the confirmation, and is no longer there: ACK may have taken it, without a backup.
    pub(crate) fn lost_meanwhile(&mut self) {
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

    /// Says that bindings of others disappeared between the request to purge and its confirmation: somebody may have lost access who
    /// should not.
    pub(super) fn disappeared(&mut self, count: u32) {
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
}

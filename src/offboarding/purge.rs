//! Step 7: has ACK purge the kubeconfig. ACK's call deletes whatever binding is left, without a precondition: hence
//! the proof in the arguments of the one function that asks.

use super::{
    backup::{self, Task},
    cleared::Cleared,
    decide::Clearance,
    facts::Facts,
    journal::Journal,
    outcome::{Blocked, Interrupted, Requeue},
    plan::KUBECONFIG,
    refusal::{Cause, cause, not_accepted, not_purged},
    report::Report,
    run::Run,
    verify::{self, NoBindings},
    wanted::still_wanted,
};
use crate::{
    api::{CertState, ConditionStatus as Is, ConditionType as Condition, KubeconfigPolicy, Reason},
    rbac::permit::Permit,
};
use alibaba_cloud::{ack::Accepted, error::ApiError};
use k8s_openapi::jiff::SignedDuration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purge {
    /// The spec keeps the kubeconfig.
    Kept,
    /// ACK knows of none.
    Absent,
    /// ACK accepted the purge, in this run or before a restart.
    Accepted,
}

/// Has ACK purge the kubeconfig, unless there is none. In this order: its state, a backup of what bears the UID and stays, the
/// status, whether the object is still wanted, the barrier, the permit, the call.
///
/// The call is made once: what came of a broken answer is read from ACK's state, and the call repeated in the next
/// reconcile only.
///
/// # Errors
/// When ACK does not answer, refuses, or says that it does not know the certificate's state.
pub(super) async fn purge(
    run: &Run,
    report: &mut Report,
    facts: &Facts,
    journal: &mut Journal,
    task: Task<'_>,
    cleared: &Cleared,
    clearance: &Clearance,
) -> Result<Purge, Interrupted> {
    if facts.spec.kubeconfig == KubeconfigPolicy::Keep {
        return Ok(Purge::Kept);
    }
    // The state of the start of this run may be old by now.
    let state = run.cluster.kubeconfig_state(facts.uid).await.map_err(|trouble| {
        let reason = if trouble.forbidden {
            Reason::Forbidden
        } else {
            Reason::LookupFailed
        };
        let is = if trouble.forbidden { Is::False } else { Is::Unknown };
        let blocked = Blocked::by(&trouble, "No binding is left; the kubeconfig is not purged yet.");
        blocked.about_as(Condition::KubeconfigPurged, is, reason)
    })?;
    report.kubeconfig(state);
    match state {
        CertState::Absent | CertState::Removed | CertState::Unissued => {
            return Ok(if report.was_purged() {
                Purge::Accepted
            } else {
                Purge::Absent
            });
        }
        CertState::Unknown => return Err(state_unknown().into()),
        CertState::Expired | CertState::Unexpired => {}
    }
    if !cleared.covers(KUBECONFIG) {
        // It was issued since this run looked: activity and approval were not asked with it in mind.
        let message = "ACK issued a kubeconfig after this run began; the operator repeats the checks.";
        let blocked = Blocked::new(Reason::NotConfirmed, Requeue::Backoff, message);
        return Err(blocked.about(Condition::KubeconfigPurged, Is::Unknown).into());
    }
    if report.purge_accepted_within(run.settings.recheck_interval) {
        // ACK accepted it and has not carried it out yet: the next step polls.
        return Ok(Purge::Accepted);
    }
    if let Some(blocked) = report.refused_within(run.settings.recheck_interval) {
        // Whatever woke this look: edits of a binding do not decide how often ACK is asked.
        return Err(blocked.into());
    }
    backup::back_up_lookalikes(run, task, journal).await?;
    report.backed_up(journal, run.backups.namespace());
    report.purge_requested_now();
    report.write(run).await?;
    // What begins to bear the UID from here on, no proof knows of.
    report.listen(run.bindings.index().appearances(facts.leaver.uid()));
    // ACK's call removes whatever binding it finds, without a condition: the barrier is the last thing that is asked before it.
    let mut proof = None;
    for _ in 0..PROOFS {
        let wanted = still_wanted(run, &facts.asked).await?;
        let no_bindings = verify::verify(&run.bindings, &facts.leaver).await?;
        drop(wanted);
        let permit = run.permit()?;
        if no_bindings.holds_for(facts.uid) {
            proof = Some((no_bindings, permit));
            break;
        }
    }
    let Some((no_bindings, permit)) = proof else {
        return Err(too_slow().into());
    };
    let force = clearance.force();
    let answer = ask(run, facts, clearance, no_bindings, permit).await;
    match &answer {
        Ok(Accepted { request_id }) => {
            tracing::info!(force, request_id, "asked ACK to purge the kubeconfig, and ACK accepted")
        }
        Err(error) => tracing::warn!(force, request_id = error.request_id, %error, "{}", not_accepted(error)),
    }
    match answer {
        Ok(_) => {
            report.purge_accepted_now();
            report.write(run).await?;
            Ok(Purge::Accepted)
        }
        Err(error) => {
            if cause(&error) == Cause::Unknown {
                report.purge_refused_now();
            }
            Err(not_purged(&error, force).into())
        }
    }
}

/// How often the proof is made anew because it took too long.
const PROOFS: u32 = 3;

/// The one place that asks ACK: with the word of the gates, the proof that no binding of this UID is left, and the permit.
async fn ask(
    run: &Run,
    facts: &Facts,
    clearance: &Clearance,
    _no_bindings: NoBindings,
    _permit: Permit,
) -> Result<Accepted, ApiError> {
    let (cluster, force) = (&facts.cluster_id, clearance.force());
    run.cluster
        .ack()
        .clean_cluster_user_permissions(cluster, facts.uid, force)
        .await
}

fn too_slow() -> Blocked {
    let message = format!(
        "The operator did not ask ACK to purge the kubeconfig: verifying that no binding is left took longer than two seconds, \
         {PROOFS} times in a row, and ACK's purge could remove a binding created in that time without a backup. The bindings \
         are removed. The operator retries automatically. If this persists, the API server is overloaded."
    );
    Blocked::new(Reason::NotConfirmed, Requeue::Backoff, message).about(Condition::KubeconfigPurged, Is::False)
}

fn state_unknown() -> Blocked {
    let message = "No binding is left. ACK reports the kubeconfig's state as Unknown and does not purge a kubeconfig in that \
     state. The operator retries automatically. If this persists, look at the user's kubeconfig in the ACK console.";
    Blocked::new(Reason::NotConfirmed, Requeue::Backoff, message).about(Condition::KubeconfigPurged, Is::Unknown)
}

/// ACK keeps a purged kubeconfig for 30 days, in which it can be restored (ACK, "kubeconfig recycle bin").
pub(super) const RESTORABLE_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

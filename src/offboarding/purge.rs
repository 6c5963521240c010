//! Step 7: has ACK purge the kubeconfig. ACK's call deletes whatever binding is left, without a precondition: hence
//! the proof in the arguments of the one function that asks.

use super::{
    backup::{self, Task},
    context::Context,
    decide::Clearance,
    hold::{self, Again, Hold, Stop},
    observe::{self, Facts},
    plan::KUBECONFIG,
    report::Report,
    verify::{self, NoBindings},
};
use crate::{
    alibaba::error::{ApiError, ErrorKind},
    api::{CertState, ConditionStatus as Is, ConditionType as Condition, KubeconfigPolicy, Reason},
    operator::leadership::Permit,
    request_id,
};
use k8s_openapi::jiff::SignedDuration;

/// What came of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// The spec keeps the kubeconfig.
    Kept,
    /// ACK knows of none.
    NothingToPurge,
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
pub async fn purge(
    ctx: &Context,
    report: &mut Report,
    facts: &mut Facts,
    task: Task<'_>,
    clearance: &Clearance,
) -> Result<Purge, Stop> {
    if facts.spec.kubeconfig == KubeconfigPolicy::Keep {
        return Ok(Purge::Kept);
    }
    // The state of the start of this run may be old by now.
    let state = observe::kubeconfig_state(ctx, &facts.uid).await.map_err(|trouble| {
        let reason = if trouble.forbidden {
            Reason::Forbidden
        } else {
            Reason::LookupFailed
        };
        let is = if trouble.forbidden { Is::False } else { Is::Unknown };
        let hold = trouble.hold("No binding is left; the kubeconfig is not purged yet.");
        hold.about_as(Condition::KubeconfigPurged, is, reason)
    })?;
    report.kubeconfig(state);
    match state {
        CertState::Absent | CertState::Removed | CertState::Unissued => {
            return Ok(if report.was_purged() {
                Purge::Accepted
            } else {
                Purge::NothingToPurge
            });
        }
        CertState::Unknown => return Err(state_unknown().into()),
        CertState::Expired | CertState::Unexpired => {}
    }
    if !facts.cleared.covers(KUBECONFIG) {
        // It was issued since this run looked: activity and approval were not asked with it in mind.
        let message = "ACK reports a kubeconfig that was not there a moment ago; the checks begin anew.";
        let hold = Hold::wait(Reason::NotConfirmed, Again::Backoff, message);
        return Err(hold.about(Condition::KubeconfigPurged, Is::Unknown).into());
    }
    if report.purge_accepted_within(ctx.settings.recheck_interval) {
        // ACK accepted it and has not carried it out yet: the next step polls.
        return Ok(Purge::Accepted);
    }
    backup::back_up_lookalikes(ctx, task, &mut facts.record).await?;
    report.backed_up(&facts.record, ctx);
    report.purge_requested_now();
    report.write(ctx).await?;
    // What begins to bear the UID from here on, no proof knows of.
    report.listen(ctx.index.appearances(facts.leaver.key()));
    // ACK's call removes whatever binding it finds, without a condition: the barrier is the last thing that is asked before it.
    let mut proof = None;
    for _ in 0..PROOFS {
        let wanted = ctx.still_wanted(&facts.asked).await?;
        let no_bindings = verify::verify(ctx, &facts.leaver).await?;
        drop(wanted);
        let permit = ctx.permit()?;
        if no_bindings.holds_for(&facts.uid) {
            proof = Some((no_bindings, permit));
            break;
        }
    }
    let Some((no_bindings, permit)) = proof else {
        return Err(too_slow().into());
    };
    let force = clearance.force();
    let purged = ask(ctx, facts, clearance, no_bindings, permit);
    let (answer, request_id) = request_id::traced(purged).await;
    match &answer {
        Ok(()) => tracing::info!(force, request_id, "asked ACK to purge the kubeconfig, and it accepted"),
        Err(error) => tracing::warn!(force, request_id, %error, "asked ACK to purge the kubeconfig, and it did not"),
    }
    match answer {
        Ok(()) => {
            report.purge_accepted_now();
            report.write(ctx).await?;
            Ok(Purge::Accepted)
        }
        Err(error) => {
            if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Rejected) {
                report.purge_refused_now();
            }
            Err(refused(&error).into())
        }
    }
}

/// How often the proof is made anew because it took too long.
const PROOFS: u32 = 3;

/// The one place that asks ACK: with the word of the gates, the proof that no binding of this UID is left, and the permit.
async fn ask(
    ctx: &Context,
    facts: &Facts,
    clearance: &Clearance,
    _no_bindings: NoBindings,
    _permit: Permit,
) -> Result<(), ApiError> {
    let (cluster, force) = (&facts.cluster_id, clearance.force());
    ctx.cloud
        .ack
        .clean_cluster_user_permissions(cluster, &facts.uid, force)
        .await
}

fn too_slow() -> Hold {
    let message = format!(
        "The operator does not ask ACK to purge the kubeconfig: proving that no binding is left took longer than two seconds, {PROOFS} times \
         in a row, and a binding that appears meanwhile would be lost. The bindings are removed. The operator retries automatically; \
         if this stays, the API server is overloaded."
    );
    Hold::wait(Reason::NotConfirmed, Again::Backoff, message).about(Condition::KubeconfigPurged, Is::False)
}

fn refused(error: &ApiError) -> Hold {
    let about = |hold: Hold, is, reason| hold.about_as(Condition::KubeconfigPurged, is, reason);
    match error.kind {
        ErrorKind::Forbidden => {
            let message = format!(
                "{error}. The bindings are removed, the kubeconfig is not purged. The operator's role needs the RAM action \
                 cs:CleanClusterUserPermissions, and must be an RBAC administrator of the cluster."
            );
            about(Hold::stall(Reason::Forbidden, message), Is::False, Reason::Forbidden)
        }
        ErrorKind::ClusterNotFound => {
            let message = format!(
                "{error}. The bindings are removed, the kubeconfig is not purged. Check the operator's cluster ID and region."
            );
            // No refusal: one counts as ACK's own guard, which Force=true switches off.
            about(
                Hold::stall(Reason::ClusterNotFound, message),
                Is::Unknown,
                Reason::NotConfirmed,
            )
        }
        ErrorKind::NotFound | ErrorKind::Rejected => {
            let message = format!(
                "ACK refused to purge the kubeconfig: {error}. The bindings are removed. ACK has a 7-day guard of its own, \
                 which may count requests that only mention the UID; the operator asks again every hour. \
                 If you are sure, activityCheck.whenActive: Proceed makes it ask with Force=true."
            );
            about(
                Hold::wait(Reason::RefusedByAck, Again::Recheck, message),
                Is::False,
                Reason::RefusedByAck,
            )
        }
        ErrorKind::Throttled
        | ErrorKind::Budget
        | ErrorKind::Credentials
        | ErrorKind::Server
        | ErrorKind::Connection
        | ErrorKind::TimedOut
        | ErrorKind::Malformed => {
            let so_far = match error.kind {
                ErrorKind::Throttled | ErrorKind::Budget | ErrorKind::Credentials => {
                    "The bindings are removed, the kubeconfig is not purged yet: ACK is asked again by itself."
                }
                _ => {
                    "The bindings are removed. Whether ACK purged the kubeconfig is not known; its state is read next, and the \
                     purge repeated if it is still there."
                }
            };
            let advice = hold::advice(error);
            let space = if advice.is_empty() { "" } else { " " };
            let message = format!("{error}. {so_far}{space}{advice}");
            about(
                Hold::wait(Reason::NotConfirmed, hold::again(error.retry_after), message),
                Is::Unknown,
                Reason::NotConfirmed,
            )
        }
    }
}

fn state_unknown() -> Hold {
    let message = "No binding is left. ACK reports the kubeconfig's state as Unknown, and purges none in that state. The \
        operator asks again; if it stays so, look at the user's kubeconfig in the ACK console.";
    Hold::wait(Reason::NotConfirmed, Again::Backoff, message).about(Condition::KubeconfigPurged, Is::Unknown)
}

/// ACK keeps a purged kubeconfig for 30 days, in which it can be restored (ACK, "kubeconfig recycle bin").
pub const RESTORABLE_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

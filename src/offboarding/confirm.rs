//! Step 8: ACK must say itself that the kubeconfig is gone; then no binding may name the UID, once more.

use super::{
    facts::Facts,
    outcome::{Blocked, Interrupted, Requeue},
    purge::Purge,
    report::Report,
    run::Run,
    verify,
};
use crate::api::{ConditionStatus as Is, ConditionType as Condition, Reason};

/// Confirms the end.
///
/// # Errors
/// When ACK still reports a kubeconfig, or a binding appeared since the purge.
pub(super) async fn confirm(run: &Run, report: &mut Report, facts: &Facts, purge: Purge) -> Result<(), Interrupted> {
    if purge == Purge::Accepted {
        let state = run.cluster.kubeconfig_state(facts.uid).await.map_err(|unanswered| {
            Blocked::by(
                &unanswered,
                "ACK accepted the purge; whether it is complete is not known yet.",
            )
            .about_as(Condition::KubeconfigPurged, Is::Unknown, Reason::LookupFailed)
        })?;
        report.kubeconfig(state);
        if state.is_left() {
            let message = format!(
                "No binding is left. ACK accepted the purge but still reports the kubeconfig as {state:?}. The operator checks \
                 the state until it is Removed, and requests the purge again if that takes longer than the recheck interval."
            );
            let blocked = Blocked::new(Reason::NotConfirmed, Requeue::Backoff, message);
            return Err(blocked.about(Condition::KubeconfigPurged, Is::Unknown).into());
        }
    }
    if purge == Purge::Absent {
        // Nothing happened since the proof of step 6.
        report.purged(purge);
        return Ok(());
    }
    let verified = verify::verify(&run.bindings, &facts.leaver).await;
    report.purged(purge);
    verified?;
    report.lost_meanwhile();
    Ok(())
}

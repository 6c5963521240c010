//! Step 7: has ACK purge the kubeconfig. ACK's call deletes whatever binding is left, without a precondition: hence
//! the proof in the arguments of the one function that asks.

use super::{
    backup::{self, Task},
    cleared::Cleared,
    decide::Clearance,
    facts::Facts,
    journal::Journal,
    outcome::{self, Blocked, Interrupted, Requeue},
    plan::KUBECONFIG,
    report::Report,
    run::Run,
    verify::{self, NoBindings},
    wanted::still_wanted,
};
use crate::{
    api::{CertState, ConditionStatus as Is, ConditionType as Condition, KubeconfigPolicy, Reason},
    rbac::permit::Permit,
    sources::query_error::advice,
};
use alibaba_cloud::{
    ack::Accepted,
    codes::Code,
    error::{ApiError, ErrorKind},
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
                Purge::NothingToPurge
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

/// Why ACK did not purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The operator's role may not.
    Right,
    /// ACK does not know the cluster.
    Cluster,
    /// The code says why; it is not activity.
    Known(&'static Code),
    /// ACK refused, and the operator cannot tell why: it may be ACK's own guard, whose code Alibaba Cloud does not publish. This is what a
    /// person can overrule with Force.
    Unknown,
    /// No decision of ACK's: it is asked again soon.
    Passing,
}

fn cause(error: &ApiError) -> Cause {
    let answered = error.status.is_some();
    match (error.kind, error.known()) {
        (ErrorKind::Forbidden, Some(_)) if mentions_activity(&error.message) => Cause::Unknown,
        (ErrorKind::Forbidden, Some(_)) => Cause::Right,
        (ErrorKind::ClusterNotFound, _) => Cause::Cluster,
        (ErrorKind::NotFound | ErrorKind::Rejected, Some(known)) => Cause::Known(known),
        (ErrorKind::NotFound | ErrorKind::Rejected | ErrorKind::Forbidden, None) if answered => Cause::Unknown,
        _ => Cause::Passing,
    }
}

/// Whether a message speaks of activity or of Force, as that of ACK's guard does by its description. To add a right would not help then.
fn mentions_activity(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let mut words = message.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| matches!(word, "force" | "activity" | "active" | "accessed" | "days"))
}

/// What the log says of a purge that ACK did not accept: a lost answer is no refusal.
fn not_accepted(error: &ApiError) -> &'static str {
    match (cause(error), error.kind) {
        (Cause::Passing, ErrorKind::Conflict | ErrorKind::Throttled | ErrorKind::Budget | ErrorKind::Credentials) => {
            "asked ACK to purge the kubeconfig, but ACK has not accepted yet"
        }
        (Cause::Passing, _) => "asked ACK to purge the kubeconfig, but the result is unknown",
        _ => "asked ACK to purge the kubeconfig, but ACK refused",
    }
}

fn not_purged(error: &ApiError, force: bool) -> Blocked {
    let about = |blocked: Blocked, is, reason| blocked.about_as(Condition::KubeconfigPurged, is, reason);
    match cause(error) {
        Cause::Right => {
            let message = format!(
                "{error}. The bindings are removed, but the kubeconfig is not purged. The operator's role needs the RAM action \
                 cs:CleanClusterUserPermissions and must be an RBAC administrator of the cluster."
            );
            about(
                Blocked::recheck(Reason::Forbidden, message),
                Is::False,
                Reason::Forbidden,
            )
        }
        Cause::Cluster => {
            let message = format!(
                "{error}. The bindings are removed, but the kubeconfig is not purged. Check the operator's cluster ID and region."
            );
            about(
                Blocked::recheck(Reason::ClusterNotFound, message),
                Is::Unknown,
                Reason::NotConfirmed,
            )
        }
        Cause::Known(Code { meaning, advice, .. }) => {
            let message = format!(
                "ACK did not purge the kubeconfig: {error}. This means: {meaning}. The bindings are removed. {advice} The \
                 operator retries every hour."
            );
            let blocked = Blocked::new(Reason::RefusedByAck, Requeue::Recheck, message);
            about(blocked, Is::False, Reason::RefusedByAck)
        }
        Cause::Unknown => {
            let message = format!(
                "ACK refused to purge the kubeconfig: {error}. The bindings are removed. {} The operator retries every hour.",
                possible_causes(force)
            );
            let blocked = Blocked::new(Reason::RefusedByAck, Requeue::Recheck, message);
            about(blocked, Is::False, Reason::RefusedByAck)
        }
        Cause::Passing => {
            let so_far = match error.kind {
                ErrorKind::Conflict => {
                    "The bindings are removed, but the kubeconfig is not purged yet: ACK is changing permissions for another \
                     call. The operator retries in a few seconds."
                }
                ErrorKind::Throttled | ErrorKind::Budget | ErrorKind::Credentials => {
                    "The bindings are removed, but the kubeconfig is not purged yet. The operator retries automatically."
                }
                _ => {
                    "The bindings are removed. The operator does not know whether ACK purged the kubeconfig. It checks next, and \
                     repeats the purge if the kubeconfig still exists."
                }
            };
            let advice = advice(error);
            let space = if advice.is_empty() { "" } else { " " };
            let message = format!("{error}. {so_far}{space}{advice}");
            let pause = error.retry_after.or_else(|| error.known()?.pause);
            // Credentials may have run out in this moment: if they are rejected, the next look says so.
            about(
                Blocked::new(Reason::NotConfirmed, outcome::again(pause), message),
                Is::Unknown,
                Reason::NotConfirmed,
            )
        }
    }
}

/// What a refusal with a code that is not known can mean, by ACK's pages, and what to do about each.
fn possible_causes(force: bool) -> String {
    let guard = match force {
        true => "The operator requested the purge with Force=true, so ACK's 7-day guard is not the cause.".to_owned(),
        false => {
            "Alibaba Cloud does not publish what this code means. The cause may be ACK's 7-day guard, which refuses when the user \
             was active and also when it cannot read the audit log. If you are sure, set activityCheck.whenActive: Proceed: the \
             operator then requests the purge with Force=true."
                .to_owned()
        }
    };
    let other = "ACK also refuses for the user who created the cluster and for the root account, while the cluster has failed or \
     is being deleted, and if the operator's role is not an RBAC administrator of the cluster. Check the cluster and its \
     creator in the ACK console.";
    format!("{guard} {other}")
}

fn state_unknown() -> Blocked {
    let message = "No binding is left. ACK reports the kubeconfig's state as Unknown and does not purge a kubeconfig in that \
     state. The operator retries automatically. If this persists, look at the user's kubeconfig in the ACK console.";
    Blocked::new(Reason::NotConfirmed, Requeue::Backoff, message).about(Condition::KubeconfigPurged, Is::Unknown)
}

/// ACK keeps a purged kubeconfig for 30 days, in which it can be restored (ACK, "kubeconfig recycle bin").
pub const RESTORABLE_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

#[cfg(test)]
mod tests {
    use super::*;
    use alibaba_cloud::{codes, error::Service};
    use std::time::Duration;

    fn answered(status: u16, code: &str, message: &str, kind: ErrorKind) -> ApiError {
        ApiError {
            service: Service::Ack,
            operation: "CleanClusterUserPermissions",
            target: "user 1 in cluster c1".into(),
            kind,
            status: Some(status),
            code: Some(code.into()),
            message: message.into(),
            request_id: None,
            retry_after: None,
        }
    }

    #[test]
    fn every_known_code_is_explained_by_its_cause() {
        for row in codes::CODES.iter().filter(|row| row.services.contains(&Service::Ack)) {
            for force in [false, true] {
                let error = answered(row.status.unwrap_or(400), &row.code.replace('*', ""), "no", row.kind);
                let blocked = not_purged(&error, force);
                assert_ne!(cause(&error), Cause::Unknown, "{row:?}");
                assert!(
                    !blocked.message.contains("7-day") && !blocked.message.contains("Force"),
                    "{}",
                    blocked.message
                );
                assert!(blocked.message.contains(&error.to_string()), "{}", blocked.message);
                let expected = match row.kind {
                    ErrorKind::Forbidden => (Reason::Forbidden, true, Requeue::Recheck),
                    ErrorKind::ClusterNotFound => (Reason::ClusterNotFound, true, Requeue::Recheck),
                    ErrorKind::Rejected | ErrorKind::NotFound => (Reason::RefusedByAck, false, Requeue::Recheck),
                    ErrorKind::Conflict => (Reason::NotConfirmed, false, Requeue::NotBefore(Duration::from_secs(5))),
                    _ => (Reason::NotConfirmed, false, Requeue::Backoff),
                };
                assert_eq!(
                    (blocked.reason, blocked.is_stalled(), blocked.again),
                    expected,
                    "{row:?}"
                );
            }
        }
    }

    #[test]
    fn an_unknown_refusal_is_called_unknown_and_names_what_it_can_be() {
        for status in [400, 403, 404, 409] {
            let kind = match status {
                403 => ErrorKind::Forbidden,
                404 => ErrorKind::NotFound,
                _ => ErrorKind::Rejected,
            };
            let error = answered(status, "ErrorNobodyKnows", "no, for a reason", kind);
            assert_eq!(cause(&error), Cause::Unknown, "{status}");
            let (asked, forced) = (not_purged(&error, false).message, not_purged(&error, true).message);
            for message in [&asked, &forced] {
                for part in [
                    "ErrorNobodyKnows: no, for a reason",
                    "created the cluster",
                    "root account",
                    "RBAC administrator",
                ] {
                    assert!(message.contains(part), "{part}: {message}");
                }
                assert!(!message.contains("RAM action"), "{message}");
            }
            assert!(
                asked.contains("may be ACK's 7-day guard") && asked.contains("whenActive: Proceed"),
                "{asked}"
            );
            assert!(
                forced.contains("is not the cause") && !forced.contains("Proceed"),
                "{forced}"
            );
        }
    }

    #[test]
    fn a_403_that_speaks_of_activity_advises_no_right() {
        for (message, expected) in [
            ("the user accessed the cluster within the last 7 days", Cause::Unknown),
            ("use Force to clean", Cause::Unknown),
            (
                "STSToken policy Forbidden for action cs:CleanClusterUserPermissions",
                Cause::Right,
            ),
            ("not allowed to enforce this", Cause::Right),
        ] {
            let error = answered(403, "StatusForbidden", message, ErrorKind::Forbidden);
            assert_eq!(cause(&error), expected, "{message}");
            let advised = not_purged(&error, false).message.contains("needs the RAM action");
            assert_eq!(advised, expected == Cause::Right, "{message}");
        }
    }

    #[test]
    fn what_never_reached_ack_is_no_refusal() {
        let error = ApiError {
            status: None,
            code: None,
            ..answered(0, "", "this is no ID", ErrorKind::Rejected)
        };
        assert_eq!(cause(&error), Cause::Passing);
    }
}

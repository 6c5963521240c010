//! What ACK's answer to a purge means when it did not accept it. Pure.

use super::outcome::{self, Blocked, Requeue};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    sources::advice,
};
use alibaba_cloud::{
    codes::Code,
    error::{ApiError, ErrorKind},
};

/// Why ACK did not purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
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

pub(super) fn cause(error: &ApiError) -> Cause {
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
pub(super) fn not_accepted(error: &ApiError) -> &'static str {
    match (cause(error), error.kind) {
        (Cause::Passing, ErrorKind::Conflict | ErrorKind::Throttled | ErrorKind::Budget | ErrorKind::Credentials) => {
            "asked ACK to purge the kubeconfig, but ACK has not accepted yet"
        }
        (Cause::Passing, _) => "asked ACK to purge the kubeconfig, but the result is unknown",
        _ => "asked ACK to purge the kubeconfig, but ACK refused",
    }
}

pub(super) fn not_purged(error: &ApiError, force: bool) -> Blocked {
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
        Cause::Known(Code { meaning, remedy, .. }) => {
            let advice = advice::sentence(*remedy);
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
            let advice = advice::of(error);
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

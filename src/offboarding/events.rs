//! An event for each transition: what `kubectl describe` and event exporters show.
//!
//! Events are best effort (they expire, and are merged); the record is in the status and in the backups.

use crate::{
    api::{ConditionType, Reason, UserOffboarding, UserOffboardingStatus, conditions},
    events,
    sources::activity,
};
use k8s_openapi::{api::events::v1::Event, apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::{Client, Resource};

/// Publishes, without waiting for it, an event for each condition that changed between two statuses.
pub(super) fn publish(
    client: &Client,
    now: Timestamp,
    object: &UserOffboarding,
    before: &UserOffboardingStatus,
    after: &UserOffboardingStatus,
) {
    events::publish(client, now, object.object_ref(&()), transitions(before, after));
}

/// One event a condition whose status or reason changed. `Ready` speaks only if no other condition has its reason;
/// `Reconciling`, `Stalled` and `Offboarded` follow from it.
fn transitions(before: &UserOffboardingStatus, after: &UserOffboardingStatus) -> Vec<Event> {
    let changed = |type_: ConditionType| {
        let new = conditions::find(&after.conditions, type_)?;
        let old = conditions::find(&before.conditions, type_);
        let request_changed = type_ == ConditionType::Inactive && last_audit_id(before) != last_audit_id(after);
        let same = old.is_some_and(|old| old.status == new.status && old.reason == new.reason);
        (!same || request_changed).then_some((type_, new))
    };
    let own = |type_: &ConditionType| {
        !matches!(
            type_,
            ConditionType::Ready | ConditionType::Reconciling | ConditionType::Stalled | ConditionType::Offboarded
        )
    };
    let silent = |c: &Condition| {
        [Reason::Pending, Reason::None, Reason::InProgress]
            .iter()
            .any(|quiet| c.reason == quiet.as_str())
    };
    let mut told: Vec<_> = ConditionType::ALL
        .iter()
        .copied()
        .filter(own)
        .filter_map(changed)
        .filter(|(_, c)| !silent(c))
        .collect();
    if let Some((type_, ready)) = changed(ConditionType::Ready).filter(|(_, c)| !silent(c))
        && !told.iter().any(|(_, c)| c.reason == ready.reason)
    {
        told.push((type_, ready));
    }
    told.into_iter()
        .map(|(type_, condition)| event(type_, condition, after))
        .collect()
}

fn last_audit_id(status: &UserOffboardingStatus) -> Option<&str> {
    status.activity.as_ref()?.last_audit_id.as_deref()
}

fn event(type_: ConditionType, condition: &Condition, status: &UserOffboardingStatus) -> Event {
    let is_warning = is_warning(type_, condition, status);
    events::about(type_.as_str(), &condition.reason, &condition.message, is_warning)
}

/// Waiting and approving are ordinary; what failed, is refused, or looks like an incident is a warning.
fn is_warning(type_: ConditionType, condition: &Condition, status: &UserOffboardingStatus) -> bool {
    match type_ {
        ConditionType::Approved => false,
        ConditionType::Inactive => {
            let hit = status.activity.as_ref().and_then(|a| a.last_seen.as_ref());
            let incident = status
                .identity
                .as_ref()
                .zip(hit)
                .is_some_and(|(identity, seen)| activity::is_incident(identity, seen.0));
            condition.status == "Unknown" || (condition.status == "False" && incident)
        }
        ConditionType::AccessReturned => condition.status == "True",
        ConditionType::Ready => {
            conditions::find(&status.conditions, ConditionType::Stalled).is_some_and(|c| c.status == "True")
        }
        _ => condition.status != "True",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ConditionStatus as Is;
    use k8s_openapi::jiff::Timestamp;

    fn status(list: &[(ConditionType, Is, Reason)]) -> UserOffboardingStatus {
        let mut status = UserOffboardingStatus::default();
        for (type_, is, reason) in list {
            conditions::set(
                &mut status.conditions,
                *type_,
                *is,
                *reason,
                "m",
                None,
                Timestamp::UNIX_EPOCH,
            );
        }
        status
    }

    #[test]
    fn each_transition_is_told_once() {
        let before = status(&[(ConditionType::IdentityResolved, Is::Unknown, Reason::Pending)]);
        let after = status(&[
            (ConditionType::IdentityResolved, Is::False, Reason::NameMismatch),
            (ConditionType::Inactive, Is::Unknown, Reason::Pending),
            (ConditionType::Ready, Is::False, Reason::NameMismatch),
            (ConditionType::Stalled, Is::True, Reason::NameMismatch),
            (ConditionType::Offboarded, Is::False, Reason::NameMismatch),
        ]);
        let told: Vec<_> = transitions(&before, &after)
            .into_iter()
            .map(|e| (e.reason.unwrap(), e.type_.unwrap()))
            .collect();
        assert_eq!(told, [("NameMismatch".to_owned(), "Warning".to_owned())]);
        assert!(transitions(&after, &after).is_empty());
    }

    #[test]
    fn ready_speaks_when_nothing_else_does() {
        let after = status(&[
            (ConditionType::KubeconfigPurged, Is::True, Reason::Purged),
            (ConditionType::Ready, Is::True, Reason::Offboarded),
        ]);
        let told: Vec<_> = transitions(&UserOffboardingStatus::default(), &after)
            .into_iter()
            .map(|e| e.reason.unwrap())
            .collect();
        assert_eq!(told, ["Purged", "Offboarded"]);
    }
}

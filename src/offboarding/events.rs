//! An event for each transition: what `kubectl describe` and event exporters show.
//!
//! Events are best effort (they expire, and are merged); the record is in the status and in the backups.

use crate::{
    api::{ConditionType, Reason, UserOffboarding, UserOffboardingStatus, conditions},
    sources::activity,
};
use k8s_openapi::{
    api::events::v1::Event,
    apimachinery::pkg::apis::meta::v1::{Condition, MicroTime},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client, Resource,
    api::{ObjectMeta, PostParams},
};

/// Who reports the events, and the manager of the fields that the operator writes.
pub(super) const CONTROLLER: &str = "ack-offboarding-operator";

/// The most that an event's note may hold.
const NOTE_LIMIT: usize = 1000;

/// What an event's name keeps of its object's: 253 characters are allowed, and a dot and the time follow.
const NAME_LIMIT: usize = 253 - 17;

/// Publishes, without waiting for it, an event for each condition that changed between two statuses.
pub(super) fn publish(
    client: &Client,
    now: Timestamp,
    object: &UserOffboarding,
    before: &UserOffboardingStatus,
    after: &UserOffboardingStatus,
) {
    let events = transitions(before, after);
    if events.is_empty() {
        return;
    }
    let (client, object) = (client.clone(), object.object_ref(&()));
    tokio::spawn(async move {
        for (mut event, nth) in events.into_iter().zip(0..) {
            event.regarding = Some(object.clone());
            // Each of them has a name of its own.
            let at = now.checked_add(SignedDuration::from_nanos(nth)).unwrap_or(now);
            event.event_time = Some(MicroTime(at));
            event.metadata.name = object.name.as_deref().map(|name| event_name(name, at));
            if let Err(error) = post(&client, &event).await {
                tracing::debug!(%error, reason = event.reason, "cannot publish an event");
            }
        }
    });
}

/// Each is an event of its own: one that is counted in another loses its note. (And so the operator needs no right to patch
/// events.) Those of cluster-scoped objects belong to the namespace `default`.
async fn post(client: &Client, event: &Event) -> kube::Result<()> {
    let api: Api<Event> = Api::namespaced(client.clone(), "default");
    api.create(&PostParams::default(), event).await.map(drop)
}

/// The object's name, cut so that the event may bear it, and the time. `regarding` has the whole name.
fn event_name(object: &str, now: Timestamp) -> String {
    let cut: String = object.chars().take(NAME_LIMIT).collect();
    format!("{}.{:016x}", cut.trim_end_matches(['.', '-']), now.as_nanosecond())
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
    let note: String = condition.message.chars().take(NOTE_LIMIT / 4).collect();
    let note = if condition.message.len() <= NOTE_LIMIT {
        condition.message.clone()
    } else {
        note
    };
    let kind = match is_warning(type_, condition, status) {
        true => "Warning",
        false => "Normal",
    };
    Event {
        type_: Some(kind.to_owned()),
        reason: Some(condition.reason.clone()),
        note: Some(note),
        action: Some(type_.as_str().to_owned()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(std::env::var("HOSTNAME").unwrap_or_else(|_| CONTROLLER.to_owned())),
        metadata: ObjectMeta {
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        ..Event::default()
    }
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

    #[test]
    fn an_event_of_the_longest_object_name_has_a_name_that_the_api_server_takes() {
        let now = Timestamp::from_second(4_000_000_000).unwrap();
        assert_eq!(event_name("left", now), "left.3782dace9d900000");
        let long = event_name(&"a".repeat(253), now);
        assert_eq!((long.len(), &long[234..]), (253, "aa.3782dace9d900000"));
        let cut_at_a_dot = event_name(&format!("{}.-bb", "a".repeat(234)), now);
        assert_eq!(&cut_at_a_dot[232..], "aa.3782dace9d900000");
    }
}

//! Publishes events: what `kubectl describe` and event exporters show.
//!
//! Events are best effort (they expire, and are merged); the record is in the status.

use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

/// Who reports the events.
const CONTROLLER: &str = "ack-offboarding-operator";

/// The most that an event's note may hold.
const NOTE_LIMIT: usize = 1000;

/// What an event's name keeps of its object's: 253 characters are allowed, and a dot and the time follow.
const NAME_LIMIT: usize = 253 - 17;

/// An event about a condition.
pub(crate) fn about(action: &str, reason: &str, message: &str, is_warning: bool) -> Event {
    let note: String = match message.len() <= NOTE_LIMIT {
        true => message.to_owned(),
        false => message.chars().take(NOTE_LIMIT / 4).collect(),
    };
    Event {
        type_: Some(if is_warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(reason.to_owned()),
        note: Some(note),
        action: Some(action.to_owned()),
        reporting_controller: Some(CONTROLLER.to_owned()),
        reporting_instance: Some(std::env::var("HOSTNAME").unwrap_or_else(|_| CONTROLLER.to_owned())),
        metadata: ObjectMeta {
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        ..Event::default()
    }
}

/// Publishes them, without waiting for it.
pub(crate) fn publish(client: &Client, now: Timestamp, object: ObjectReference, events: Vec<Event>) {
    if events.is_empty() {
        return;
    }
    let client = client.clone();
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

#[cfg(test)]
mod tests {
    use super::*;

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

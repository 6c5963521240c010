//! One line of the API server's audit log.

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// A request that was carried out, and what it was carried out to.
#[derive(Debug)]
pub(super) struct Event {
    pub received: Timestamp,
    pub done: Timestamp,
    pub user: String,
    pub verb: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub request: Value,
    pub response: Value,
    /// Whether the API server did it; a dry run is not done.
    pub carried_out: bool,
}

impl Event {
    /// `None` for what is no request, or not over yet.
    ///
    /// # Errors
    /// When the line is no audit event.
    pub(super) fn parse(line: &str) -> anyhow::Result<Option<Event>> {
        let mut event: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if text("/stage") != "ResponseComplete" {
            return Ok(None);
        }
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        let parsed = Event {
            received: text("/requestReceivedTimestamp").parse()?,
            done: text("/stageTimestamp").parse()?,
            user: text("/user/username"),
            verb: text("/verb"),
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            carried_out: code.is_some_and(|code| code < 300) && !is_dry_run(&event),
            request: Value::Null,
            response: Value::Null,
        };
        let mut take = |field: &str| event.get_mut(field).map(Value::take).unwrap_or_default();
        Ok(Some(Event {
            request: take("requestObject"),
            response: take("responseObject"),
            ..parsed
        }))
    }

    pub(super) fn is_write(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }

    pub(super) fn is_binding(&self) -> bool {
        self.resource == "rolebindings" || self.resource == "clusterrolebindings"
    }

    /// What it was about, for messages.
    pub(super) fn about(&self) -> String {
        format!(
            "{} {} {}/{:?} at {}",
            self.verb, self.resource, self.namespace, self.name, self.done
        )
    }
}

fn is_dry_run(event: &Value) -> bool {
    let uri = event["requestURI"].as_str().unwrap_or_default();
    uri.contains("dryRun=")
        || event["requestObject"]["dryRun"]
            .as_array()
            .is_some_and(|run| !run.is_empty())
}

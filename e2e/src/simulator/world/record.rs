//! One row of an audit logstore.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::policy::{Level, level};
use crate::simulator::{now, random_hex, rfc3339};

/// One row of an audit logstore: field name to value, all of them strings, as SLS returns them.
///
/// [`Record::by`] starts a synthetic one; [`Record::from_event`] flattens a real audit event as ACK does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Record {
    fields: BTreeMap<String, String>,
}

/// The field of an authorization reason.
pub(super) const REASON: &str = "annotations.authorization.k8s.io/reason";

impl Record {
    /// A successful `get pods` by `username`, now.
    pub fn by(username: &str) -> Self {
        let record = Self {
            fields: BTreeMap::new(),
        };
        record
            .set("auditID", &random_hex(16))
            .set("stage", "ResponseComplete")
            .set("verb", "get")
            .set("requestURI", "/api/v1/namespaces/default/pods/web-0")
            .set("objectRef.resource", "pods")
            .set("objectRef.namespace", "default")
            .set("objectRef.name", "web-0")
            .set("user.username", username)
            .set("user.groups", r#"["system:authenticated"]"#)
            .set("sourceIPs", r#"["192.0.2.10"]"#)
            .set("userAgent", "kubectl/v1.33.0 (linux/amd64)")
            .set("responseStatus.code", "200")
            .set(REASON, "")
            .set("__source__", "192.0.2.1")
            .at(now())
    }

    /// A request that `uid` made in the ACK console: it arrives as `kubernetes-admin`, and only the reason names the user.
    pub fn from_console(uid: &str) -> Self {
        let reason = format!(
            r#"RBAC: allowed by ClusterRoleBinding "{uid}-clusterrolebinding" of ClusterRole "cs:admin" to User "{uid}""#
        );
        Self::by("kubernetes-admin").set(REASON, &reason)
    }

    /// The same as a collector leaves it that parses nothing: the whole event in `content`, besides SLS's own fields.
    pub fn unparsed(self) -> Self {
        let (own, event): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.fields.into_iter().partition(|(name, _)| name.starts_with("__"));
        let content = Value::from_iter(event).to_string();
        Self { fields: own }.set("content", &content)
    }

    /// Sets a field.
    pub fn set(mut self, field: &str, value: &str) -> Self {
        self.fields.insert(field.to_owned(), value.to_owned());
        self
    }

    /// Drops a field.
    pub fn without(mut self, field: &str) -> Self {
        self.fields.remove(field);
        self
    }

    /// What was requested: verb, resource, namespace (`""` for none) and name.
    pub fn requesting(self, verb: &str, resource: &str, namespace: &str, name: &str) -> Self {
        let scope = if namespace.is_empty() {
            String::new()
        } else {
            format!("/namespaces/{namespace}")
        };
        let uri = format!("/api/v1{scope}/{resource}/{name}");
        let record = self
            .set("verb", verb)
            .set("objectRef.resource", resource)
            .set("objectRef.name", name);
        let record = record.set("requestURI", &uri);
        if namespace.is_empty() {
            record.without("objectRef.namespace")
        } else {
            record.set("objectRef.namespace", namespace)
        }
    }

    /// The bodies of the request and of the answer, of a resource of this API group: as much of them as ACK's policy keeps,
    /// which also decides the field `level`. To be called after [`requesting`](Self::requesting).
    pub fn with_bodies(self, group: &str, request: &Value, response: &Value) -> Self {
        let text = |field: &str| self.get(field).unwrap_or_default();
        let level = level(text("requestURI"), text("verb"), group, text("objectRef.resource"));
        let kept = [
            (
                level == Level::Request || level == Level::RequestResponse,
                "requestObject",
                request,
            ),
            (level == Level::RequestResponse, "responseObject", response),
        ];
        let record = self.set("level", level.name());
        kept.into_iter()
            .filter(|(kept, _, body)| *kept && !body.is_null())
            .fold(record, |record, (_, field, body)| record.set(field, &body.to_string()))
    }

    /// When it happened, in unix seconds.
    pub fn at(self, unix: i64) -> Self {
        let time = rfc3339(unix);
        self.set("__time__", &unix.to_string())
            .set("requestReceivedTimestamp", &time)
            .set("stageTimestamp", &time)
    }

    /// It happened so long before now.
    pub fn ago(self, age: Duration) -> Self {
        self.at(now() - age.as_secs() as i64)
    }

    /// A field's value.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// `__time__` in unix seconds.
    pub fn time(&self) -> i64 {
        self.get("__time__").and_then(|t| t.parse().ok()).unwrap_or(0)
    }

    /// All fields.
    pub fn fields(&self) -> &BTreeMap<String, String> {
        &self.fields
    }

    /// Flattens an event of the API server's audit log as ACK's collector does, or says that ACK does not keep it:
    /// the stage RequestReceived, events, and the paths `/healthz*`, `/version` and `/swagger*` are not in its policy.
    /// Bodies that the API server did log are kept if ACK's policy keeps them.
    pub fn from_event(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(scalar);
        let uri = text("/requestURI")?;
        let word = |pointer: &str| text(pointer).unwrap_or_default();
        let group = word("/objectRef/apiGroup");
        let level = level(&uri, &word("/verb"), &group, &word("/objectRef/resource"));
        if level == Level::None || word("/stage") == "RequestReceived" {
            return None;
        }
        let time = text("/stageTimestamp").or_else(|| text("/requestReceivedTimestamp"))?;
        let unix = time.parse::<Timestamp>().ok()?.as_second();
        let mut record = Self {
            fields: BTreeMap::new(),
        }
        .set("__time__", &unix.to_string())
        .set("__source__", "192.0.2.1");
        for field in FLATTENED {
            if let Some(value) = text(&format!("/{}", field.replace('.', "/"))) {
                record = record.set(field, &value);
            }
        }
        let body = |name: &str| event.get(name).unwrap_or(&Value::Null);
        record = record.with_bodies(&group, body("requestObject"), body("responseObject"));
        for (name, value) in event
            .get("annotations")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            if let Some(value) = scalar(value) {
                record = record.set(&format!("annotations.{name}"), &value);
            }
        }
        Some(record)
    }
}

/// The fields that ACK's logstore has of an audit event, besides the annotations.
const FLATTENED: [&str; 17] = [
    "auditID",
    "level",
    "verb",
    "stage",
    "requestURI",
    "objectRef.resource",
    "objectRef.subresource",
    "objectRef.namespace",
    "objectRef.name",
    "user.username",
    "user.groups",
    "sourceIPs",
    "userAgent",
    "responseStatus.code",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "impersonatedUser.username",
];

/// Scalars as they are, arrays and objects as JSON, null as absent.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_audit_event_becomes_strings() {
        let event = serde_json::json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "a1", "stage": "ResponseComplete",
            "requestURI": "/api/v1/namespaces/shop/pods?limit=500", "verb": "list",
            "user": {"username": "259083957089437690-1700000000", "groups": ["system:authenticated"]},
            "sourceIPs": ["127.0.0.1"], "userAgent": "kubectl", "objectRef": {"resource": "pods", "namespace": "shop"},
            "responseStatus": {"metadata": {}, "code": 200},
            "requestReceivedTimestamp": "2026-01-02T03:04:05.000001Z", "stageTimestamp": "2026-01-02T03:04:06.500000Z",
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "because"}
        });
        let record = Record::from_event(&event).expect("kept");
        assert_eq!(record.get("user.username"), Some("259083957089437690-1700000000"));
        assert_eq!(record.get("user.groups"), Some(r#"["system:authenticated"]"#));
        assert_eq!(record.get("sourceIPs"), Some(r#"["127.0.0.1"]"#));
        assert_eq!(record.get("responseStatus.code"), Some("200"));
        assert_eq!(record.get(REASON), Some("because"));
        assert_eq!(record.get("impersonatedUser.username"), None);
        assert_eq!(record.get("__time__"), Some("1767323046"));
    }

    #[test]
    fn of_a_real_audit_event_those_bodies_are_kept_that_acks_policy_keeps() {
        for (verb, group, resource, expected) in [
            (
                "create",
                "rbac.authorization.k8s.io",
                "rolebindings",
                ("RequestResponse", true, true),
            ),
            (
                "list",
                "rbac.authorization.k8s.io",
                "rolebindings",
                ("Request", true, false),
            ),
            ("create", "", "secrets", ("Metadata", false, false)),
            (
                "patch",
                "ack-offboarding.io",
                "useroffboardings",
                ("Metadata", false, false),
            ),
        ] {
            let event = serde_json::json!({
                "level": "RequestResponse", "stage": "ResponseComplete", "requestURI": "/x", "verb": verb,
                "objectRef": {"apiGroup": group, "resource": resource}, "stageTimestamp": "2026-01-02T03:04:06Z",
                "requestObject": {"subjects": [{"name": "a"}]}, "responseObject": {"kind": "x"},
            });
            let record = Record::from_event(&event).expect("kept");
            let has = |field: &str| record.get(field).is_some();
            assert_eq!(
                (
                    record.get("level").unwrap_or(""),
                    has("requestObject"),
                    has("responseObject")
                ),
                expected,
                "{verb} {resource}"
            );
        }
        let synthetic = Record::by("a").requesting("create", "serviceaccounts", "shop", "robot");
        let body = serde_json::json!({"status": {"token": "t"}});
        let record = synthetic.with_bodies("", &Value::Null, &body);
        assert_eq!(record.get("requestObject"), None);
        assert_eq!(record.get("responseObject"), Some(r#"{"status":{"token":"t"}}"#));
    }

    #[test]
    fn what_acks_policy_leaves_out_is_left_out() {
        for event in [
            serde_json::json!({"requestURI": "/api/v1/pods", "stage": "RequestReceived", "stageTimestamp": "2026-01-02T03:04:05Z"}),
            serde_json::json!({"requestURI": "/healthz/ping", "stage": "ResponseComplete", "stageTimestamp": "2026-01-02T03:04:05Z"}),
            serde_json::json!({"requestURI": "/api/v1/events", "stage": "ResponseComplete", "stageTimestamp": "2026-01-02T03:04:05Z",
                "objectRef": {"resource": "events"}}),
        ] {
            assert_eq!(Record::from_event(&event), None, "{event}");
        }
    }
}

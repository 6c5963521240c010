//! Stands in for the API server: a store in memory that answers what the flow asks, and writes down what was written.
//!
//! It has what the flow relies upon: uids, resourceVersions and generations, preconditions, label and field selectors. It has no
//! watch, no admission, no RBAC, no finalizers, and no barrier bindings: where they are missing, the flow lists live.

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

/// The ConfigMap that the operator's own policy lets nobody create: a dry run of it proves the policy.
const POLICY_OF_BACKUPS: &str = "ack-offboarding-backups";

/// The stand-in. Clones share the store.
#[derive(Clone, Default)]
pub(super) struct ApiServer(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    objects: BTreeMap<Address, Value>,
    version: u64,
    writes: Vec<String>,
    webhook: Option<fn(&mut Value)>,
    edit_after: Option<(usize, Edit)>,
}

/// What somebody does to every UserOffboarding.
#[derive(Clone, Copy)]
enum Edit {
    Spec,
    Author,
}

/// Where an object is; the collection is `/api/v1/configmaps`, whatever the namespace.
type Address = (String, Option<String>, String);

/// An answer: a status code and a body.
type Answer = (u16, Value);

impl ApiServer {
    /// A client of it.
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let (code, answer) = server.lock().answer(&head, body);
                let answer = Response::builder()
                    .status(code)
                    .body(Body::from(answer.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        Client::new(service, "default")
    }

    /// Puts an object there, as if somebody else had created it.
    pub(super) fn put(&self, collection: &str, object: Value) {
        let metadata = &object["metadata"];
        let namespace = metadata["namespace"].as_str().map(str::to_owned);
        let name = metadata["name"].as_str().unwrap().to_owned();
        self.lock().create((collection.to_owned(), namespace, name), object);
    }

    /// The object with this name in this collection, and in this namespace if it has one.
    pub(super) fn get(&self, collection: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let address = (collection.to_owned(), namespace.map(str::to_owned), name.to_owned());
        self.lock().objects.get(&address).cloned()
    }

    /// Changes every ConfigMap before it is stored, as a mutating webhook can.
    pub(super) fn webhook(&self, change: fn(&mut Value)) {
        self.lock().webhook = Some(change);
    }

    /// Has somebody edit the spec of every UserOffboarding right after so many effects.
    pub(super) fn edit_after(&self, effects: usize) {
        self.lock().edit_after = Some((effects, Edit::Spec));
    }

    /// Has the operator itself write into every status who asked for it, right after so many effects.
    pub(super) fn author_after(&self, effects: usize) {
        self.lock().edit_after = Some((effects, Edit::Author));
    }

    /// Notes an effect that was carried out elsewhere: the cloud's.
    pub(super) fn note(&self, effect: &str) {
        self.lock().wrote(effect.to_owned());
    }

    /// What was written, in its order: see [`described`]. Events are not among it: they are best effort.
    pub(super) fn writes(&self) -> Vec<String> {
        self.lock().writes.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap()
    }
}

impl Store {
    fn answer(&mut self, head: &http::request::Parts, body: Value) -> Answer {
        let parameters = parameters(head.uri.query().unwrap_or_default());
        let parameter = |name: &str| {
            parameters
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value.as_str())
        };
        let accepts = head
            .headers
            .get(http::header::ACCEPT)
            .map(|value| value.to_str().unwrap());
        let only_metadata = accepts.is_some_and(|accepts| accepts.contains("PartialObjectMetadata"));
        let shown = |object: &Value| match only_metadata {
            true => {
                json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
            }
            false => object.clone(),
        };
        let Place {
            collection,
            namespace,
            name,
            is_status,
        } = Place::of(head.uri.path());
        let Some(name) = name else {
            return match head.method {
                Method::GET => {
                    let selects = |(address, object): &(&Address, &Value)| {
                        address.0 == collection
                            && (namespace.is_none() || address.1 == namespace)
                            && has_labels(object, parameter("labelSelector").unwrap_or_default())
                            && has_field(object, parameter("fieldSelector").unwrap_or_default())
                    };
                    let items: Vec<_> = self
                        .objects
                        .iter()
                        .filter(selects)
                        .map(|(_, object)| shown(object))
                        .collect();
                    let metadata = json!({"resourceVersion": self.version.to_string()});
                    (
                        200,
                        json!({"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items}),
                    )
                }
                Method::POST if collection.ends_with("/selfsubjectreviews") => {
                    let user = "system:serviceaccount:ack-offboarding-system:ack-offboarding-operator";
                    let review = json!({"metadata": {}, "status": {"userInfo": {"username": user}}});
                    (201, review)
                }
                Method::POST if parameter("dryRun").is_some() => failure(
                    403,
                    "Forbidden",
                    &format!(
                        "configmaps is forbidden: ValidatingAdmissionPolicy '{POLICY_OF_BACKUPS}' with binding '{POLICY_OF_BACKUPS}' \
                         denied request: this name is reserved"
                    ),
                ),
                Method::POST => {
                    let name = body["metadata"]["name"].as_str().unwrap().to_owned();
                    self.post((collection, namespace, name), body)
                }
                _ => failure(405, "MethodNotAllowed", "the stand-in does not do this"),
            };
        };
        let address = (collection, namespace, name);
        let Some(object) = self.objects.get(&address) else {
            return failure(404, "NotFound", &format!("{} not found", address.2));
        };
        match head.method {
            Method::GET => (200, shown(object)),
            Method::PATCH if differs(object, &body["metadata"]) => {
                failure(409, "Conflict", "the object has been modified")
            }
            Method::PATCH => self.patch(&address, &body, is_status),
            Method::DELETE if differs(object, &body["preconditions"]) => {
                failure(409, "Conflict", "the precondition does not hold")
            }
            Method::DELETE => {
                let object = self.objects.remove(&address).unwrap();
                self.wrote(described("delete", &object));
                (
                    200,
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
                )
            }
            _ => failure(405, "MethodNotAllowed", "the stand-in does not do this"),
        }
    }

    fn post(&mut self, address: Address, mut object: Value) -> Answer {
        if self.objects.contains_key(&address) {
            return failure(409, "AlreadyExists", &format!("{} already exists", address.2));
        }
        let is_event = address.0.ends_with("/events");
        if let Some(change) = self.webhook.filter(|_| !is_event) {
            change(&mut object);
        }
        let created = self.create(address, object);
        if !is_event {
            self.wrote(described("create", &created));
        }
        (201, created)
    }

    fn create(&mut self, address: Address, mut object: Value) -> Value {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.version));
        metadata["resourceVersion"] = json!(self.version.to_string());
        metadata["creationTimestamp"] = json!("2026-01-15T12:00:00Z");
        self.objects.insert(address, object.clone());
        object
    }

    fn patch(&mut self, address: &Address, patch: &Value, is_status: bool) -> Answer {
        self.version += 1;
        let object = self.objects.get_mut(address).unwrap();
        match is_status {
            // Server-side apply by the only manager: what it no longer says is gone.
            true => object["status"] = patch["status"].clone(),
            false => merge(object, patch),
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let after = object.clone();
        self.wrote(match is_status {
            true => STATUS.to_owned(),
            false => described("patch", &after),
        });
        (200, after)
    }

    fn wrote(&mut self, what: String) {
        self.writes.push(what);
        let effects = self.writes.iter().filter(|write| *write != STATUS).count();
        let Some((_, edit)) = self.edit_after.take_if(|(after, _)| effects >= *after) else {
            return;
        };
        for object in self
            .objects
            .values_mut()
            .filter(|object| object["kind"] == "UserOffboarding")
        {
            self.version += 1;
            match edit {
                Edit::Spec => {
                    let generation = object["metadata"]["generation"].as_i64().unwrap();
                    object["metadata"]["generation"] = json!(generation + 1);
                }
                Edit::Author => {
                    object["status"]["requestedBy"] = json!({"user": "alice", "time": "2026-01-01T00:00:00Z"});
                }
            }
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        }
    }
}

/// What stands for a write of a status.
pub(super) const STATUS: &str = "status";

/// A write in words, as in `patch RoleBinding team-a/developers`. The ConfigMaps are named by their content, so here by what it is.
fn described(verb: &str, object: &Value) -> String {
    let data = &object["data"];
    if data.get("cleared.txt").is_some() {
        return format!("{verb} list of what passed the checks");
    }
    if data.get("index.json").is_some() {
        return format!("{verb} backup");
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .map(|namespace| format!("{namespace}/"));
    let name = text(&object["metadata"]["name"]);
    format!(
        "{verb} {} {}{name}",
        text(&object["kind"]),
        namespace.unwrap_or_default()
    )
}

/// What a path names.
struct Place {
    collection: String,
    namespace: Option<String>,
    name: Option<String>,
    is_status: bool,
}

impl Place {
    /// `/api/VERSION` or `/apis/GROUP/VERSION`, then `/namespaces/NAMESPACE` or nothing, `/PLURAL`, `/NAME`, `/status`.
    fn of(path: &str) -> Self {
        let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let mut rest = parts.split_off(if parts[0] == "api" { 2 } else { 3 });
        let namespace = (rest.len() > 2 && rest[0] == "namespaces").then(|| rest.drain(..2).nth(1).unwrap().to_owned());
        Place {
            collection: format!("/{}/{}", parts.join("/"), rest[0]),
            namespace,
            name: rest.get(1).map(|name| (*name).to_owned()),
            is_status: rest.get(2) == Some(&"status"),
        }
    }
}

/// Whether the object is another than a uid or a resourceVersion that is asked for.
fn differs(object: &Value, asked: &Value) -> bool {
    ["uid", "resourceVersion"]
        .iter()
        .any(|field| !asked[*field].is_null() && asked[*field] != object["metadata"][*field])
}

/// Whether it has the labels: `a=b`, `a!=b` and `a`, with commas between them.
fn has_labels(object: &Value, selector: &str) -> bool {
    let label = |name: &str| object["metadata"]["labels"][name].as_str();
    selector
        .split(',')
        .filter(|one| !one.is_empty())
        .all(|one| match one.split_once('=') {
            Some((name, value)) if name.ends_with('!') => label(&name[..name.len() - 1]) != Some(value),
            Some((name, value)) => label(name) == Some(value),
            None => label(one).is_some(),
        })
}

/// Whether a field, as in `spec.uid`, has the value.
fn has_field(object: &Value, selector: &str) -> bool {
    let Some((path, value)) = selector.split_once('=') else {
        return true;
    };
    object.pointer(&format!("/{}", path.replace('.', "/"))) == Some(&json!(value))
}

/// A JSON merge patch.
fn merge(object: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *object, patch) else {
        *object = patch.clone();
        return;
    };
    for (name, change) in changes {
        match change {
            Value::Null => drop(fields.remove(name)),
            change => merge(fields.entry(name.clone()).or_insert(Value::Null), change),
        }
    }
}

fn failure(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    (code, status)
}

/// The parameters of a query.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

//! What the audit log tells of bindings, backups and offboardings: each state that they were in, and who brought it about.

use super::{event::Event, invariant::Invariant, watched::Watched};
use base64::Engine;
use flate2::read::GzDecoder;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeMap, io::Read};

/// Who removes what lost its owner.
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
/// More than any index: what unpacks to more is no backup.
const UNPACKED: u64 = 256 << 20;

/// A binding as it was after a request.
#[derive(Clone, Debug)]
pub(super) struct BindingState {
    pub version: u64,
    /// Each subject as JSON, in order.
    pub subjects: Vec<String>,
    pub role_ref: String,
    /// Deleted, and held by finalizers.
    pub terminating: bool,
    pub done: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Binding {
    pub kind: String,
    pub namespace: String,
    pub name: String,
    /// By resourceVersion.
    pub states: Vec<BindingState>,
    pub gone: Option<Timestamp>,
}

impl Binding {
    /// The state in this version; without one, the last that is known before `other`.
    pub(super) fn before(&self, version: Option<u64>, other: u64) -> Option<&BindingState> {
        match version {
            Some(version) => self.states.iter().find(|state| state.version == version),
            None => self.states.iter().rfind(|state| state.version < other),
        }
    }
}

/// A ConfigMap with an index of bindings.
#[derive(Debug)]
pub(super) struct Backup {
    pub name: String,
    pub done: Timestamp,
    pub gone: Option<Timestamp>,
    /// The subjects of each, by uid and resourceVersion.
    pub entries: BTreeMap<(String, u64), Vec<String>>,
}

/// A UserOffboarding as it was after a request.
#[derive(Clone, Debug)]
pub(super) struct OffboardingState {
    pub spec: Value,
    pub status: Value,
    pub by: String,
    pub done: Timestamp,
    pub of_status: bool,
}

#[derive(Debug, Default)]
pub(super) struct Offboarding {
    pub name: String,
    pub uid: String,
    pub states: Vec<OffboardingState>,
    pub gone: Option<Timestamp>,
}

/// What the operator did to a binding.
#[derive(Debug)]
pub(super) struct Act {
    pub what: Doing,
    pub about: String,
    pub binding: String,
    pub name: String,
    pub namespace: String,
    pub received: Timestamp,
    /// The version that the request insists on.
    pub pinned: Option<u64>,
    /// The version after it; `u64::MAX` when the binding was gone.
    pub after: u64,
    pub orphans: bool,
    /// Whether the request says anything of subjects.
    pub of_subjects: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Change,
    Delete,
}

/// Everything that the log tells.
#[derive(Debug, Default)]
pub(super) struct History {
    /// By `metadata.uid`.
    pub bindings: BTreeMap<String, Binding>,
    pub backups: Vec<Backup>,
    /// By `metadata.uid`.
    pub offboardings: BTreeMap<String, Offboarding>,
    /// The operator's, in order.
    pub steps: Vec<Act>,
    /// Deletions of bindings by the operator that were refused: namespace and name.
    pub refused: Vec<(String, String)>,
    /// Anything of the operator that is neither a change of a binding nor a new object: what, in words.
    pub strange: Vec<(Invariant, String)>,
    /// What the collector removed, with the uids of its owners.
    pub collected: Vec<(String, Vec<String>)>,
    /// ConfigMaps that the operator made: when, how many bytes, the uid label.
    pub made: Vec<(Timestamp, usize, String)>,
    /// The operator's writes of a status: when, the object's name.
    pub status_writes: Vec<(Timestamp, String)>,
    /// The operator's requests for the barrier: when.
    pub barriers: Vec<Timestamp>,
    /// When the operator asked for whole lists of bindings.
    pub lists: Vec<Timestamp>,
    owners: BTreeMap<(String, String, String), Vec<String>>,
}

impl History {
    pub(super) fn read(
        lines: impl Iterator<Item = std::io::Result<String>>,
        watched: &Watched,
    ) -> anyhow::Result<History> {
        let mut history = History::default();
        for line in lines {
            let Some(event) = Event::parse(&line?)? else { continue };
            history.take(event, watched);
        }
        for binding in history.bindings.values_mut() {
            // Concurrent writes may be logged in another order.
            binding.states.sort_by_key(|state| state.version);
        }
        Ok(history)
    }

    fn take(&mut self, event: Event, watched: &Watched) {
        let is_operator = event.user == watched.operator;
        if is_operator && event.verb == "list" && event.is_binding() {
            self.lists.push(event.received);
        }
        if !event.is_write() {
            return;
        }
        if !event.carried_out {
            if is_operator && event.verb == "delete" && event.is_binding() {
                self.refused.push((event.namespace, event.name));
            }
            return;
        }
        if event.verb == "delete" && event.user == COLLECTOR {
            let key = key(&event);
            let owners = self.owners.get(&key).cloned().unwrap_or_default();
            self.collected.push((event.about(), owners));
        }
        self.note_owners(&event);
        if is_operator {
            self.note_strange(&event, watched);
        }
        match event.resource.as_str() {
            "rolebindings" | "clusterrolebindings" => self.take_binding(&event, watched, is_operator),
            "configmaps" if event.namespace == watched.namespace => self.take_config_map(&event, is_operator),
            "useroffboardings" => self.take_offboarding(event, is_operator),
            _ => {}
        }
    }

    fn note_owners(&mut self, event: &Event) {
        let owners = event.response.pointer("/metadata/ownerReferences");
        if let Some(owners) = owners.and_then(Value::as_array) {
            let uids = owners.iter().map(|owner| text(owner, "/uid")).collect();
            let name = text(&event.response, "/metadata/name");
            let key = (event.resource.clone(), event.namespace.clone(), name);
            self.owners.insert(key, uids);
        }
    }

    fn note_strange(&mut self, event: &Event, watched: &Watched) {
        use super::invariant::Invariant::{I7, I8};
        let deletes = event.verb.starts_with("delete");
        if event.resource == "configmaps" && event.verb != "create" {
            self.strange
                .push((I7, format!("the operator changed a ConfigMap: {}", event.about())));
        } else if deletes && (!event.is_binding() || event.verb == "deletecollection") {
            self.strange.push((
                I8,
                format!("the operator deleted more than a binding: {}", event.about()),
            ));
        } else if deletes && watched.is_barrier(&event.namespace, &event.name) {
            self.strange
                .push((I8, format!("the operator deleted its barrier: {}", event.about())));
        }
    }

    fn take_binding(&mut self, event: &Event, watched: &Watched, is_operator: bool) {
        if event.verb == "deletecollection" {
            let gone = self.bindings.values_mut().filter(|binding| {
                binding.kind == event.resource && binding.namespace == event.namespace && binding.gone.is_none()
            });
            gone.for_each(|binding| binding.gone = Some(event.done));
            return;
        }
        let is_object = event.response.pointer("/metadata/uid").is_some();
        let uid = match is_object {
            true => text(&event.response, "/metadata/uid"),
            false => text(&event.response, "/details/uid"),
        };
        let binding = self.bindings.entry(uid.clone()).or_default();
        binding.kind.clone_from(&event.resource);
        binding.namespace.clone_from(&event.namespace);
        let named = text(&event.response, "/metadata/name");
        binding.name = if event.name.is_empty() {
            named
        } else {
            event.name.clone()
        };
        let mut after = u64::MAX;
        if is_object {
            let state = binding_state(&event.response, event.done);
            after = state.version;
            let finalizers = event.response.pointer("/metadata/finalizers").and_then(Value::as_array);
            if state.terminating && finalizers.is_none_or(Vec::is_empty) {
                binding.gone = Some(event.done);
            }
            // A write that changes nothing has no version of its own.
            if binding.states.iter().all(|known| known.version != after) {
                binding.states.push(state);
            }
        } else {
            binding.gone = Some(event.done);
        }
        if !is_operator {
            return;
        }
        if watched.is_barrier(&event.namespace, &event.name) && event.verb == "patch" {
            self.barriers.push(event.received);
        }
        let (what, pinned) = match event.verb.as_str() {
            "delete" => (Doing::Delete, text(&event.request, "/preconditions/resourceVersion")),
            _ => (Doing::Change, text(&event.request, "/metadata/resourceVersion")),
        };
        self.steps.push(Act {
            what,
            about: event.about(),
            binding: uid,
            name: event.name.clone(),
            namespace: event.namespace.clone(),
            received: event.received,
            pinned: pinned.parse().ok(),
            after,
            of_subjects: !event.request["subjects"].is_null() || event.verb == "update",
            orphans: text(&event.request, "/propagationPolicy") == "Orphan",
        });
    }

    fn take_config_map(&mut self, event: &Event, is_operator: bool) {
        match event.verb.as_str() {
            "create" => {
                let map = &event.response;
                let label = text(map, "/metadata/labels/ack-offboarding.io~1ram-uid");
                if is_operator {
                    let bytes = map["data"].to_string().len() + map["binaryData"].to_string().len();
                    self.made.push((event.done, bytes, label));
                }
                if let Some(entries) = entries(map) {
                    let name = text(map, "/metadata/name");
                    self.backups.push(Backup {
                        name,
                        done: event.done,
                        gone: None,
                        entries,
                    });
                }
            }
            "delete" | "deletecollection" => {
                for backup in &mut self.backups {
                    if (event.name.is_empty() || backup.name == event.name) && backup.gone.is_none() {
                        backup.gone = Some(event.received);
                    }
                }
            }
            _ => {}
        }
    }

    fn take_offboarding(&mut self, event: Event, is_operator: bool) {
        let uid = text(&event.response, "/metadata/uid");
        let of_status = event.subresource == "status";
        if event.verb.starts_with("delete") {
            let all = event.name.is_empty();
            for object in self.offboardings.values_mut() {
                if (all || object.name == event.name) && object.gone.is_none() {
                    object.gone = Some(event.received);
                }
            }
            return;
        }
        let object = self.offboardings.entry(uid).or_default();
        object.name = text(&event.response, "/metadata/name");
        object.uid = text(&event.response, "/spec/uid");
        if is_operator && of_status {
            self.status_writes.push((event.done, object.name.clone()));
        }
        let mut response = event.response;
        object.states.push(OffboardingState {
            spec: response["spec"].take(),
            status: response["status"].take(),
            by: event.user,
            done: event.done,
            of_status,
        });
    }
}

fn key(event: &Event) -> (String, String, String) {
    (event.resource.clone(), event.namespace.clone(), event.name.clone())
}

pub(super) fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn subjects(binding: &Value) -> Vec<String> {
    let list = binding["subjects"].as_array();
    list.into_iter().flatten().map(Value::to_string).collect()
}

fn binding_state(binding: &Value, done: Timestamp) -> BindingState {
    BindingState {
        version: text(binding, "/metadata/resourceVersion").parse().unwrap_or_default(),
        subjects: subjects(binding),
        role_ref: binding["roleRef"].to_string(),
        terminating: binding.pointer("/metadata/deletionTimestamp").is_some(),
        done,
    }
}

/// The bindings in a backup, of this or an older format; `None` if it is none.
fn entries(map: &Value) -> Option<BTreeMap<(String, u64), Vec<String>>> {
    let plain = map["data"]["index.json"].as_str().map(str::to_owned);
    let index = match plain {
        Some(index) => index,
        None => {
            let packed = map["binaryData"]["index.json.gz"].as_str()?;
            let packed = base64::engine::general_purpose::STANDARD.decode(packed).ok()?;
            let mut index = String::new();
            let mut unpacked = GzDecoder::new(packed.as_slice()).take(UNPACKED);
            unpacked.read_to_string(&mut index).ok()?;
            index
        }
    };
    let index: Value = serde_json::from_str(&index).ok()?;
    let list = index["bindings"].as_array()?;
    let of = |entry: &Value| {
        let original = match &entry["original"] {
            Value::String(text) => serde_json::from_str(text).ok()?,
            object => object.clone(),
        };
        let version = text(entry, "/resourceVersion").parse().ok()?;
        // What the entry says and what it holds must be the same.
        let same = text(&original, "/metadata/uid") == text(entry, "/uid")
            && text(&original, "/metadata/resourceVersion") == text(entry, "/resourceVersion");
        same.then(|| ((text(entry, "/uid"), version), subjects(&original)))
    };
    Some(list.iter().filter_map(of).collect())
}

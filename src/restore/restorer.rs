//! Reads, plans, asks the API server by dry run, and writes.

use super::{
    outcome::{Outcome, Restored},
    plan::{NamespaceNow, Plan, plan},
    subject::Subject,
    wanted::Wanted,
};
use crate::{
    api_message::api_message,
    rbac::{BindingKey, effects},
};
use http::{Request, header};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use serde::Deserialize;
use std::{collections::HashMap, sync::Mutex};

/// How often a binding that changes under the hands is looked at again.
const ATTEMPTS: usize = 5;

/// Who wrote it, in `managedFields`.
const MANAGER: &str = "kubectl-ack-offboard";

/// Restores bindings one by one, with the rights of its client. What is refused for one says nothing about the next.
pub struct Restorer {
    client: Client,
    /// What a look at each namespace said.
    namespaces: Mutex<HashMap<String, NamespaceNow>>,
}

/// What the API server answered to a write, or to the dry run of one.
enum Answer {
    Done(String),
    /// The binding is not what was read.
    Changed,
    Ends(Outcome, String),
}

impl Restorer {
    /// With this client, which must repeat no write by itself.
    pub fn new(client: Client) -> Self {
        Restorer {
            client,
            namespaces: Mutex::default(),
        }
    }

    /// What would come of it: the API server is asked by dry run, and nothing is written.
    pub async fn dry_run(&self, wanted: &Wanted) -> Restored {
        self.attempt(wanted, false).await
    }

    /// Gives it back: the write is the one that the API server accepted as a dry run just before, of the binding as it was then.
    pub async fn restore(&self, wanted: &Wanted) -> Restored {
        self.attempt(wanted, true).await
    }

    async fn attempt(&self, wanted: &Wanted, writes: bool) -> Restored {
        let ended = |outcome, message| Restored {
            key: wanted.key.clone(),
            outcome,
            message,
        };
        for _ in 0..ATTEMPTS {
            let live = match effects::fetch(&self.client, &wanted.key, &wanted.leaver).await {
                Ok(live) => live,
                Err(effects::ReadError::Api { source, .. }) => {
                    let (outcome, message) = refusal(&source, "read it");
                    return ended(outcome, message);
                }
                Err(error) => return ended(Outcome::Failed, format!("{error}.")),
            };
            let namespace = self.namespace(wanted.key.namespace.as_deref()).await;
            let now = live.as_ref().map(|(live, text)| (live, text.as_str()));
            let plan = match plan(wanted, now, namespace) {
                Ok(plan) => plan,
                Err(error) => return ended(Outcome::Failed, format!("Its subjects cannot be read: {error}.")),
            };
            if let Some(ended) = Restored::without_writing(&wanted.key, &plan) {
                return ended;
            }
            // The dry run first, each time: RBAC, admission policies and webhooks answer as they would to the write itself.
            let mut changed = false;
            for dry_run in [true, false].into_iter().take(1 + usize::from(writes)) {
                match self.send(wanted, &plan, dry_run).await {
                    Answer::Done(text) => {
                        if let Some(why) = what_is_wrong(wanted, &text) {
                            return ended(Outcome::Failed, why);
                        }
                    }
                    Answer::Changed => {
                        changed = true;
                        break;
                    }
                    Answer::Ends(outcome, message) => return ended(outcome, message),
                }
            }
            if changed {
                continue;
            }
            let (outcome, message) = told(wanted, &plan);
            return ended(outcome, message);
        }
        ended(
            Outcome::Failed,
            format!(
                "It changed {ATTEMPTS} times while it was looked at. Find out what writes to it (a GitOps tool, a controller), and restore again."
            ),
        )
    }

    async fn send(&self, wanted: &Wanted, plan: &Plan, dry_run: bool) -> Answer {
        let path = wanted.key.path();
        let query = format!("?fieldManager={MANAGER}{}", if dry_run { "&dryRun=All" } else { "" });
        let request = match plan {
            Plan::Create { manifest } => {
                let collection = path.rsplit_once('/').map_or("", |(collection, _)| collection);
                Request::post(format!("{collection}{query}"))
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(manifest.clone().into_bytes())
            }
            Plan::Merge { patch, .. } => Request::patch(format!("{path}{query}"))
                .header(header::CONTENT_TYPE, "application/merge-patch+json")
                .body(patch.clone().into_bytes()),
            _ => return Answer::Ends(Outcome::Failed, "There is nothing to write.".to_owned()),
        };
        let answer = match request {
            Ok(request) => self.client.request_text(request).await,
            Err(error) => Err(kube::Error::HttpError(error)),
        };
        let creates = matches!(plan, Plan::Create { .. });
        match answer {
            Ok(text) => Answer::Done(text),
            // It was created, changed, or deleted meanwhile.
            Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_conflict() => Answer::Changed,
            Err(kube::Error::Api(status)) if status.is_not_found() && !creates => Answer::Changed,
            Err(kube::Error::Api(status)) if status.is_not_found() => self.ends(&wanted.key, &Plan::NamespaceMissing),
            Err(error) if is_ending_namespace(&error) => {
                let plan = Plan::Terminating {
                    namespace: true,
                    finalizers: Vec::new(),
                };
                self.ends(&wanted.key, &plan)
            }
            Err(error) => {
                let (outcome, mut message) = refusal(&error, if creates { "create it" } else { "change it" });
                if !dry_run && !matches!(error, kube::Error::Api(_)) {
                    message +=
                        " It is not known whether it was written: restore again, which changes nothing if it was.";
                }
                Answer::Ends(outcome, message)
            }
        }
    }

    fn ends(&self, key: &BindingKey, plan: &Plan) -> Answer {
        match Restored::without_writing(key, plan) {
            Some(ended) => Answer::Ends(ended.outcome, ended.message),
            None => Answer::Changed,
        }
    }

    async fn namespace(&self, name: Option<&str>) -> NamespaceNow {
        let Some(name) = name else { return NamespaceNow::Active };
        let known = |all: &Mutex<HashMap<String, NamespaceNow>>| all.lock().ok()?.get(name).copied();
        if let Some(known) = known(&self.namespaces) {
            return known;
        }
        let api: Api<Namespace> = Api::all(self.client.clone());
        let now = match api.get_metadata_opt(name).await {
            Ok(Some(found)) if found.metadata.deletion_timestamp.is_some() => NamespaceNow::Terminating,
            Ok(Some(_)) => NamespaceNow::Active,
            Ok(None) => NamespaceNow::Missing,
            Err(_) => NamespaceNow::Unknown,
        };
        if let Ok(mut namespaces) = self.namespaces.lock() {
            namespaces.insert(name.to_owned(), now);
        }
        now
    }
}

/// What is said of a binding that was written, or would be.
fn told(wanted: &Wanted, plan: &Plan) -> (Outcome, String) {
    let subjects = |count: usize| match count {
        1 => "1 subject".to_owned(),
        count => format!("{count} subjects"),
    };
    match plan {
        Plan::Merge { added, emptied, .. } => {
            let into = match emptied {
                true => ", which nobody was in",
                false => "; what else is in it stays",
            };
            (
                Outcome::Merged,
                format!("{} put back into {}{into}.", subjects(*added), wanted.role_ref),
            )
        }
        _ => (
            Outcome::Created,
            format!("{} of {}.", subjects(wanted.subjects.len()), wanted.role_ref),
        ),
    }
}

/// What a binding grants, as an answer says it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    role_ref: k8s_openapi::api::rbac::v1::RoleRef,
}

/// What an answer lacks of what was to be written: a webhook or a policy of the cluster may change what it lets pass.
fn what_is_wrong(wanted: &Wanted, answer: &str) -> Option<String> {
    // Not as a LiveBinding: what a dry run would create has no resourceVersion.
    let is = serde_json::from_str::<Granted>(answer);
    let there = Subject::all(answer);
    let (Ok(is), Ok(there)) = (is, there) else {
        return Some("The API server answered with something other than the binding. Look at the binding.".to_owned());
    };
    let role_ref = format!("{}/{}", is.role_ref.kind, is.role_ref.name);
    let lacking = wanted.subjects.iter().find(|subject| !there.contains(subject));
    match lacking {
        Some(subject) => Some(format!(
            "The API server accepted it, but {} {:?} is not in it: a mutating webhook or policy takes it out.",
            subject.kind, subject.name
        )),
        None if role_ref != wanted.role_ref => Some(format!(
            "The API server accepted it, but it grants {role_ref}: a mutating webhook or policy changes it."
        )),
        None => None,
    }
}

/// What a refusal of the API server comes to.
fn refusal(error: &kube::Error, doing: &str) -> (Outcome, String) {
    let said: String = api_message(error)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match error {
        kube::Error::Api(status) if status.is_forbidden() => {
            (Outcome::Forbidden, format!("You may not {doing}: {said}."))
        }
        // A ValidatingAdmissionPolicy refuses with 422 unless it names another reason.
        kube::Error::Api(status) if status.is_invalid() => (
            Outcome::Forbidden,
            format!("The API server refuses to {doing}: {said}."),
        ),
        _ => (Outcome::Failed, format!("Cannot {doing}: {said}.")),
    }
}

/// Whether something cannot be created because its namespace is being deleted.
fn is_ending_namespace(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.as_ref().map(|details| details.causes.as_slice());
    let mut causes = causes.unwrap_or_default().iter();
    causes.any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests;

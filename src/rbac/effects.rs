//! Reads one binding, and the only door to changes of one: each takes the proof that its last state is stored, and the permit.
//!
//! A removal is two moves. The first takes the leaver's subjects out, in exactly the resourceVersion that is stored: from
//! then on the binding grants the leaver nothing, whatever finalizers it has. The second deletes what names nobody any
//! more, and orphans what depends on it: nothing but the binding goes.

use super::permit::Permit;
use super::{
    backup::Stored,
    binding::{self, BindingKey, LiveBinding, MalformedBinding},
    subject::Leaver,
};
use http::{Method, Request, header};
use kube::Client;
use serde_json::json;

/// Why a binding could not be read: nothing is known of it then, least of all that it is gone.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The API server failed.
    #[error("cannot read {key}: {source}")]
    Api { key: BindingKey, source: kube::Error },
    /// It returned something else.
    #[error(transparent)]
    Malformed(#[from] MalformedBinding),
}

#[derive(Debug)]
pub(crate) enum Effect<T> {
    Done(T),
    /// The binding is gone.
    Gone,
    /// The binding is not what was stored: another uid or resourceVersion.
    Conflict,
    /// RBAC, an admission policy or a webhook refused it; in the API server's words.
    Refused(String),
}

/// Proof that a binding named nobody in this resourceVersion, and that its last state with subjects is stored.
///
/// Made here only: from the answer to the change that took the last subject out, or from a live read of a binding whose
/// uid is in the record.
#[derive(Debug)]
pub(crate) struct Disarmed {
    key: BindingKey,
    uid: String,
    resource_version: String,
    /// It was deleted already, and waits for its finalizers: the first twenty.
    pub waits_for: Option<Vec<String>>,
}

/// What a binding is after the leaver's subjects were taken out.
#[derive(Debug)]
pub(crate) enum Shrunk {
    /// It names nobody.
    Disarmed(Disarmed),
    /// It names others, who keep their access.
    Shared,
}

/// What became of a binding that was stored to be deleted.
#[derive(Debug)]
pub(crate) enum Remains {
    /// It does not exist, or another of its name does.
    Gone,
    /// It names nobody, and is to be deleted.
    Shell(Disarmed),
    /// Somebody has put subjects in.
    Filled,
}

/// Reads a binding; `None` if it does not exist. With its text, for whoever stores it.
///
/// # Errors
/// When the API server fails, or answers with something else.
pub async fn fetch(
    client: &Client,
    key: &BindingKey,
    leaver: &Leaver,
) -> Result<Option<(LiveBinding, String)>, ReadError> {
    let failed = |source| ReadError::Api {
        key: key.clone(),
        source,
    };
    let request = Request::get(key.path())
        .body(Vec::new())
        .map_err(|e| failed(kube::Error::HttpError(e)))?;
    match client.request_text(request).await {
        Ok(mut text) => {
            // The API server ends its answers with a line break, which is no part of the object.
            text.truncate(text.trim_end().len());
            Ok(Some((LiveBinding::parse(key, &text, leaver)?, text)))
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Takes the leaver's subjects out of exactly the binding that is stored: this uid in this resourceVersion.
///
/// # Errors
/// When it is not known whether the API server carried it out.
pub(crate) async fn remove_subjects(
    client: &Client,
    stored: &Stored,
    leaver: &Leaver,
    _permit: &Permit,
) -> Result<Effect<Shrunk>, ReadError> {
    let key = stored.key();
    let failed = |source| ReadError::Api {
        key: key.clone(),
        source,
    };
    let others = match stored.is_only_leavers() {
        true => "[]".to_owned(),
        false => {
            // Read again: what others have in a binding may be large, and is not kept in memory.
            let Some((live, text)) = fetch(client, key, leaver).await? else {
                return Ok(Effect::Gone);
            };
            if !stored.is_of(&live) {
                return Ok(Effect::Conflict);
            }
            binding::other_subjects(&text, leaver).map_err(|e| failed(kube::Error::SerdeError(e)))?
        }
    };
    let pin = json!({ "uid": stored.uid(), "resourceVersion": stored.resource_version() });
    let request = Request::patch(key.path())
        .header(header::CONTENT_TYPE, "application/merge-patch+json")
        .body(format!(r#"{{"metadata":{pin},"subjects":{others}}}"#).into_bytes())
        .map_err(|e| failed(kube::Error::HttpError(e)))?;
    let text = match effect(client.request_text(request).await).map_err(failed)? {
        Effect::Done(text) => text,
        Effect::Gone => return Ok(Effect::Gone),
        Effect::Conflict => return Ok(Effect::Conflict),
        Effect::Refused(why) => return Ok(Effect::Refused(why)),
    };
    let after = LiveBinding::parse(key, &text, leaver)?;
    if after.uid != stored.uid() {
        return Ok(Effect::Conflict);
    }
    if after.names_leaver() {
        let why = "the API server accepted the change, but the binding still names the leaver: a mutating webhook or policy \
         restores the subject";
        return Ok(Effect::Refused(why.to_owned()));
    }
    Ok(Effect::Done(match after.subjects {
        0 => Shrunk::Disarmed(Disarmed::of(after)),
        _ => Shrunk::Shared,
    }))
}

/// Deletes a binding that names nobody: this uid in this resourceVersion. What depends on it stays. Says what it waits for
/// if it has finalizers.
///
/// # Errors
/// When it is not known whether the API server carried it out.
pub(crate) async fn delete_disarmed(
    client: &Client,
    disarmed: Disarmed,
    permit: &Permit,
) -> Result<Effect<Vec<String>>, ReadError> {
    let Disarmed {
        key,
        uid,
        resource_version,
        waits_for,
    } = disarmed;
    if let Some(finalizers) = waits_for {
        // It was deleted already.
        return Ok(Effect::Done(finalizers));
    }
    delete_pinned(client, &key, &uid, &resource_version, permit).await
}

/// Deletes exactly the binding that is stored, in one move: for an operator that may not take subjects out. A finalizer
/// keeps it, and the access that it grants.
///
/// # Errors
/// When it is not known whether the API server carried it out.
pub(crate) async fn delete(
    client: &Client,
    stored: &Stored,
    permit: &Permit,
) -> Result<Effect<Vec<String>>, ReadError> {
    delete_pinned(client, stored.key(), stored.uid(), stored.resource_version(), permit).await
}

/// What became of a binding that the record holds to be deleted: after a restart, nothing names the UID any more that would
/// lead to it.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn remains(client: &Client, stored: &Stored, leaver: &Leaver) -> Result<Remains, ReadError> {
    let Some((live, _)) = fetch(client, stored.key(), leaver).await? else {
        return Ok(Remains::Gone);
    };
    if live.uid != stored.uid() {
        return Ok(Remains::Gone);
    }
    Ok(match live.subjects {
        0 => Remains::Shell(Disarmed::of(live)),
        _ => Remains::Filled,
    })
}

impl Disarmed {
    pub(crate) fn uid(&self) -> &str {
        &self.uid
    }

    fn of(live: LiveBinding) -> Self {
        Disarmed {
            waits_for: live.terminating.then_some(live.finalizers),
            key: live.key,
            uid: live.uid,
            resource_version: live.resource_version,
        }
    }
}

async fn delete_pinned(
    client: &Client,
    key: &BindingKey,
    uid: &str,
    resource_version: &str,
    _permit: &Permit,
) -> Result<Effect<Vec<String>>, ReadError> {
    let failed = |source| ReadError::Api {
        key: key.clone(),
        source,
    };
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": { "uid": uid, "resourceVersion": resource_version },
        // With any other policy, the garbage collector takes whatever names the binding as its owner.
        "propagationPolicy": "Orphan",
    });
    let request = Request::builder()
        .method(Method::DELETE)
        .uri(key.path())
        .header(header::CONTENT_TYPE, "application/json")
        .body(options.to_string().into_bytes())
        .map_err(|e| failed(kube::Error::HttpError(e)))?;
    let answer = effect(client.request_text(request).await).map_err(failed)?;
    Ok(match answer {
        Effect::Done(text) => Effect::Done(foreign_finalizers(&text)),
        Effect::Gone => Effect::Gone,
        Effect::Conflict => Effect::Conflict,
        Effect::Refused(why) => Effect::Refused(why),
    })
}

/// The finalizers of a binding whose deletion was accepted, without the one by which the API server itself orphans dependents.
fn foreign_finalizers(text: &str) -> Vec<String> {
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let finalizers = answer.pointer("/metadata/finalizers").and_then(|list| list.as_array());
    let foreign = finalizers
        .into_iter()
        .flatten()
        .filter_map(|finalizer| finalizer.as_str())
        .filter(|finalizer| *finalizer != binding::ORPHAN);
    foreign.take(20).map(|f| f.chars().take(128).collect()).collect()
}

fn effect(result: Result<String, kube::Error>) -> Result<Effect<String>, kube::Error> {
    match result {
        Ok(text) => Ok(Effect::Done(text)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Effect::Gone),
        Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Effect::Conflict),
        // A ValidatingAdmissionPolicy refuses with 422 unless it names another reason.
        Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_invalid() => {
            Ok(Effect::Refused(status.message.clone()))
        }
        Err(error) => Err(error),
    }
}

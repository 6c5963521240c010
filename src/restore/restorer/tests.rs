//! What is asked and written, in which order, and what an answer comes to.

use super::*;
use crate::{
    rbac::{
        BindingKind,
        backup::{StoredAction, StoredEntry, StoredText},
    },
    restore::Wanted,
};
use http::{Method, Response};
use k8s_openapi::jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};
use std::sync::Arc;

fn binding(version: usize, subjects: &[&str]) -> Value {
    let subjects: Vec<_> = subjects
        .iter()
        .map(|name| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}))
        .collect();
    json!({
        "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": version.to_string()},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}, "subjects": subjects,
    })
}

fn wanted() -> Wanted {
    let text = binding(1, &["100"]).to_string();
    let entry = StoredEntry {
        key: BindingKey {
            kind: BindingKind::RoleBinding,
            namespace: Some("n".into()),
            name: "a".into(),
        },
        uid: "u".into(),
        resource_version: "1".into(),
        action: StoredAction::Delete,
        names: vec!["100".into()],
        fingerprint: String::new(),
        sha256: String::new(),
        bytes: text.len(),
    };
    let text = StoredText {
        manifest: text.clone(),
        original: text,
    };
    Wanted::of("100".parse().unwrap(), "backup", Timestamp::UNIX_EPOCH, &entry, &text).unwrap()
}

fn status(code: u16, reason: &str) -> (u16, Value) {
    let causes = json!([{"reason": reason}]);
    let details = json!({"name": "a", "causes": if reason == "NamespaceTerminating" { causes } else { json!([]) }});
    let reason = if code == 403 { "Forbidden" } else { reason };
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": "no\u{7}", "details": details});
    (code, status)
}

/// What is asked of an API server, but for namespaces: method, whether it is a dry run, and how often it was asked before.
type Answers = fn(&Method, bool, usize) -> (u16, Value);

/// Restores against such a server; the outcome, and what was asked as `GET`, `PATCH?`, where `?` is a dry run.
async fn restored(writes: bool, answers: Answers) -> (Outcome, String, Vec<String>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let path = request.uri().path().to_owned();
        let (code, body) = if path.starts_with("/api/v1/namespaces") {
            let meta =
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "n"}});
            (200, meta)
        } else {
            let dry_run = request.uri().query().unwrap_or_default().contains("dryRun=All");
            let line = format!("{}{}", request.method(), if dry_run { "?" } else { "" });
            let mut seen = seen.lock().unwrap();
            let before = seen.iter().filter(|earlier| **earlier == line).count();
            seen.push(line);
            answers(request.method(), dry_run, before)
        };
        let answer = Response::builder()
            .status(code)
            .body(Body::from(body.to_string().into_bytes()));
        async move { answer }
    });
    let restorer = Restorer::new(Client::new(service, "default"));
    let restored = match writes {
        true => restorer.restore(&wanted()).await,
        false => restorer.dry_run(&wanted()).await,
    };
    let asked = asked.lock().unwrap().clone();
    (restored.outcome, restored.message, asked)
}

#[tokio::test]
async fn each_write_is_one_that_was_accepted_as_a_dry_run() {
    let gone: Answers = |method, dry_run, _| match method {
        &Method::GET => status(404, "NotFound"),
        _ => {
            let mut created = binding(1, &["100"]);
            if dry_run {
                // What is not stored has no version.
                created["metadata"].as_object_mut().unwrap().remove("resourceVersion");
            }
            (201, created)
        }
    };
    let (outcome, _, asked) = restored(false, gone).await;
    assert_eq!((outcome, asked), (Outcome::Created, vec!["GET".into(), "POST?".into()]));
    let (outcome, _, asked) = restored(true, gone).await;
    let all = ["GET", "POST?", "POST"].map(str::to_owned);
    assert_eq!((outcome, asked), (Outcome::Created, all.into()));
}

#[tokio::test]
async fn what_changes_meanwhile_is_looked_at_again_and_not_for_ever() {
    // Another wrote between the dry run and the write, and put the leaver back.
    let once: Answers = |method, dry_run, before| match (method, dry_run, before) {
        (&Method::GET, _, 0) => (200, binding(1, &[])),
        (&Method::GET, ..) => (200, binding(2, &["100"])),
        (_, true, _) => (200, binding(1, &["100"])),
        _ => status(409, "Conflict"),
    };
    let (outcome, _, asked) = restored(true, once).await;
    let all = ["GET", "PATCH?", "PATCH", "GET"].map(str::to_owned);
    assert_eq!((outcome, asked), (Outcome::AlreadyThere, all.into()));
    // It was created meanwhile, under the role that is stored, without the leaver.
    let created: Answers = |method, _, before| match (method, before) {
        (&Method::GET, 0) => status(404, "NotFound"),
        (&Method::GET, _) => (200, binding(1, &["300"])),
        (&Method::POST, _) => status(409, "AlreadyExists"),
        _ => (200, binding(2, &["300", "100"])),
    };
    assert_eq!(restored(true, created).await.0, Outcome::Merged);
    let always: Answers = |method, _, _| match method {
        &Method::GET => (200, binding(1, &[])),
        _ => status(409, "Conflict"),
    };
    let (outcome, message, asked) = restored(true, always).await;
    assert_eq!((outcome, asked.len()), (Outcome::Failed, 2 * ATTEMPTS), "{message}");
}

#[tokio::test]
async fn a_refusal_has_its_result() {
    let unread: Answers = |_, _, _| status(403, "Forbidden");
    let unwritten: Answers = |method, _, _| match method {
        &Method::GET => status(404, "NotFound"),
        _ => status(403, "Forbidden"),
    };
    let ending: Answers = |method, _, _| match method {
        &Method::GET => status(404, "NotFound"),
        _ => status(403, "NamespaceTerminating"),
    };
    let no_namespace: Answers = |_, _, _| status(404, "NotFound");
    let policy: Answers = |method, _, _| match method {
        &Method::GET => (200, binding(1, &[])),
        _ => status(422, "Invalid"),
    };
    let broken: Answers = |method, _, _| match method {
        &Method::GET => (200, binding(1, &[])),
        _ => status(500, "InternalError"),
    };
    let stripped: Answers = |method, _, _| match method {
        &Method::GET => (200, binding(1, &["300"])),
        _ => (200, binding(2, &["300"])),
    };
    let nonsense: Answers = |_, _, _| (200, json!({"kind": "Table"}));
    for (answers, expected, said) in [
        (unread, Outcome::Forbidden, "You may not read it: no "),
        (unwritten, Outcome::Forbidden, "You may not create it: no "),
        (ending, Outcome::Terminating, "Namespace n is being deleted"),
        (no_namespace, Outcome::NamespaceMissing, "Namespace n does not exist"),
        (policy, Outcome::Forbidden, "refuses to change it: no "),
        (broken, Outcome::Failed, "Cannot change it: no "),
        (
            stripped,
            Outcome::Failed,
            "User \"100\" is not in it: a mutating webhook",
        ),
        (nonsense, Outcome::Failed, "RoleBinding n/a"),
    ] {
        let (outcome, message, asked) = restored(true, answers).await;
        assert_eq!(outcome, expected, "{message}");
        assert!(message.contains(said), "{said}: {message}");
        assert!(!message.contains('\u{7}'), "{message:?}");
        let wrote = |line: &String| line == "POST" || line == "PATCH";
        assert!(!asked.iter().any(wrote), "nothing was written: {asked:?}");
    }
}

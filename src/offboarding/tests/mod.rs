//! The flow as a whole, in this process: `cargo test -p ack-offboarding-operator --lib offboard` tries it in seconds.
//!
//! A case is a leaver ([`Env::new`], with the spec), bindings ([`Env::binding`]), answers of the cloud where they are not the usual ones
//! ([`Env::answer`], from `answers/`), and what is expected of [`Ended`]: the conditions, and what was written, in its order. What only a
//! real API server does (admission, watches, finalizers, the garbage collector), and what takes more than one reconcile, belongs into a
//! scenario of `e2e/`.

mod api_server;
mod cloud;
mod env;

use super::ANEW;
use env::{COLLEAGUE, Ended, Env, LEAVER};
use serde_json::{Value, json};

const LIST: &str = "create list of what passed the checks";
const BACKUP: &str = "create backup";
const SHRINK: &str = "patch RoleBinding team-a/developers";
const EMPTY: &str = "patch RoleBinding team-b/own";
const DELETE: &str = "delete RoleBinding team-b/own";
const PURGE: &str = "purge";

/// The leaver is bound alone, by the name in a certificate.
fn bound_alone(spec: Value) -> Env {
    Env::new(spec).binding("team-b", "own", &[&format!("{LEAVER}-1700000000")])
}

/// The leaver is bound alone, and in one binding with a colleague.
fn bound_twice(spec: Value) -> Env {
    bound_alone(spec).binding("team-a", "developers", &[LEAVER, COLLEAGUE])
}

/// Nothing was changed, and the status says why.
fn assert_untouched(ended: &Ended) {
    assert_eq!(ended.writes, ["status"]);
    assert_eq!(ended.users("team-a", "developers").unwrap(), [LEAVER, COLLEAGUE]);
    assert_eq!(ended.users("team-b", "own").unwrap().len(), 1);
}

#[tokio::test]
async fn a_leaver_is_offboarded_step_by_step() {
    let ended = bound_twice(json!({})).reconcile().await;
    ended.assert("Offboarded", "True/Verified");
    ended.assert("KubeconfigPurged", "True/Purged");
    assert_eq!(ended.users("team-a", "developers").unwrap(), [COLLEAGUE]);
    assert_eq!(ended.users("team-b", "own"), None);
    // What passed the checks is in the status before anything is changed.
    assert_eq!(ended.writes[..3], [LIST, "status", BACKUP]);
    let effects = ended.effects();
    let mut all = [LIST, BACKUP, SHRINK, EMPTY, DELETE, PURGE];
    all.sort_unstable();
    let mut sorted = effects.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, all, "each once");
    // The two bindings are removed at the same time.
    let at = |effect| effects.iter().position(|one| *one == effect);
    assert!(
        at(BACKUP) < at(SHRINK).min(at(EMPTY)) && at(EMPTY) < at(DELETE),
        "{effects:?}"
    );
    assert_eq!(effects.last(), Some(&PURGE));
}

#[tokio::test]
async fn an_active_identity_keeps_its_access() {
    let request = include_str!("answers/sls-logs-request.json");
    let ended = bound_twice(json!({}))
        .answer("GetLogsV2", (200, request))
        .reconcile()
        .await;
    ended.assert("Ready", "False/WaitingForInactivity");
    ended.assert("Inactive", "False/ActiveInWindow");
    assert_untouched(&ended);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_but_the_status() {
    let ended = bound_twice(json!({"mode": "DryRun"})).reconcile().await;
    ended.assert("Ready", "True/DryRunComplete");
    assert_untouched(&ended);
}

#[tokio::test]
async fn another_name_than_the_expected_one_changes_nothing() {
    let ended = bound_twice(json!({"expectedName": "somebody-else"})).reconcile().await;
    ended.assert("Ready", "False/NameMismatch");
    assert_untouched(&ended);
}

#[tokio::test]
async fn without_a_backup_as_it_was_written_nothing_is_removed() {
    let env = bound_twice(json!({}));
    env.api_server.webhook(|map| {
        // What people restore from.
        if let Some(list) = map["data"].get_mut("deleted.yaml") {
            *list = json!(list.as_str().unwrap().replace("team-b", "team-c"));
        }
    });
    let ended = env.reconcile().await;
    ended.assert("Ready", "False/VerifyFailed");
    assert_eq!(ended.effects(), [LIST, BACKUP]);
    assert_eq!(ended.users("team-a", "developers").unwrap(), [LEAVER, COLLEAGUE]);
    assert_eq!(ended.users("team-b", "own").unwrap().len(), 1);
}

/// Between any two effects: what was asked for before the edit is void, and the object is looked at anew.
#[tokio::test]
async fn an_edit_stops_the_run_before_the_next_effect() {
    let all = [LIST, BACKUP, EMPTY, DELETE, PURGE];
    assert_eq!(bound_alone(json!({})).reconcile().await.effects(), all);
    for done in 1..=all.len() {
        let env = bound_alone(json!({}));
        env.api_server.edit_after(done);
        let ended = env.reconcile().await;
        assert_eq!(ended.effects(), all[..done]);
        assert_eq!(ended.action, ANEW, "after {done}");
        assert!(!ended.condition("Offboarded").starts_with("True"), "after {done}");
    }
}

/// Between any two effects: who asked is written beside the run, which goes on, and keeps it.
#[tokio::test]
async fn what_is_written_beside_a_run_neither_stops_it_nor_is_lost() {
    let all = [LIST, BACKUP, EMPTY, DELETE, PURGE];
    for done in 1..=all.len() {
        let env = bound_alone(json!({}));
        env.api_server.author_after(done);
        let ended = env.reconcile().await;
        assert_eq!(ended.effects(), all);
        ended.assert("Offboarded", "True/Verified");
        assert_eq!(ended.status()["requestedBy"]["user"], "alice", "after {done}");
    }
}

#[tokio::test]
async fn what_ack_refuses_to_purge_is_said_and_the_bindings_are_gone() {
    let refused = include_str!("answers/cs-purge-refused.json");
    let ended = bound_twice(json!({}))
        .answer("CleanClusterUserPermissions", (400, refused))
        .reconcile()
        .await;
    ended.assert("Ready", "False/RefusedByAck");
    ended.assert("BindingsRemoved", "True/Removed");
    assert_eq!(ended.users("team-a", "developers").unwrap(), [COLLEAGUE]);
    assert_eq!(ended.users("team-b", "own"), None);
    assert!(!ended.effects().contains(&PURGE));
}

#[tokio::test]
async fn an_identity_that_cannot_be_looked_up_changes_nothing() {
    let error = include_str!("answers/ims-internal-error.json");
    let ended = bound_twice(json!({})).answer("GetUser", (500, error)).reconcile().await;
    ended.assert("IdentityResolved", "Unknown/LookupFailed");
    ended.assert("Ready", "False/LookupFailed");
    assert_untouched(&ended);
}

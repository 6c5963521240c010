//! Each invariant is broken on purpose, and the observer complains of that one alone.

use super::{Asked, Invariant, Question, Watched, judge};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const OPERATOR: &str = "system:serviceaccount:ack:operator";
const PERSON: &str = "kubernetes-admin";
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";
const UID: &str = "204100000000000001";
const PROTECTED: &str = "204100000000000009";
const COLLEAGUE: &str = "204100000000000002";

/// A log that is written a second after the other.
struct Log {
    lines: Vec<String>,
    asked: Vec<Asked>,
    now: Timestamp,
}

impl Log {
    /// Somebody asks to offboard UID.
    fn new(spec: Value) -> Log {
        let mut log = Log {
            lines: Vec::new(),
            asked: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
        };
        log.offboarding(PERSON, "", spec, Value::Null);
        log.ask(Question::Search, &format!("user.username: {UID}*"));
        log.ask(Question::KubeconfigState, UID);
        log
    }

    fn automatic() -> Log {
        Log::new(json!({"uid": UID}))
    }

    fn event(&mut self, user: &str, verb: &str, object: (&str, &str, &str), request: &Value, response: &Value) {
        let (resource, namespace, name) = object;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let received = self.now + SignedDuration::from_secs(1);
        self.now = received + SignedDuration::from_secs(1);
        let line = json!({
            "stage": "ResponseComplete", "requestURI": "/x", "verb": verb, "user": {"username": user},
            "objectRef": {"resource": resource, "subresource": subresource, "namespace": namespace, "name": name},
            "responseStatus": {"code": 200}, "requestObject": request, "responseObject": response,
            "requestReceivedTimestamp": received.to_string(), "stageTimestamp": self.now.to_string(),
        });
        self.lines.push(line.to_string());
    }

    fn offboarding(&mut self, user: &str, subresource: &str, spec: Value, status: Value) {
        let object = json!({"metadata": {"uid": "o1", "name": "left"}, "spec": spec, "status": status});
        let resource = format!("useroffboardings{subresource}");
        self.event(user, "patch", (&resource, "", "left"), &Value::Null, &object);
    }

    fn ask(&mut self, what: Question, about: &str) {
        self.now += SignedDuration::from_secs(1);
        self.asked.push(Asked {
            at: self.now,
            what,
            about: about.to_owned(),
            succeeded: true,
        });
    }

    /// A write of the binding `team-a/leaver`, whose metadata.uid is b1.
    fn write(&mut self, user: &str, version: u64, names: &[&str]) {
        let object = binding(version, names);
        let pin = json!({"metadata": {"uid": "b1", "resourceVersion": (version - 1).to_string()}});
        self.event(user, "patch", ("rolebindings", "team-a", "leaver"), &pin, &object);
    }

    fn back_up(&mut self, version: u64, names: &[&str]) {
        let entry = json!({"uid": "b1", "resourceVersion": version.to_string(), "original": binding(version, names)});
        let index = json!({"formatVersion": 2, "bindings": [entry]}).to_string();
        let map = json!({
            "metadata": {"name": "offboarding-1", "labels": {"ack-offboarding.io/ram-uid": UID}},
            "data": {"index.json": index},
        });
        self.event(OPERATOR, "create", ("configmaps", "ack", ""), &Value::Null, &map);
    }

    fn delete(&mut self, policy: &str) {
        let request = json!({"propagationPolicy": policy, "preconditions": {"uid": "b1"}});
        let response = json!({"kind": "Status", "details": {"uid": "b1"}});
        self.event(
            OPERATOR,
            "delete",
            ("rolebindings", "team-a", "leaver"),
            &request,
            &response,
        );
    }

    fn barrier(&mut self) {
        let barrier = json!({"metadata": {"uid": "f1", "name": "barrier", "resourceVersion": "1"}});
        self.event(
            OPERATOR,
            "patch",
            ("rolebindings", "ack", "barrier"),
            &Value::Null,
            &barrier,
        );
    }

    fn say_offboarded(&mut self) {
        let status = json!({"conditions": [{"type": "Offboarded", "status": "True"}]});
        self.offboarding(OPERATOR, "/status", json!({"uid": UID}), status);
    }

    /// What should be: stored, disarmed, deleted, verified.
    fn remove(&mut self) {
        self.write(PERSON, 10, &[UID]);
        self.back_up(10, &[UID]);
        self.write(OPERATOR, 11, &[]);
        self.delete("Orphan");
        self.barrier();
        self.say_offboarded();
    }

    fn breaches(self) -> Vec<String> {
        let watched = Watched {
            operator: OPERATOR.to_owned(),
            namespace: "ack".to_owned(),
            barrier: "barrier".to_owned(),
            protected: BTreeSet::from([PROTECTED.to_owned()]),
        };
        let found = judge(self.lines.into_iter().map(Ok), &self.asked, &watched).expect("a log");
        found.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn breaks(self, invariant: Invariant) {
        let found = self.breaches();
        assert!(!found.is_empty(), "the observer saw nothing");
        let only = found
            .iter()
            .all(|breach| breach.starts_with(&format!("{invariant:?}:")));
        assert!(only, "expected {invariant:?}: {found:#?}");
    }
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name})
}

fn binding(version: u64, names: &[&str]) -> Value {
    json!({
        "metadata": {"uid": "b1", "name": "leaver", "namespace": "team-a", "resourceVersion": version.to_string()},
        "roleRef": {"kind": "ClusterRole", "name": "edit"},
        "subjects": names.iter().map(|name| user(name)).collect::<Vec<_>>(),
    })
}

#[test]
fn an_offboarding_as_it_should_be_breaks_nothing() {
    let mut log = Log::automatic();
    log.remove();
    assert_eq!(log.breaches(), Vec::<String>::new());
    // And one that is shared, and one whose index is packed.
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[COLLEAGUE, UID, &format!("{UID}-1700000000")]);
    log.back_up(10, &[COLLEAGUE, UID, &format!("{UID}-1700000000")]);
    log.write(OPERATOR, 11, &[COLLEAGUE]);
    assert_eq!(log.breaches(), Vec::<String>::new());
}

#[test]
fn i1_a_change_needs_a_backup_of_that_version() {
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.write(OPERATOR, 11, &[]);
    log.breaks(Invariant::I1);

    // Of an older version, or of the version in words and not in content, is none.
    for (version, names) in [(9, vec![UID]), (10, vec![COLLEAGUE])] {
        let mut log = Log::automatic();
        log.write(PERSON, 10, &[UID]);
        log.back_up(version, &names);
        log.write(OPERATOR, 11, &[]);
        log.breaks(Invariant::I1);
    }

    // Too late.
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.write(OPERATOR, 11, &[]);
    log.back_up(10, &[UID]);
    log.breaks(Invariant::I1);

    // Gone before.
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.back_up(10, &[UID]);
    let gone = json!({"kind": "Status"});
    log.event(
        PERSON,
        "delete",
        ("configmaps", "ack", "offboarding-1"),
        &Value::Null,
        &gone,
    );
    log.now += SignedDuration::from_secs(5);
    log.write(OPERATOR, 11, &[]);
    log.breaks(Invariant::I1);
}

#[test]
fn i1_a_shell_is_deleted_only_if_what_it_was_is_stored() {
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    // Somebody else emptied it.
    log.write(PERSON, 11, &[]);
    log.delete("Orphan");
    log.breaks(Invariant::I1);

    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.back_up(10, &[UID]);
    log.write(PERSON, 11, &[]);
    log.delete("Orphan");
    assert_eq!(log.breaches(), Vec::<String>::new());
}

#[test]
fn i2_other_subjects_keep_their_place() {
    let both = [COLLEAGUE, UID];
    let mut log = Log::automatic();
    log.write(PERSON, 10, &both);
    log.back_up(10, &both);
    log.write(OPERATOR, 11, &[]);
    log.breaks(Invariant::I2);

    let mut log = Log::automatic();
    log.write(PERSON, 10, &both);
    log.back_up(10, &both);
    log.delete("Orphan");
    log.breaks(Invariant::I2);

    // Nobody's access is added either.
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.back_up(10, &[UID]);
    log.write(OPERATOR, 11, &[COLLEAGUE]);
    log.breaks(Invariant::I2);
}

#[test]
fn i3_nothing_goes_before_the_log_was_searched() {
    let mut log = Log::automatic();
    log.asked.retain(|asked| asked.what != Question::Search);
    log.remove();
    log.breaks(Invariant::I3);

    let mut log = Log::automatic();
    log.asked.retain(|asked| asked.what != Question::Search);
    log.ask(Question::Purge, UID);
    log.breaks(Invariant::I3);

    let mut log = Log::new(json!({"uid": UID, "activityCheck": {"whenUnknown": "Proceed"}}));
    log.asked.retain(|asked| asked.what != Question::Search);
    log.remove();
    assert_eq!(log.breaches(), Vec::<String>::new());
}

#[test]
fn i4_protected_identities_are_not_touched() {
    let mut log = Log::new(json!({"uid": PROTECTED}));
    log.ask(Question::Search, PROTECTED);
    log.write(PERSON, 10, &[PROTECTED]);
    log.back_up(10, &[PROTECTED]);
    log.write(OPERATOR, 11, &[]);
    log.breaks(Invariant::I4);

    let mut log = Log::new(json!({"uid": PROTECTED}));
    log.ask(Question::Search, PROTECTED);
    log.ask(Question::Purge, PROTECTED);
    log.breaks(Invariant::I4);
}

#[test]
fn i5_offboarded_is_said_of_what_is_gone() {
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.now += SignedDuration::from_secs(5);
    log.barrier();
    log.say_offboarded();
    log.breaks(Invariant::I5);

    let mut log = Log::automatic();
    log.say_offboarded();
    log.breaks(Invariant::I5);

    let mut log = Log::automatic();
    log.asked.retain(|asked| asked.what != Question::KubeconfigState);
    log.barrier();
    log.say_offboarded();
    log.breaks(Invariant::I5);
}

#[test]
fn i6_no_shell_is_left_at_the_end() {
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.back_up(10, &[UID]);
    log.write(OPERATOR, 11, &[]);
    log.barrier();
    log.say_offboarded();
    log.breaks(Invariant::I6);
}

#[test]
fn i7_backups_stay_as_they_are() {
    for verb in ["update", "patch", "delete", "deletecollection"] {
        let mut log = Log::automatic();
        log.remove();
        let map = json!({"metadata": {"name": "offboarding-1"}});
        log.event(
            OPERATOR,
            verb,
            ("configmaps", "ack", "offboarding-1"),
            &Value::Null,
            &map,
        );
        log.breaks(Invariant::I7);
    }
}

#[test]
fn i8_nothing_else_goes() {
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    log.back_up(10, &[UID]);
    log.write(OPERATOR, 11, &[]);
    log.delete("Background");
    log.breaks(Invariant::I8);

    let mut log = Log::automatic();
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [{"uid": "b1"}]}});
    log.event(PERSON, "create", ("secrets", "team-a", ""), &Value::Null, &owned);
    log.remove();
    let gone = json!({"kind": "Status"});
    log.event(COLLECTOR, "delete", ("secrets", "team-a", "owned"), &Value::Null, &gone);
    log.breaks(Invariant::I8);

    let mut log = Log::automatic();
    log.event(OPERATOR, "delete", ("secrets", "team-a", "owned"), &Value::Null, &gone);
    log.breaks(Invariant::I8);
}

#[test]
fn i9_what_needs_an_approval_has_one() {
    let digest = "sha256:00";
    let plan = json!({"plan": {"digest": digest}});
    let manual = json!({"uid": UID, "approval": "Manual"});
    let approved = json!({"uid": UID, "approval": "Manual", "approvals": [{"digest": digest}]});
    for spec in [
        json!({"uid": UID, "suspend": true}),
        json!({"uid": UID, "mode": "DryRun"}),
        manual.clone(),
        // Of a plan that the operator never proposed.
        approved.clone(),
    ] {
        let mut log = Log::new(spec);
        log.write(PERSON, 10, &[UID]);
        log.back_up(10, &[UID]);
        log.write(OPERATOR, 11, &[]);
        log.breaks(Invariant::I9);
    }
    for (by, is_fine) in [(PERSON, true), (OPERATOR, false), (UID, false)] {
        let mut log = Log::new(manual.clone());
        log.offboarding(OPERATOR, "/status", manual.clone(), plan.clone());
        log.offboarding(by, "", approved.clone(), plan.clone());
        log.write(PERSON, 10, &[UID]);
        log.back_up(10, &[UID]);
        log.write(OPERATOR, 11, &[]);
        match is_fine {
            true => assert_eq!(log.breaches(), Vec::<String>::new()),
            false => log.breaks(Invariant::I9),
        }
    }
}

#[test]
fn i10_storage_and_requests_have_bounds() {
    let mut log = Log::automatic();
    for _ in 0..400 {
        log.back_up(10, &[UID]);
        log.now -= SignedDuration::from_secs(2);
    }
    log.breaks(Invariant::I10);

    let mut log = Log::automatic();
    for _ in 0..300 {
        log.offboarding(OPERATOR, "/status", json!({"uid": UID}), Value::Null);
        log.now -= SignedDuration::from_secs(2);
    }
    log.breaks(Invariant::I10);

    let mut log = Log::automatic();
    for _ in 0..2_000 {
        log.ask(Question::Other, "");
        log.now -= SignedDuration::from_secs(1);
    }
    log.breaks(Invariant::I10);
}

#[test]
fn a_dry_run_and_a_refusal_are_no_change() {
    let mut log = Log::automatic();
    log.write(PERSON, 10, &[UID]);
    for change in ["/requestURI", "/responseStatus/code", "/requestObject/dryRun"] {
        log.write(OPERATOR, 11, &[]);
        let mut line: Value = serde_json::from_str(&log.lines.pop().expect("a line")).expect("JSON");
        match change {
            "/requestURI" => line["requestURI"] = json!("/x?dryRun=All&fieldManager=x"),
            "/responseStatus/code" => line["responseStatus"]["code"] = json!(403),
            _ => line["requestObject"]["dryRun"] = json!(["All"]),
        }
        log.lines.push(line.to_string());
    }
    assert_eq!(log.breaches(), Vec::<String>::new());
}

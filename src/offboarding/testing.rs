//! Plain data for the tests of the pure steps.

use super::{cleared::Cleared, facts::Facts, journal::Journal, peers::Asked, plan};
use crate::sources::identity::Identity;
use crate::{
    api::{BindingAction, CertState, UserOffboardingSpec, UserOffboardingStatus},
    rbac::{
        BindingKey, BindingKind, LiveBinding,
        backup::{StoredAction, StoredEntry, StoredPart},
        subject::{Leaver, RBAC_GROUP},
    },
};
use alibaba_cloud::sts::CallerIdentity;
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// UID 100, user "leaver", of the cluster's account, with nothing here.
pub(super) fn facts() -> Facts {
    let spec: UserOffboardingSpec = serde_json::from_value(json!({ "uid": "100" })).unwrap();
    Facts {
        now: Timestamp::from_second(1_000_000_000).unwrap(),
        uid: "100".parse().unwrap(),
        leaver: leaver(),
        object_name: "left".into(),
        object_uid: "o-1".into(),
        spec,
        asked: Asked {
            uid: "100".parse().unwrap(),
            name: "left".into(),
            objects: vec![("o-1".to_owned(), 1)],
            listed: std::sync::Arc::new(tokio::sync::Mutex::new(std::time::Instant::now())),
        },
        peers: Vec::new(),
        last_known: None,
        returned_at: None,
        undecided: Vec::new(),
        unread: Vec::new(),
        barrier: Vec::new(),
        cleared: Cleared::default(),
        status: UserOffboardingStatus::default(),
        cluster_id: "c1".into(),
        cluster_account: "1".into(),
        protected: Vec::new(),
        caller: Ok(CallerIdentity {
            account_id: "1".into(),
            arn: "acs:ram::1:assumed-role/operator/session".into(),
            identity_type: "AssumedRoleUser".into(),
            principal_id: "9:session".into(),
            user_id: None,
            role_id: Some("9".into()),
        }),
        identity: Ok(Identity::User { name: "leaver".into() }),
        bindings: Vec::new(),
        kubeconfig: Ok(CertState::Absent),
        record: Journal::default(),
    }
}

/// UID 100, and what ACK's certificates of it are called.
pub(super) fn leaver() -> Leaver {
    Leaver::new("100".parse().unwrap(), &[], &[])
}

/// A RoleBinding `n/NAME` with these subjects.
pub(super) fn binding(name: &str, subjects: &[Value]) -> Arc<LiveBinding> {
    let key = BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: Some("n".into()),
        name: name.into(),
    };
    let text = json!({
        "metadata": {"name": name, "namespace": "n", "uid": format!("u-{name}"), "resourceVersion": "7"},
        "roleRef": {"kind": "Role", "name": "r"},
        "subjects": subjects,
    });
    Arc::new(LiveBinding::parse(&key, &text.to_string(), &leaver()).unwrap())
}

/// A subject: the user of this name.
pub(super) fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": RBAC_GROUP, "name": name})
}

/// A user with two bindings.
pub(super) fn holder() -> Facts {
    let mut facts = facts();
    facts.bindings = vec![binding("a", &[user("100")]), binding("b", &[user("100")])];
    facts
}

/// A time this many seconds after the facts were taken.
pub(super) fn after(facts: &Facts, seconds: i64) -> Time {
    Time(Timestamp::from_second(facts.now.as_second() + seconds).unwrap())
}

/// A stored part that holds these bindings of the facts, made this long before now.
pub(super) fn part(facts: &Facts, seconds_ago: i64, names: &[&str]) -> StoredPart {
    let items = plan::plan(facts).items;
    let stored = items
        .iter()
        .filter(|i| names.contains(&i.binding.key.name.as_str()))
        .map(|i| StoredEntry {
            key: i.binding.key.clone(),
            uid: i.binding.uid.clone(),
            resource_version: i.binding.resource_version.clone(),
            action: match i.action {
                BindingAction::Delete => StoredAction::Delete,
                BindingAction::RemoveSubject => StoredAction::RemoveSubject,
            },
            names: i.binding.names.clone(),
            fingerprint: i.fingerprint.clone(),
            sha256: i.binding.sha256.clone(),
            bytes: i.binding.bytes,
        });
    let created = after(facts, -seconds_ago).0;
    StoredPart::of(&format!("part-{seconds_ago}"), created, "r", stored.collect())
}

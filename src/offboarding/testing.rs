//! Plain data for the tests of the pure steps.

use super::{cleared::Cleared, facts::Facts, journal::Journal, peers::Asked};
use crate::sources::identity::Identity;
use crate::{
    api::{CertState, UserOffboardingSpec, UserOffboardingStatus},
    rbac::{BindingKey, BindingKind, LiveBinding, subject::Leaver},
};
use alibaba_cloud::sts::CallerIdentity;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

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
pub(super) fn binding(name: &str, subjects: &[Value]) -> LiveBinding {
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
    LiveBinding::parse(&key, &text.to_string(), &leaver()).unwrap()
}

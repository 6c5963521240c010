//! One reconcile of one object, against the two stand-ins.

use super::{
    api_server::{ApiServer, STATUS},
    cloud::{Answer, Cloud},
};
use crate::{
    api::UserOffboarding,
    clock::Clock,
    offboarding::{
        policies::{Policies, Prover},
        reconcile,
        run::Run,
        settings::Settings,
    },
    rbac::{barrier_bindings::BarrierNames, permit::Leadership, watch::BindingIndex},
};
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// The leaver: RAM user "leaver" in the recorded answers.
pub(super) const LEAVER: &str = "200000000000000100";
/// Somebody else.
pub(super) const COLLEAGUE: &str = "200000000000000200";
/// What every case's clock says. The log's records are of before.
const NOW: &str = "2026-01-15T12:00:00Z";
/// The operator's namespace: the one that the policies in `policies.yaml` are rendered for.
const NAMESPACE: &str = "ack-offboarding-system";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const OBJECTS: &str = "/apis/ack-offboarding.io/v1alpha1/useroffboardings";
const OBJECT: &str = "left";

/// The cluster and the cloud before the reconcile.
pub(super) struct Env {
    pub(super) api_server: ApiServer,
    cloud: Cloud,
}

/// What the reconcile came to.
pub(super) struct Ended {
    /// When the object is to be looked at again.
    pub(super) action: Action,
    /// What was written, in its order, as in `patch RoleBinding team-a/developers`; `status` is the object's.
    pub(super) writes: Vec<String>,
    api_server: ApiServer,
}

impl Env {
    /// A cluster with an object of this spec (the UID is the leaver's), the operator's policies in force, and nothing else; a cloud with the
    /// usual answers.
    pub(super) fn new(mut spec: Value) -> Self {
        let api_server = ApiServer::default();
        let policies: Vec<Option<Value>> = serde_saphyr::from_multiple(include_str!("../policies.yaml")).unwrap();
        for policy in policies.into_iter().flatten() {
            let plural = match policy["kind"].as_str().unwrap() {
                "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
                _ => "validatingadmissionpolicybindings",
            };
            api_server.put(&format!("/apis/admissionregistration.k8s.io/v1/{plural}"), policy);
        }
        spec["uid"] = json!(LEAVER);
        let object = json!({
            "apiVersion": "ack-offboarding.io/v1alpha1",
            "kind": "UserOffboarding",
            "metadata": {"name": OBJECT, "generation": 1},
            "spec": spec,
        });
        api_server.put(OBJECTS, object);
        let cloud = Cloud::new(api_server.clone());
        Env { api_server, cloud }
    }

    /// With a RoleBinding that names these users.
    pub(super) fn binding(self, namespace: &str, name: &str, users: &[&str]) -> Self {
        let subject = |user: &&str| json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user});
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"namespace": namespace, "name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": users.iter().map(subject).collect::<Vec<_>>(),
        });
        self.api_server.put(&format!("{RBAC}/rolebindings"), binding);
        self
    }

    /// With another answer for an operation of the cloud.
    pub(super) fn answer(self, operation: &'static str, answer: Answer) -> Self {
        self.cloud.answers(operation, answer);
        self
    }

    /// Reconciles the object once.
    pub(super) async fn reconcile(self) -> Ended {
        let client = self.api_server.client();
        let barrier = BarrierNames {
            cluster_role_binding: "ack-offboarding-barrier".into(),
            role_binding: "ack-offboarding-barrier".into(),
            namespace: NAMESPACE.into(),
        };
        let leadership = Leadership::default();
        leadership.alone();
        let settings = Settings {
            cluster_id: "c1".into(),
            account_id: "1000000000000001".into(),
            namespace: NAMESPACE.into(),
            barrier: barrier.clone(),
            protected_uids: Vec::new(),
            approval_policy: true,
            remove_subjects: true,
            backups_per_day: 100,
            cloud_calls_per_minute: 1200,
            new_runs_per_hour: 10,
            recheck_interval: Duration::from_secs(3600),
            poll_interval: Duration::from_secs(24 * 3600),
            backoff_first: Duration::from_secs(5),
            backoff_longest: Duration::from_secs(600),
        };
        let now: Timestamp = NOW.parse().unwrap();
        let run = Run::new(
            client.clone(),
            self.cloud.connect().await,
            Arc::new(BindingIndex::new(&barrier)),
            settings,
            Clock::new(move || now),
            leadership.clone(),
            Prover::new(
                Policies::new(client, barrier, true),
                leadership,
                Duration::from_secs(3600),
            ),
            Arc::new(()),
        );
        let object: UserOffboarding =
            serde_json::from_value(self.api_server.get(OBJECTS, None, OBJECT).unwrap()).unwrap();
        let action = reconcile(&run, object, LEAVER.parse().unwrap()).await.unwrap();
        Ended {
            action,
            writes: self.api_server.writes(),
            api_server: self.api_server,
        }
    }
}

impl Ended {
    /// The writes that are not of the object's own status.
    pub(super) fn effects(&self) -> Vec<&str> {
        let writes = self.writes.iter().map(String::as_str);
        writes.filter(|write| *write != STATUS).collect()
    }

    /// The object's status.
    pub(super) fn status(&self) -> Value {
        self.api_server.get(OBJECTS, None, OBJECT).unwrap()["status"].clone()
    }

    /// A condition's status, reason and message, as in `False/WaitingForInactivity: UID 1 was active`.
    pub(super) fn condition(&self, type_: &str) -> String {
        let object = self.api_server.get(OBJECTS, None, OBJECT).unwrap();
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == type_);
        let text = |field: &str| {
            found
                .and_then(|condition| condition[field].as_str())
                .unwrap_or_default()
        };
        format!("{}/{}: {}", text("status"), text("reason"), text("message"))
    }

    /// Asserts a condition's status and reason, as in `False/WaitingForInactivity`.
    #[track_caller]
    pub(super) fn assert(&self, type_: &str, expected: &str) {
        let condition = self.condition(type_);
        let is = condition.split(':').next();
        assert_eq!(is, Some(expected), "{type_}: {condition}");
    }

    /// The users that a RoleBinding names; `None` if it is gone.
    pub(super) fn users(&self, namespace: &str, name: &str) -> Option<Vec<String>> {
        let binding = self
            .api_server
            .get(&format!("{RBAC}/rolebindings"), Some(namespace), name)?;
        let subjects = binding["subjects"].as_array().unwrap();
        let name = |subject: &Value| subject["name"].as_str().unwrap().to_owned();
        Some(subjects.iter().map(name).collect())
    }
}

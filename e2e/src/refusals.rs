//! What the chart does not let the operator's token do: each is tried, and the API server says no.

use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};

use crate::{
    cluster::{BARRIER, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT},
    env::user,
};

/// What is tried: the method, the path, the body, and what the refusal says.
type Attempt = (&'static str, Method, String, Value, &'static str);

/// What came of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// What was tried.
    pub what: &'static str,
    /// The API server's words, if it did not refuse as it should.
    pub refused: Result<(), String>,
}

/// The binding that some attempts are about, in the namespace `team-a`: with the subjects `stays` and the leaver.
pub const SHARED: &str = "shared";

/// Tries everything with the operator's token, and impersonation. The binding [`SHARED`] has to be there.
pub async fn try_all(operator: &Client, leaver: &str) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (what, method, path, body, says) in attempts(leaver) {
        let refused = match attempt(operator, &method, &path, &body).await {
            Err(kube::Error::Api(status)) if [403, 422].contains(&status.code) && status.message.contains(says) => {
                Ok(())
            }
            other => Err(format!("expected a refusal that says {says:?}, got {other:?}")),
        };
        outcomes.push(Outcome { what, refused });
    }
    // Whatever it may not do, it may not do in another's name either.
    for (what, header, value) in [
        ("impersonate a user", "impersonate-user", "admin"),
        ("impersonate a group", "impersonate-group", "system:masters"),
    ] {
        let request = Request::get("/api/v1/nodes")
            .header("impersonate-user", "x")
            .header(header, value)
            .body(Vec::new());
        let refused = match request {
            Ok(request) => match operator.request_text(request).await {
                Err(error) if error.to_string().contains("cannot impersonate") => Ok(()),
                other => Err(format!("expected a refusal of impersonation, got {other:?}")),
            },
            Err(error) => Err(error.to_string()),
        };
        outcomes.push(Outcome { what, refused });
    }
    outcomes
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const FORBIDDEN: &str = "cannot";

fn attempts(leaver: &str) -> Vec<Attempt> {
    let itself = json!({"kind": "ServiceAccount", "name": OPERATOR_SERVICE_ACCOUNT, "namespace": OPERATOR_NAMESPACE});
    let to_admin = json!({
        "metadata": {"name": "mine"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [itself],
    });
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let own = |resource: &str| format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/{resource}");
    let team = |resource: &str| format!("/api/v1/namespaces/team-a/{resource}");
    let team_rbac = |resource: &str| format!("{RBAC}/namespaces/team-a/{resource}");
    let offboardings = "/apis/ack-offboarding.io/v1alpha1/useroffboardings";
    let lease = "/apis/coordination.k8s.io/v1/namespaces";
    let note = json!({"metadata": {"annotations": {"x": "y"}}});
    let map = json!({"metadata": {"name": "x"}, "data": {"a": "b"}});
    let pod = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x"}]}});
    vec![
        (
            "create a RoleBinding",
            post.clone(),
            team_rbac("rolebindings"),
            to_admin.clone(),
            FORBIDDEN,
        ),
        (
            "create a ClusterRoleBinding",
            post.clone(),
            format!("{RBAC}/clusterrolebindings"),
            to_admin.clone(),
            FORBIDDEN,
        ),
        (
            "replace a binding",
            put.clone(),
            team_rbac("rolebindings/shared"),
            to_admin.clone(),
            FORBIDDEN,
        ),
        (
            "add a subject",
            patch.clone(),
            team_rbac("rolebindings/shared"),
            json!({"subjects": [user("stays"), user(leaver), itself]}),
            "adds no subject",
        ),
        (
            "replace a subject by itself",
            patch.clone(),
            team_rbac("rolebindings/shared"),
            json!({"subjects": [itself]}),
            "adds no subject",
        ),
        (
            "bind itself to cluster-admin",
            patch.clone(),
            format!("{RBAC}/clusterrolebindings/cluster-admin"),
            json!({"subjects": [itself]}),
            "adds no subject",
        ),
        (
            "take out another's subject along with the leaver's",
            patch.clone(),
            team_rbac("rolebindings/shared"),
            json!({"subjects": []}),
            "one RAM identity",
        ),
        (
            "change the roleRef",
            patch.clone(),
            team_rbac("rolebindings/shared"),
            json!({"roleRef": {"name": "cluster-admin"}}),
            "",
        ),
        (
            "annotate a binding",
            patch.clone(),
            team_rbac("rolebindings/shared"),
            note.clone(),
            "no annotation",
        ),
        (
            "give its barrier a subject",
            patch.clone(),
            format!("{RBAC}/clusterrolebindings/{BARRIER}"),
            json!({"subjects": [itself]}),
            "adds no subject",
        ),
        (
            "delete a binding that others are in",
            delete.clone(),
            team_rbac("rolebindings/shared"),
            json!({"propagationPolicy": "Orphan"}),
            "nobody else",
        ),
        (
            "delete a binding of a group",
            delete.clone(),
            format!("{RBAC}/clusterrolebindings/cluster-admin"),
            json!({"propagationPolicy": "Orphan"}),
            "nobody else",
        ),
        (
            "delete a barrier",
            delete.clone(),
            format!("{RBAC}/clusterrolebindings/{BARRIER}"),
            json!({"propagationPolicy": "Orphan"}),
            "no barrier",
        ),
        (
            "delete a binding along with what it owns",
            delete.clone(),
            team_rbac("rolebindings/shared"),
            json!({"propagationPolicy": "Background"}),
            "propagationPolicy Orphan",
        ),
        (
            "delete all bindings of a namespace in one call",
            delete.clone(),
            team_rbac("rolebindings"),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "create a Role",
            post.clone(),
            team_rbac("roles"),
            json!({"metadata": {"name": "x"}, "rules": []}),
            FORBIDDEN,
        ),
        ("read a Role", get.clone(), team_rbac("roles"), Value::Null, FORBIDDEN),
        (
            "change its own ClusterRole",
            patch.clone(),
            format!("{RBAC}/clusterroles/ack-offboarding-operator"),
            json!({"rules": []}),
            FORBIDDEN,
        ),
        (
            "delete a ClusterRole",
            delete.clone(),
            format!("{RBAC}/clusterroles/view"),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "change a backup",
            patch.clone(),
            own("configmaps/backup"),
            json!({"data": {"deleted.yaml": ""}}),
            FORBIDDEN,
        ),
        (
            "replace a backup",
            put.clone(),
            own("configmaps/backup"),
            map.clone(),
            FORBIDDEN,
        ),
        (
            "delete a backup",
            delete.clone(),
            own("configmaps/backup"),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "watch ConfigMaps",
            get.clone(),
            format!("{}?watch=true", own("configmaps")),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "read ConfigMaps elsewhere",
            get.clone(),
            team("configmaps"),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "create a ConfigMap elsewhere",
            post.clone(),
            team("configmaps"),
            map.clone(),
            FORBIDDEN,
        ),
        (
            "create the ConfigMap that shows the backups' policy",
            post.clone(),
            own("configmaps"),
            json!({"metadata": {"name": "offboarding-policy-probe"}}),
            "nobody creates",
        ),
        (
            "read another ConfigMap of kube-system",
            get.clone(),
            "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication".to_owned(),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "change the cluster's profile",
            patch.clone(),
            "/api/v1/namespaces/kube-system/configmaps/ack-cluster-profile".to_owned(),
            json!({"data": {"uid": "1"}}),
            FORBIDDEN,
        ),
        (
            "read a Secret of its own namespace",
            get.clone(),
            own("secrets/keys"),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "list the cluster's Secrets",
            get.clone(),
            "/api/v1/secrets".to_owned(),
            Value::Null,
            FORBIDDEN,
        ),
        ("create a Pod", post.clone(), own("pods"), pod, FORBIDDEN),
        (
            "get a token of a ServiceAccount",
            post.clone(),
            own("serviceaccounts/ack-offboarding-operator/token"),
            json!({"spec": {"audiences": []}}),
            FORBIDDEN,
        ),
        (
            "create a UserOffboarding",
            post.clone(),
            offboardings.to_owned(),
            json!({"metadata": {"name": "x"}, "spec": {"uid": "1"}}),
            FORBIDDEN,
        ),
        (
            "approve its own plan",
            patch.clone(),
            format!("{offboardings}/left"),
            json!({"spec": {"approvals": []}}),
            FORBIDDEN,
        ),
        (
            "delete a UserOffboarding",
            delete.clone(),
            format!("{offboardings}/left"),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "change another Lease",
            put.clone(),
            format!("{lease}/{OPERATOR_NAMESPACE}/leases/other"),
            json!({"metadata": {"name": "other"}}),
            FORBIDDEN,
        ),
        (
            "take a Lease elsewhere",
            post.clone(),
            format!("{lease}/kube-system/leases"),
            json!({"metadata": {"name": "x"}}),
            FORBIDDEN,
        ),
        (
            "delete its Lease",
            delete.clone(),
            format!("{lease}/{OPERATOR_NAMESPACE}/leases/ack-offboarding-operator"),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "read events",
            get.clone(),
            "/apis/events.k8s.io/v1/events".to_owned(),
            Value::Null,
            FORBIDDEN,
        ),
        (
            "switch the admission policy off",
            delete,
            "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/ack-offboarding-operator"
                .to_owned(),
            Value::Null,
            FORBIDDEN,
        ),
        ("read nodes", get, "/api/v1/nodes".to_owned(), Value::Null, FORBIDDEN),
    ]
}

async fn attempt(client: &Client, method: &Method, path: &str, body: &Value) -> Result<String, kube::Error> {
    let content = match *method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(body);
    client.request_text(request.map_err(kube::Error::HttpError)?).await
}

//! The simulated cloud, as the operator's pods reach it: under the host names of the VPC, at port 443, with RRSA.

use std::net::SocketAddr;

use anyhow::Context;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, Client, api::PostParams};
use serde_json::{Value, json};

use super::target::Target;
use crate::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, apply_objects, eventually},
    env::{ACCOUNT, CLUSTER_ID, OPERATOR_ROLE, PATIENCE, REGION, world},
    simulator::{
        self, Operation, Simulator,
        world::{OidcProvider, OidcTrust, Role},
    },
};

const ROLE: &str = "ack-offboarding-operator";
const PROFILE: &str = "ack-cluster-profile";
/// The name of everything that gives pods a way to the simulator.
const NAME: &str = "simulated-cloud";

/// The ARN of the RAM role that the pods assume.
pub(super) fn role_arn() -> String {
    format!("acs:ram::{ACCOUNT}:role/{ROLE}")
}

/// The ARN of the cluster's OIDC provider.
pub(super) fn provider_arn() -> String {
    format!("acs:ram::{ACCOUNT}:oidc-provider/ack-rrsa-{CLUSTER_ID}")
}

/// Starts the simulator. Its RRSA provider has the key set that the API server publishes, and trusts the operator's ServiceAccount.
pub(super) async fn start(target: &Target, admin: &Client) -> anyhow::Result<Simulator> {
    let get = async |path: &str| -> anyhow::Result<Value> {
        let request = http::Request::get(path).body(Vec::new())?;
        admin
            .request(request)
            .await
            .with_context(|| format!("cannot get {path}"))
    };
    let discovery = get("/.well-known/openid-configuration").await?;
    let mut world = world();
    // Only RRSA opens the door.
    world.access_keys.clear();
    world.oidc_providers = vec![OidcProvider {
        arn: provider_arn(),
        issuer: discovery["issuer"].as_str().unwrap_or_default().to_owned(),
        audience: "sts.aliyuncs.com".to_owned(),
        jwks: get("/openid/v1/jwks").await?,
    }];
    let mut role = Role::new(OPERATOR_ROLE, ROLE);
    role.trust = Some(OidcTrust {
        provider_arn: provider_arn(),
        subject: format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}"),
    });
    world.roles = vec![role];
    let sim = Simulator::start(simulator::Options {
        world,
        https: Some(SocketAddr::new(target.listen()?, 443)),
        beyond_loopback: true,
        ..simulator::Options::default()
    })?;
    sim.attach_cluster(CLUSTER_ID, target.kubeconfig());
    if let Some(audit_log) = target.audit_log() {
        sim.follow_audit_log(CLUSTER_ID, &audit_log);
    }
    let profile: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": PROFILE, "namespace": "kube-system", "labels": {NAME: "yes"}},
        "data": {"clusterid": CLUSTER_ID, "uid": ACCOUNT},
    }))?;
    // Not applied: on an ACK cluster it is ACK's, and the cluster is no place for this.
    Api::namespaced(admin.clone(), "kube-system")
        .create(&PostParams::default(), &profile)
        .await
        .context("cannot make the ConfigMap kube-system/ack-cluster-profile; is this an ACK cluster?")?;
    apply_objects(admin, &surroundings(target, &sim)).await?;
    until_in_force(admin).await?;
    Ok(sim)
}

/// Waits until pods are given their way to the cloud: a policy is in force about a second after it was made.
async fn until_in_force(admin: &Client) -> anyhow::Result<()> {
    let pods = Api::<Pod>::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {"automountServiceAccountToken": false, "containers": [{"name": "operator", "image": "probe"}]},
    }))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the MutatingAdmissionPolicy to be in force", PATIENCE, async || {
        // The namespace's ServiceAccount may not be there yet.
        let created = pods.create(&dry_run, &pod).await.ok();
        let aliases = created.and_then(|pod| pod.spec?.host_aliases);
        Ok(aliases.map(drop))
    })
    .await
}

/// Takes away what [`start`] put into the cluster: with the policy left in it, nothing there would ever reach the real cloud.
pub(super) async fn leave(target: &Target) {
    for what in [
        "mutatingadmissionpolicybinding simulated-cloud",
        "mutatingadmissionpolicy simulated-cloud",
        "configmap simulated-cloud",
        // By its label: an ACK cluster has one of its own.
        "configmap --selector simulated-cloud=yes --namespace kube-system",
    ] {
        let arguments = ["delete", "--ignore-not-found"].into_iter().chain(what.split(' '));
        if let Err(error) = target.kubectl(arguments).await {
            eprintln!("The cluster may still have {what}: {error:#}");
        }
    }
}

/// How many times STS gave credentials for a pod's token, which it does for a token of this cluster's API server only.
pub(super) fn tokens_accepted(sim: &Simulator) -> usize {
    sim.calls()
        .iter()
        .filter(|call| call.operation == Operation::StsAssumeRoleWithOidc && call.status == Some(200))
        .count()
}

/// What an ACK cluster has and this one lacks: its profile, and a way for pods to the cloud, with a certificate that they trust.
fn surroundings(target: &Target, sim: &Simulator) -> Vec<Value> {
    let hosts = [
        format!("sts-vpc.{REGION}.aliyuncs.com"),
        "ims.vpc-proxy.aliyuncs.com".to_owned(),
        "ram.vpc-proxy.aliyuncs.com".to_owned(),
        format!("cs-anony-vpc.{REGION}.aliyuncs.com"),
        format!("k8s-log-{CLUSTER_ID}.{REGION}-intranet.log.aliyuncs.com"),
    ];
    let mutation = format!(
        r#"Object{{spec: Object.spec{{
            volumes: [Object.spec.volumes{{name: "{name}", configMap: Object.spec.volumes.configMap{{name: "{name}"}}}}],
            containers: [Object.spec.containers{{
                name: "operator",
                env: [Object.spec.containers.env{{name: "SSL_CERT_FILE", value: "/{name}/ca.crt"}}],
                volumeMounts: [Object.spec.containers.volumeMounts{{name: "{name}", mountPath: "/{name}"}}]
            }}]
        }}}}"#,
        name = NAME,
    );
    // Lists of names are atomic: an ApplyConfiguration may not set them.
    let names = format!(
        r#"[JSONPatch{{op: "add", path: "/spec/hostAliases", value: [{{"ip": dyn("{}"), "hostnames": dyn({hosts:?})}}]}}]"#,
        target.address
    );
    let name = json!({ "name": NAME });
    let rbac = "admissionregistration.k8s.io/v1";
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}}),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": NAME, "namespace": OPERATOR_NAMESPACE},
            "data": {"ca.crt": sim.ca_pem()},
        }),
        json!({
            "apiVersion": rbac, "kind": "MutatingAdmissionPolicy", "metadata": name,
            "spec": {
                "failurePolicy": "Fail",
                "reinvocationPolicy": "Never",
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OPERATOR_NAMESPACE}},
                    "resourceRules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
                    ],
                },
                "matchConditions": [
                    {"name": "operator", "expression": "object.spec.containers.exists(c, c.name == 'operator')"},
                ],
                "mutations": [
                    {"patchType": "JSONPatch", "jsonPatch": {"expression": names}},
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": mutation}},
                ],
            },
        }),
        json!({
            "apiVersion": rbac, "kind": "MutatingAdmissionPolicyBinding", "metadata": name,
            "spec": {"policyName": NAME},
        }),
    ]
}

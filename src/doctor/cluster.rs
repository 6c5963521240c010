//! The cluster: is it the right kind of API server, and is what the operator needs installed and working?

use super::{
    permissions::{permissions, permitted},
    report::{Check, LOOK, Outcome, RESTORE},
};
use crate::{
    api::UserOffboarding,
    api_message::api_message,
    offboarding::policies::{self, Seen},
    operator::settings::RunArgs,
    rbac::barrier_bindings::NONCE_ANNOTATION,
};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    core::v1::ConfigMap,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// The oldest minor version of Kubernetes 1 that is supported.
const OLDEST_MINOR: u32 = 33;
/// The name of the operator's ServiceAccount: fixed, as the admission policies name it.
const SERVICE_ACCOUNT: &str = "ack-offboarding-operator";

/// The name of what is tried as a dry run.
const TRIAL: &str = "ack-offboarding-doctor";

/// Whether the API server is new enough; and whether it answers at all.
pub(super) async fn api_server(client: &Client) -> (Check, bool) {
    let name = "API server";
    match client.apiserver_version().await {
        Ok(version) => {
            let (major, minor) = (&version.major, version.minor.trim_end_matches('+'));
            let is_new_enough = major == "1" && minor.parse::<u32>().is_ok_and(|minor| minor >= OLDEST_MINOR);
            let found = format!("Kubernetes {}", version.git_version);
            let fix = format!("Upgrade the cluster to Kubernetes 1.{OLDEST_MINOR} or later.");
            match is_new_enough {
                true => (Check::ok(name, found), true),
                false => (Check::failed(name, found, fix), true),
            }
        }
        Err(error) => {
            let found = format!("it does not answer: {}", api_message(&error));
            let fix = "Check its address in the kubeconfig, and that the network policies let the pod reach it.";
            (Check::failed(name, found, fix), false)
        }
    }
}

/// Checks everything in the cluster but the API server itself.
pub(super) async fn checks(client: &Client, args: &RunArgs) -> Vec<Check> {
    let namespace = &args.namespace;
    let (who, crd, permitted, barrier, backups, policies) = tokio::join!(
        identity(client, namespace),
        crd(client),
        permitted(client, permissions(args)),
        barrier(client, args),
        backups(client, namespace),
        policies(client, args)
    );
    let policies = match who.outcome {
        Outcome::Ok => policies,
        _ => vec![Check::untried(
            "admission policies",
            "they apply to the operator's ServiceAccount only",
        )],
    };
    let mut checks = vec![who, crd];
    checks.extend(permitted);
    checks.extend([barrier, backups]);
    checks.extend(policies);
    checks
}

/// Whether RBAC refused it: the permission's own check says so.
fn is_by_rbac(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_forbidden() && status.message.contains("is forbidden: User \""))
}

async fn identity(client: &Client, namespace: &str) -> Check {
    let name = "ServiceAccount";
    let review = Api::<SelfSubjectReview>::all(client.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    let user = match review {
        Ok(review) => review.status.and_then(|status| status.user_info).unwrap_or_default(),
        Err(error) => {
            let fix = "Check the token in the kubeconfig, or the pod's ServiceAccount.";
            return Check::failed(
                name,
                format!("the API server did not identify the caller: {}", api_message(&error)),
                fix,
            );
        }
    };
    let user = user.username.unwrap_or_default();
    let expected = format!("system:serviceaccount:{namespace}:{SERVICE_ACCOUNT}");
    if user == expected {
        return Check::ok(name, user);
    }
    Check::failed(
        name,
        format!("this is {user}, not {expected}: the following checks are about {user}"),
        "Run doctor as the operator: with `helm test`, or with the operator's kubeconfig and --namespace.",
    )
}

async fn crd(client: &Client) -> Check {
    let name = "CRD";
    let api: Api<UserOffboarding> = Api::all(client.clone());
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Check::ok(name, "UserOffboardings can be read"),
        // Without the API there is no reason in the answer.
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let fix = "Install it: crds.install=true in the Helm chart, or kubectl apply -f crds/.";
            Check::failed(name, "the cluster does not know the kind UserOffboarding", fix)
        }
        Err(error) if is_by_rbac(&error) => Check::untried(name, api_message(&error)),
        Err(error) => Check::failed(name, api_message(&error), LOOK),
    }
}

/// Whether the two bindings of the barrier are there, and can be annotated (dry run).
async fn barrier(client: &Client, args: &RunArgs) -> Check {
    let name = "barrier";
    let cluster: Api<ClusterRoleBinding> = Api::all(client.clone());
    let namespaced: Api<RoleBinding> = Api::namespaced(client.clone(), &args.namespace);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {NONCE_ANNOTATION: TRIAL}}}));
    let dry = PatchParams::default().dry_run();
    let (everywhere, here) = tokio::join!(
        cluster.patch(&args.barrier_cluster_role_binding, &dry, &patch),
        namespaced.patch(&args.barrier_role_binding, &dry, &patch)
    );
    let everywhere = everywhere.err().map(|error| {
        (
            format!("ClusterRoleBinding {}", args.barrier_cluster_role_binding),
            error,
        )
    });
    let here = here.err().map(|error| {
        (
            format!("RoleBinding {}/{}", args.namespace, args.barrier_role_binding),
            error,
        )
    });
    match everywhere.or(here) {
        None => Check::ok(name, "both bindings exist and can be annotated (dry run)"),
        Some((_, error)) if is_by_rbac(&error) => Check::untried(name, api_message(&error)),
        // What is tried, the policy lets pass: something changes it on its way.
        Some((which, kube::Error::Api(status))) if policies::is_ours(&status.message) => Check::failed(
            name,
            format!(
                "a mutating webhook or policy changes {which} while the operator updates it, and the operator's own policy refuses the result: {}",
                status.message
            ),
            "Exclude the operator's ServiceAccount from it: kubectl get mutatingwebhookconfigurations,mutatingadmissionpolicies.",
        ),
        Some((which, error)) => {
            let found = format!(
                "{which} cannot be annotated, so the operator lists all bindings for each question: {}",
                api_message(&error)
            );
            Check::failed(name, found, RESTORE)
        }
    }
}

/// Whether a backup could be stored, by a dry run.
async fn backups(client: &Client, namespace: &str) -> Check {
    let name = "place for backups";
    let map = ConfigMap {
        metadata: kube::core::ObjectMeta {
            name: Some(TRIAL.to_owned()),
            ..Default::default()
        },
        immutable: Some(true),
        ..ConfigMap::default()
    };
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    match api.create(&dry, &map).await {
        Ok(_) => Check::ok(
            name,
            format!("a ConfigMap can be stored in namespace {namespace} (dry run)"),
        ),
        Err(error) if is_by_rbac(&error) => Check::untried(name, api_message(&error)),
        Err(error) => Check::failed(
            name,
            format!(
                "no ConfigMap can be stored in namespace {namespace} (dry run): {}",
                api_message(&error)
            ),
            "Create the namespace, or exempt the operator's ServiceAccount from the policy named here.",
        ),
    }
}

/// A check for each admission policy that must be in force: what the operator demands before it changes anything.
async fn policies(client: &Client, args: &RunArgs) -> Vec<Check> {
    let seen = args.policies(client.clone()).look().await;
    let checks = seen.into_iter().map(|(policy, seen)| {
        let name = format!("admission policy {}", policy.name());
        match seen {
            Seen::InForce => Check::ok(name, format!("it is in force and {}", policy.purpose())),
            Seen::NotInForce(found) => Check::failed(name, format!("it is not in force: {found}"), RESTORE),
            // What refuses has a check of its own: a permission, the barrier, the place for backups.
            Seen::Unclear(why) => Check::untried(name, why),
        }
    });
    checks.collect()
}

//! The cluster: is it the right kind of API server, may the operator do what it must, and is what it needs installed?

use super::report::{Check, Outcome};
use crate::{
    api::UserOffboarding,
    api_message::api_message,
    offboarding::policies::{self, Policy, Seen},
    operator::settings::{PROFILE, RunArgs},
    rbac::barrier_bindings::NONCE_ANNOTATION,
};
use futures::{StreamExt, stream};
use k8s_openapi::api::{
    authentication::v1::SelfSubjectReview,
    authorization::v1::{
        ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
    },
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
/// The API group of bindings and roles.
const RBAC: &str = "rbac.authorization.k8s.io";
/// Reviews asked at a time.
const PARALLEL: usize = 8;
/// The name of the operator's ServiceAccount: fixed, as the admission policies name it.
const SERVICE_ACCOUNT: &str = "ack-offboarding-operator";
/// The name of what is tried as a dry run.
const TRIAL: &str = "ack-offboarding-doctor";

const LOOK: &str = "If a webhook or a policy caused this, exempt the operator's ServiceAccount from it. Otherwise check the API \
 server's health and try again.";
const RESTORE: &str = "`helm upgrade` restores what the chart installs (with Helm 4: --force-conflicts); without Helm, apply the manifests again (docs/install.md).";

/// One thing that the operator must be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The API group; empty for the core group.
    pub group: String,
    /// The resource, or `resource/subresource`.
    pub resource: String,
    /// The verb.
    pub verb: String,
    /// The one object that it is about; none for all.
    pub name: Option<String>,
    /// The one namespace that it is about; none for all, and for what has no namespace.
    pub namespace: Option<String>,
}

/// What the operator must be allowed to do, by what it is for.
pub fn permissions(args: &RunArgs) -> Vec<(&'static str, Vec<Permission>)> {
    let own = args.namespace.as_str();
    let bindings = ["rolebindings", "clusterrolebindings"];
    let mut needed = vec![
        (
            "find and delete bindings",
            each(RBAC, &bindings, &["get", "list", "watch", "delete"], None, None),
        ),
        (
            "watch UserOffboardings",
            each(
                "ack-offboarding.io",
                &["useroffboardings"],
                &["get", "list", "watch"],
                None,
                None,
            ),
        ),
        (
            "update their status",
            each(
                "ack-offboarding.io",
                &["useroffboardings/status"],
                &["patch"],
                None,
                None,
            ),
        ),
        (
            "store backups",
            each("", &["configmaps"], &["get", "list", "create"], None, Some(own)),
        ),
        ("annotate the barrier", {
            let (name, namespaced) = (&args.barrier_cluster_role_binding, &args.barrier_role_binding);
            let mut barrier = each(RBAC, &["clusterrolebindings"], &["patch"], Some(name), None);
            barrier.extend(each(RBAC, &["rolebindings"], &["patch"], Some(namespaced), Some(own)));
            barrier
        }),
        (
            "publish events",
            each("events.k8s.io", &["events"], &["create"], None, Some("default")),
        ),
        (
            "read the cluster's profile",
            each("", &["configmaps"], &["get"], Some(PROFILE), Some("kube-system")),
        ),
    ];
    let policies = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
    let seen = [Policy::Bindings, Policy::Backups, Policy::Approval].into_iter();
    needed.push((
        "read the admission policies",
        seen.filter(|policy| args.require_approval_policy || *policy != Policy::Approval)
            .flat_map(|policy| {
                each(
                    "admissionregistration.k8s.io",
                    &policies,
                    &["get"],
                    Some(policy.name()),
                    None,
                )
            })
            .collect(),
    ));
    if args.leader_elect {
        let group = "coordination.k8s.io";
        let mut lease = each(group, &["leases"], &["create"], None, Some(own));
        lease.extend(each(
            group,
            &["leases"],
            &["get", "update"],
            Some(&args.lease_name),
            Some(own),
        ));
        needed.push(("hold the Lease", lease));
    }
    if args.remove_subjects {
        let mut shared = each(RBAC, &bindings, &["patch"], None, None);
        shared.extend(each(RBAC, &["roles", "clusterroles"], &["bind"], None, None));
        needed.push(("remove leavers from shared bindings", shared));
    }
    needed
}

fn each(
    group: &str,
    resources: &[&str],
    verbs: &[&str],
    name: Option<&str>,
    namespace: Option<&str>,
) -> Vec<Permission> {
    let one = |resource: &str, verb: &str| Permission {
        group: group.to_owned(),
        resource: resource.to_owned(),
        verb: verb.to_owned(),
        name: name.map(str::to_owned),
        namespace: namespace.map(str::to_owned),
    };
    resources
        .iter()
        .flat_map(|resource| verbs.iter().map(|verb| one(resource, verb)))
        .collect()
}

/// Whether the API server is new enough; and whether it answers at all.
pub async fn api_server(client: &Client) -> (Check, bool) {
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
pub async fn checks(client: &Client, args: &RunArgs) -> Vec<Check> {
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

/// A check for each purpose: of what it needs, what is refused.
async fn permitted(client: &Client, needed: Vec<(&'static str, Vec<Permission>)>) -> Vec<Check> {
    let asked = stream::iter(needed).then(|(purpose, permissions)| async move {
        let reviews = permissions.into_iter().map(|permission| async move {
            let allowed = review(client, &permission).await;
            (permission, allowed)
        });
        let reviews: Vec<_> = stream::iter(reviews).buffered(PARALLEL).collect().await;
        let name = format!("permission to {purpose}");
        if let Some(error) = reviews.iter().find_map(|(_, allowed)| allowed.as_ref().err()) {
            return Check::failed(name, api_message(error), LOOK);
        }
        let refused: Vec<String> = reviews
            .iter()
            .filter(|(_, allowed)| !allowed.as_ref().is_ok_and(|allowed| *allowed))
            .map(|(permission, _)| permission.to_string())
            .collect();
        match refused.is_empty() {
            true => Check::ok(name, "granted"),
            false => Check::failed(name, format!("refused: {}", refused.join(", ")), RESTORE),
        }
    });
    asked.collect().await
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(name) = &self.name {
            write!(f, " {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

/// Asks the API server, which answers for the caller alone and stores nothing.
async fn review(client: &Client, permission: &Permission) -> Result<bool, kube::Error> {
    let Permission {
        group,
        resource,
        verb,
        name,
        namespace,
    } = permission.clone();
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource.to_owned(), Some(subresource.to_owned())),
        None => (resource, None),
    };
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group),
                resource: Some(resource),
                subresource,
                verb: Some(verb),
                name,
                namespace,
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone())
        .create(&PostParams::default(), &question)
        .await?;
    Ok(answer
        .status
        .is_some_and(|SubjectAccessReviewStatus { allowed, .. }| allowed))
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

//! What the operator must be allowed to do in the cluster, and whether it is.

use super::report::{Check, LOOK, RESTORE};
use crate::{
    api_message::api_message, offboarding::policies::Policy, operator::settings::RunArgs, sources::profile::PROFILE,
};
use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::{Api, Client, api::PostParams};

/// The API group of bindings and roles.
const RBAC: &str = "rbac.authorization.k8s.io";
const PARALLEL: usize = 8;

/// One thing that the operator must be allowed to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Empty for the core group.
    pub group: String,
    /// In the plural; with `/subresource` if it is about that.
    pub resource: String,
    /// In lower case, as in a Role.
    pub verb: String,
    /// The one object that it is about; none for all.
    pub name: Option<String>,
    /// The one namespace that it is about; none for all, and for what has no namespace.
    pub namespace: Option<String>,
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
        ("scan who has access", {
            let group = "ack-offboarding.io";
            let mut scans = each(group, &["permissionscans"], &["get", "list", "watch"], None, None);
            scans.extend(each(group, &["permissionscans/status"], &["patch"], None, None));
            scans
        }),
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

/// A check for each purpose: of what it needs, what is refused.
pub(super) async fn permitted(client: &Client, needed: Vec<(&'static str, Vec<Permission>)>) -> Vec<Check> {
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

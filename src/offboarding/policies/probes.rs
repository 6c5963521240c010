//! What the policies must refuse, tried as dry runs on the operator's own objects.

use super::policy::{Policy, Seen};
use crate::{api_message::api_message, rbac::barrier_bindings::BarrierNames};
use k8s_openapi::api::{
    core::v1::ConfigMap,
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, PropagationPolicy},
};
use serde_json::json;

/// The ConfigMap that nobody may create, by the policy of backups.
const PROBE: &str = "offboarding-policy-probe";

/// Tries to label and to delete the operator's two barrier bindings, as dry runs. One that is missing cannot be tried: bindings
/// are listed in its place then, and the comparison alone must do.
pub(super) async fn try_bindings(client: &Client, barrier: &BarrierNames) -> Seen {
    let cluster: Api<ClusterRoleBinding> = Api::all(client.clone());
    let own: Api<RoleBinding> = Api::namespaced(client.clone(), &barrier.namespace);
    let label = Patch::Merge(json!({"metadata": {"labels": {"ack-offboarding.io/policy-probe": "refused"}}}));
    let update = PatchParams::default().dry_run();
    let delete = DeleteParams {
        dry_run: true,
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let (cluster_name, own_name) = (&barrier.cluster_role_binding, &barrier.role_binding);
    let (updated, deleted, own_updated, own_deleted) = tokio::join!(
        cluster.patch(cluster_name, &update, &label),
        cluster.delete(cluster_name, &delete),
        own.patch(own_name, &update, &label),
        own.delete(own_name, &delete)
    );
    let (cluster_name, own_name) = (
        format!("ClusterRoleBinding {cluster_name}"),
        format!("RoleBinding {}/{own_name}", barrier.namespace),
    );
    let tried = |what: &str, which: &str, refusal: Option<kube::Error>| match refusal {
        Some(kube::Error::Api(status)) if status.is_not_found() => Seen::InForce,
        refusal => refused(Policy::Bindings, &format!("{what} {which}"), refusal),
    };
    tried("labelling", &cluster_name, updated.err())
        .and(tried("deleting", &cluster_name, deleted.err()))
        .and(tried("labelling", &own_name, own_updated.err()))
        .and(tried("deleting", &own_name, own_deleted.err()))
}

/// Tries to create the ConfigMap that nobody may create, as a dry run.
pub(super) async fn try_backups(client: &Client, namespace: &str) -> Seen {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let map = ConfigMap {
        metadata: ObjectMeta {
            name: Some(PROBE.to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let what = format!("creating ConfigMap {}/{PROBE}", namespace);
    refused(Policy::Backups, &what, api.create(&dry, &map).await.err())
}

/// What the answer to a dry run shows that the policy must refuse.
fn refused(policy: Policy, what: &str, refusal: Option<kube::Error>) -> Seen {
    let name = policy.name();
    match refusal {
        None => Seen::NotInForce(format!("the API server did not refuse {what} (dry run)")),
        // The API server's words for a denial by a policy: "ValidatingAdmissionPolicy 'NAME' with binding 'NAME' denied request".
        Some(kube::Error::Api(status)) if status.message.contains(&format!("ValidatingAdmissionPolicy '{name}'")) => {
            Seen::InForce
        }
        Some(error) => Seen::Unclear(format!(
            "{what} (dry run) failed for another reason than the policy, which proves nothing: {}",
            api_message(&error)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(message: &str) -> Option<kube::Error> {
        Some(kube::Error::Api(Box::new(
            kube::core::Status::failure(message, "Forbidden").with_code(403),
        )))
    }

    #[test]
    fn only_a_refusal_by_the_policy_itself_is_proof() {
        let seen = |refusal| refused(Policy::Backups, "creating it", refusal);
        let ours = "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'ack-offboarding-backups' with binding \
                        'ack-offboarding-backups' denied request: nobody creates it";
        assert_eq!(seen(denied(ours)), Seen::InForce);
        assert!(matches!(seen(None), Seen::NotInForce(_)));
        for other in [
            "configmaps is forbidden: User \"x\" cannot create resource \"configmaps\"",
            "admission webhook \"policy.example.com\" denied the request: no",
            "configmaps \"x\" is forbidden: ValidatingAdmissionPolicy 'no-configmaps' with binding 'no-configmaps' denied request: no",
        ] {
            assert!(
                matches!(seen(denied(other)), Seen::Unclear(seen) if seen.contains(other)),
                "{other}"
            );
        }
    }
}

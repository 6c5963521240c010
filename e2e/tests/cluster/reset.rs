//! What becomes of objects: a reset removes those of the test before; kube-controller-manager removes what lost its owner.

use ack_offboarding_e2e::cluster::{OPERATOR_NAMESPACE, Options, eventually, pool};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace},
    rbac::v1::RoleBinding,
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{DEADLINE, LEAVER, bind_view, cluster_with_operator};

#[tokio::test]
async fn a_reset_cluster_holds_nothing_of_the_test_before() {
    let (cluster, _) = cluster_with_operator().await;
    cluster.set_cluster_profile("c1", "1").await.unwrap();
    bind_view(&cluster, "held", &[LEAVER]).await;
    let admin = cluster.admin();
    let bindings = Api::<RoleBinding>::all(admin.clone());
    let hold = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    let held = Api::<RoleBinding>::namespaced(admin.clone(), "team-a");
    held.patch("held", &PatchParams::default(), &hold).await.unwrap();
    held.delete("held", &DeleteParams::default()).await.unwrap();

    cluster.reset().await.unwrap();

    let built_in = |labels: &Option<std::collections::BTreeMap<String, String>>| {
        labels
            .as_ref()
            .is_some_and(|labels| labels.contains_key("kubernetes.io/bootstrapping"))
    };
    let left = bindings.list(&ListParams::default()).await.unwrap().items;
    assert!(
        left.iter().all(|binding| built_in(&binding.metadata.labels)),
        "{left:?}"
    );
    assert!(!left.is_empty(), "the control plane keeps its own");
    let profile = Api::<ConfigMap>::namespaced(admin, "kube-system")
        .get_opt("ack-cluster-profile")
        .await
        .unwrap();
    assert!(profile.is_none());
    assert!(!std::fs::read_to_string(cluster.audit_log()).unwrap().contains(LEAVER));
    // And it can be installed anew.
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
}

/// With kube-controller-manager, what is owned goes with its owner, and a namespace can be deleted.
#[tokio::test]
async fn the_controller_manager_collects_garbage_and_deletes_namespaces() {
    let cluster = pool::acquire(Options {
        controller_manager: true,
        ..Options::default()
    })
    .await
    .unwrap();
    cluster.ensure_namespace("team-b").await.unwrap();
    let admin = cluster.admin();
    let objects = Api::<ConfigMap>::namespaced(admin.clone(), "team-b");
    let owner: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "owner"}})).unwrap();
    let owner = objects.create(&PostParams::default(), &owner).await.unwrap();
    let owned = json!({"metadata": {"name": "owned", "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid.unwrap()},
    ]}});
    objects
        .create(&PostParams::default(), &serde_json::from_value(owned).unwrap())
        .await
        .unwrap();

    objects.delete("owner", &DeleteParams::background()).await.unwrap();
    eventually("the owned object to go", DEADLINE, async || {
        Ok(objects.get_opt("owned").await?.is_none().then_some(()))
    })
    .await
    .unwrap();

    let namespaces = Api::<Namespace>::all(admin);
    namespaces.delete("team-b", &DeleteParams::default()).await.unwrap();
    eventually("the namespace to go", DEADLINE, async || {
        Ok(namespaces.get_opt("team-b").await?.is_none().then_some(()))
    })
    .await
    .unwrap();
}

//! What becomes of objects: a reset removes those of the test before; kube-controller-manager removes what lost its owner.

use ack_offboarding_e2e::cluster::{OPERATOR_NAMESPACE, Options, eventually, named, pool};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace},
    rbac::v1::{ClusterRoleBinding, RoleBinding},
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

/// Names hold any character but `/` and `%`. Put into a URL as it is, `cluster-admin#x` is a request for `cluster-admin`.
#[tokio::test]
async fn a_reset_removes_bindings_of_every_name_and_no_other() {
    let cluster = pool::acquire(Options::default()).await.unwrap();
    cluster.ensure_namespace("team-b").await.unwrap();
    let admin = cluster.admin();
    let everywhere = Api::<ClusterRoleBinding>::all(admin.clone());
    let inside = Api::<RoleBinding>::namespaced(admin, "team-b");
    let built_in: Vec<_> = names(&everywhere).await;
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    for (n, name) in named::hostile_names("cluster-admin", "x").into_iter().enumerate() {
        // Some are held as well.
        let held = if n % 10 == 0 {
            json!(["example.com/hold"])
        } else {
            json!([])
        };
        let object = json!({"metadata": {"name": name, "finalizers": held}, "roleRef": role});
        let params = PostParams::default();
        everywhere
            .create(&params, &serde_json::from_value(object.clone()).unwrap())
            .await
            .unwrap_or_else(|error| panic!("{name:?}: {error}"));
        inside
            .create(&params, &serde_json::from_value(object).unwrap())
            .await
            .unwrap_or_else(|error| panic!("{name:?}: {error}"));
    }

    cluster.reset().await.unwrap();

    assert_eq!(names(&everywhere).await, built_in);
    assert_eq!(names(&inside).await, Vec::<String>::new());
}

/// A namespace that a test tied to something stays in the pool's cluster, whatever goes.
#[tokio::test]
async fn what_a_reset_keeps_does_not_go_with_its_owner() {
    let cluster = pool::acquire(Options::default()).await.unwrap();
    cluster.ensure_namespace("team-b").await.unwrap();
    let admin = cluster.admin();
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    let owner = json!({"metadata": {"name": "owner"}, "roleRef": role});
    let owner = Api::<ClusterRoleBinding>::all(admin.clone())
        .create(&PostParams::default(), &serde_json::from_value(owner).unwrap())
        .await
        .unwrap();
    let owned = Patch::Merge(json!({"metadata": {"ownerReferences": [{
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "name": "owner", "uid": owner.metadata.uid,
    }]}}));
    let namespaces = Api::<Namespace>::all(admin.clone());
    let owned = namespaces
        .patch("team-b", &PatchParams::default(), &owned)
        .await
        .unwrap();

    cluster.reset().await.unwrap();
    cluster.until_garbage_is_collected().await.unwrap();

    let kept = namespaces.get("team-b").await.unwrap();
    assert_eq!(kept.metadata.uid, owned.metadata.uid);
    assert_eq!(
        (kept.metadata.owner_references, kept.metadata.deletion_timestamp),
        (None, None)
    );
}

async fn names<K>(api: &Api<K>) -> Vec<String>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let list = api.list_metadata(&ListParams::default()).await.unwrap();
    list.iter().map(kube::ResourceExt::name_any).collect()
}

/// With kube-controller-manager, what is owned goes with its owner, and a namespace can be deleted.
#[tokio::test]
async fn the_controller_manager_collects_garbage_and_deletes_namespaces() {
    let cluster = pool::acquire(Options::default()).await.unwrap();
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

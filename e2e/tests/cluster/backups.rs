//! The chart's policy of backups: the operator writes them, whoever may restore puts them back, and nobody changes or deletes one.

use ack_offboarding_e2e::cluster::{
    Cluster, OPERATOR_NAMESPACE, Options, eventually,
    pool::{self, Lease},
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace},
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{DEADLINE, assert_forbidden, cluster_with_operator, user};

const LABELS: [&str; 3] = [
    "ack-offboarding.io/object-uid",
    "ack-offboarding.io/ram-uid",
    "ack-offboarding.io/clearance-of",
];

fn map(value: Value) -> ConfigMap {
    serde_json::from_value(value).unwrap()
}

fn maps(client: &Client) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), OPERATOR_NAMESPACE)
}

/// Stores a backup as the operator does, and one that only its label shows to be one.
async fn store(operator: &Client) {
    let named = json!({"metadata": {"name": "offboarding-a"}, "data": {"deleted.yaml": "x"}, "immutable": true});
    let labelled = json!({"metadata": {"name": "b", "labels": {LABELS[0]: "1"}}, "data": {"deleted.yaml": "x"}});
    for backup in [named, labelled] {
        maps(operator)
            .create(&PostParams::default(), &map(backup))
            .await
            .unwrap();
    }
}

/// Somebody with every right in the operator's namespace, or in the whole cluster: real certificates.
async fn bound(cluster: &Cluster, name: &str, role: &str, namespaced: bool) -> Api<ConfigMap> {
    let kind = if role == "ack-offboarding-restorer" {
        "Role"
    } else {
        "ClusterRole"
    };
    let binding = json!({
        "metadata": {"name": format!("people-{name}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [user(name)],
    });
    let create = PostParams::default();
    if namespaced {
        let api = Api::<RoleBinding>::namespaced(cluster.admin(), OPERATOR_NAMESPACE);
        api.create(&create, &serde_json::from_value(binding).unwrap())
            .await
            .map(drop)
    } else {
        let api = Api::<ClusterRoleBinding>::all(cluster.admin());
        api.create(&create, &serde_json::from_value(binding).unwrap())
            .await
            .map(drop)
    }
    .unwrap();
    let maps = maps(&cluster.user_client(name, &[]).unwrap());
    eventually("the role to take effect", DEADLINE, async || {
        Ok(maps.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();
    maps
}

#[tokio::test]
async fn only_the_operator_and_a_restorer_create_backups() {
    let (cluster, operator) = with_controllers().await;
    cluster.install_people().await.unwrap();
    // The built-in role admin is filled by the controller manager.
    let tenant = bound(&cluster, "tenant", "admin", true).await;
    let restorer = bound(&cluster, "restorer", "ack-offboarding-restorer", true).await;
    let create = PostParams::default();
    let mut forged = vec![
        json!({"metadata": {"name": "offboarding-forged"}}),
        json!({"metadata": {"generateName": "offboarding-"}}),
    ];
    forged.extend(LABELS.map(|label| json!({"metadata": {"name": "forged", "labels": {label: "1"}}})));
    for backup in forged {
        let backup = map(backup);
        assert_forbidden(
            "forge a backup",
            tenant.create(&create, &backup).await,
            "only the operator creates a backup",
        );
        let restored = restorer.create(&create, &backup).await.unwrap();
        let gone = tenant
            .delete(&restored.metadata.name.clone().unwrap(), &DeleteParams::default())
            .await;
        assert_forbidden("delete it again", gone, "nobody deletes a backup");
        cluster
            .lose_config_map(OPERATOR_NAMESPACE, &restored.metadata.name.unwrap())
            .await
            .unwrap();
    }
    store(&operator).await;
    let probe = map(json!({"metadata": {"name": "offboarding-policy-probe"}}));
    for (who, api) in [
        ("the operator", &maps(&operator)),
        ("a restorer", &restorer),
        ("a tenant", &tenant),
        ("the administrator", &maps(&cluster.admin())),
    ] {
        assert_forbidden(who, api.create(&create, &probe).await, "nobody creates");
    }
    // What is no backup is nobody's business, and another namespace is another matter.
    let other = map(json!({"metadata": {"name": "settings", "labels": {"ack-offboarding.io/x": "y"}}}));
    tenant.create(&create, &other).await.unwrap();
    tenant.delete("settings", &DeleteParams::default()).await.unwrap();
    let elsewhere = Api::<ConfigMap>::namespaced(cluster.admin(), "default");
    elsewhere.create(&create, &probe).await.unwrap();
    elsewhere
        .delete("offboarding-policy-probe", &DeleteParams::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn nobody_changes_a_backup_or_makes_one_of_something_else() {
    let (cluster, operator) = cluster_with_operator().await;
    store(&operator).await;
    let admin = maps(&cluster.admin());
    let create = PostParams::default();
    let plain = map(json!({"metadata": {"name": "plain"}, "data": {"a": "b"}}));
    admin.create(&create, &plain).await.unwrap();
    let merge = PatchParams::default();
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "plain", "uid": "1"}]);
    for (what, name, patch) in [
        ("change its data", "b", json!({"data": {"deleted.yaml": "y"}})),
        ("add data", "b", json!({"binaryData": {"x": "eA=="}})),
        ("make it immutable", "b", json!({"immutable": true})),
        ("take its label away", "b", json!({"metadata": {"labels": null}})),
        (
            "change its label",
            "b",
            json!({"metadata": {"labels": {LABELS[0]: "2"}}}),
        ),
        (
            "label it",
            "offboarding-a",
            json!({"metadata": {"labels": {LABELS[1]: "1"}}}),
        ),
        (
            "annotate it",
            "offboarding-a",
            json!({"metadata": {"annotations": {"x": "y"}}}),
        ),
        (
            "give it an owner",
            "offboarding-a",
            json!({"metadata": {"ownerReferences": owner}}),
        ),
        (
            "hold it",
            "offboarding-a",
            json!({"metadata": {"finalizers": ["example.com/hold"]}}),
        ),
        ("make one", "plain", json!({"metadata": {"labels": {LABELS[2]: "1"}}})),
    ] {
        let patched = admin.patch(name, &merge, &Patch::Merge(&patch)).await;
        assert_forbidden(what, patched, "nobody changes a backup");
    }
    // As a storage migration does; and another field manager.
    for name in ["offboarding-a", "b"] {
        let stored = admin.get(name).await.unwrap();
        let replaced = admin.replace(name, &create, &stored).await.unwrap();
        assert_eq!(replaced.data, stored.data);
        let apply = PatchParams::apply("another").force();
        let mut same = serde_json::to_value(&stored).unwrap();
        same["apiVersion"] = json!("v1");
        same["kind"] = json!("ConfigMap");
        same["metadata"] = json!({"name": name, "labels": stored.metadata.labels});
        let applied = admin.patch(name, &apply, &Patch::Apply(&same)).await.unwrap();
        assert_eq!(applied.data, stored.data);
        assert!(applied.metadata.managed_fields.unwrap().len() > stored.metadata.managed_fields.unwrap().len());
    }
}

async fn with_controllers() -> (Lease, Client) {
    let needs = Options {
        controller_manager: true,
        ..Options::default()
    };
    let cluster = pool::acquire(needs).await.unwrap();
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    let operator = cluster
        .service_account_client(OPERATOR_NAMESPACE, super::OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    (cluster, operator)
}

#[tokio::test]
async fn a_backup_is_deleted_by_nobody_and_goes_with_its_namespace() {
    let (cluster, operator) = with_controllers().await;
    store(&operator).await;
    let admin = maps(&cluster.admin());
    for name in ["offboarding-a", "b"] {
        let deleted = admin.delete(name, &DeleteParams::default()).await;
        assert_forbidden(name, deleted, "nobody deletes a backup");
    }
    let output = cluster
        .kubectl()
        .args(["delete", "configmap", "--all", "--namespace", OPERATOR_NAMESPACE])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("nobody deletes a backup"), "{words}");
    let collection = admin
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await;
    assert!(
        collection.is_err_and(|error| error.to_string().contains("nobody deletes a backup")),
        "a collection"
    );

    // A backup that came with an owner, from before the policy, is not taken along when the owner goes.
    cluster.lift_backup_policy(OPERATOR_NAMESPACE).await.unwrap();
    let create = PostParams::default();
    let owner = admin
        .create(&create, &map(json!({"metadata": {"name": "owner"}})))
        .await
        .unwrap();
    let reference = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}]);
    let owned = json!({"metadata": {"name": "offboarding-owned", "ownerReferences": reference}});
    admin.create(&create, &map(owned)).await.unwrap();
    cluster.enforce_backup_policy(OPERATOR_NAMESPACE).await.unwrap();
    admin.delete("owner", &DeleteParams::background()).await.unwrap();
    cluster.until_garbage_is_collected().await.unwrap();
    for name in ["offboarding-a", "b", "offboarding-owned"] {
        assert!(admin.get_opt(name).await.unwrap().is_some(), "{name} is there");
    }

    assert_goes_with_its_namespace(&cluster).await;
}

/// Whoever ends the namespace: each controller has an account of its own in some clusters, and in others they share one.
#[tokio::test]
async fn a_backup_goes_with_its_namespace_where_controllers_share_an_account() {
    let options = Options {
        controller_manager: true,
        one_account: true,
        ..Options::default()
    };
    let cluster = Cluster::start(options).await.unwrap();
    cluster.install_operator(OPERATOR_NAMESPACE).await.unwrap();
    let operator = cluster
        .service_account_client(OPERATOR_NAMESPACE, super::OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    store(&operator).await;
    let deleted = maps(&cluster.admin())
        .delete("offboarding-a", &DeleteParams::default())
        .await;
    assert_forbidden("offboarding-a", deleted, "nobody deletes a backup");
    assert_goes_with_its_namespace(&cluster).await;
}

async fn assert_goes_with_its_namespace(cluster: &Cluster) {
    let namespaces = Api::<Namespace>::all(cluster.admin());
    namespaces
        .delete(OPERATOR_NAMESPACE, &DeleteParams::default())
        .await
        .unwrap();
    eventually(
        "the namespace to be gone, and its backups with it",
        DEADLINE,
        async || Ok(namespaces.get_opt(OPERATOR_NAMESPACE).await?.is_none().then_some(())),
    )
    .await
    .unwrap();
}

//! S2: a leaver makes others' objects depend on the leaver's own binding, so that they go with it.

use crate::{
    attacks_between::COLLEAGUE,
    support::{LEAVER, UID, assert_gone, env, give_access},
};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{OperatorOptions, PATIENCE, user},
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Secret},
    rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::fmt::Debug;

/// A reference to a binding as owner, blocking or not.
fn owner(kind: &str, name: &str, uid: Option<String>, block: bool) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "name": name, "uid": uid,
        "blockOwnerDeletion": block, "controller": block,
    })
}

async fn create<K>(api: &Api<K>, mut object: Value, owner: &Value) -> anyhow::Result<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Serialize,
{
    object["metadata"]["ownerReferences"] = json!([owner]);
    Ok(api
        .create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?)
}

/// It is there, the same object, not on its way out, and nobody's dependent.
async fn stays<K>(api: &Api<K>, was: &K) -> anyhow::Result<()>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let (was, name) = (was.meta(), was.meta().name.clone().unwrap_or_default());
    let is = api.get_metadata(&name).await?.metadata;
    assert_eq!(is.uid, was.uid, "{name}");
    assert_eq!((is.deletion_timestamp, is.owner_references), (None, None), "{name}");
    Ok(())
}

/// Objects that the leaver tied to a binding of theirs stay when it goes: a colleague's bindings, a Secret, a ClusterRole, a whole
/// namespace. The garbage collector only unties them.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_depends_on_a_binding_goes_with_it() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    for namespace in ["victim", "victim-too"] {
        env.cluster.ensure_namespace(namespace).await?;
    }
    let admin = env.admin();
    let everywhere = Api::<ClusterRoleBinding>::all(admin.clone());
    let inside = Api::<RoleBinding>::namespaced(admin.clone(), "team-a");
    let uid = inside.get("leaver").await?.metadata.uid;
    let [loose, blocking] = [false, true].map(|block| owner("RoleBinding", "leaver", uid.clone(), block));
    let uid = everywhere.get("leaver-everywhere").await?.metadata.uid;
    let above = owner("ClusterRoleBinding", "leaver-everywhere", uid, true);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    let colleagues = |name: &str| json!({"metadata": {"name": name}, "roleRef": role, "subjects": [user(COLLEAGUE)]});

    let binding = create(&inside, colleagues("colleague"), &blocking).await?;
    let secrets = Api::<Secret>::namespaced(admin.clone(), "team-a");
    let secret = create(&secrets, json!({"metadata": {"name": "of-a-colleague"}}), &loose).await?;
    let maps = Api::<ConfigMap>::namespaced(admin.clone(), "team-a");
    let map = create(&maps, json!({"metadata": {"name": "of-a-colleague"}}), &blocking).await?;
    let cluster_binding = create(&everywhere, colleagues("colleague-everywhere"), &above).await?;
    let roles = Api::<ClusterRole>::all(admin.clone());
    let cluster_role = create(
        &roles,
        json!({"metadata": {"name": "of-a-colleague"}, "rules": []}),
        &above,
    )
    .await?;
    let namespaces = Api::<Namespace>::all(admin.clone());
    let tie = Patch::Merge(json!({"metadata": {"ownerReferences": [above]}}));
    let namespace = namespaces.patch("victim", &PatchParams::default(), &tie).await?;
    // The operator's own, with the backups in it.
    let home = namespaces
        .patch("ack-offboarding-system", &PatchParams::default(), &tie)
        .await?;
    let kept = Api::<Secret>::namespaced(admin.clone(), "victim");
    let kept_secret: Secret = serde_json::from_value(json!({"metadata": {"name": "inside"}}))?;
    let kept_secret = kept.create(&PostParams::default(), &kept_secret).await?;

    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    eventually("the bindings to be gone", PATIENCE, async || {
        let gone =
            inside.get_opt("leaver").await?.is_none() && everywhere.get_opt("leaver-everywhere").await?.is_none();
        Ok(gone.then_some(()))
    })
    .await?;
    // What would go has gone: once when it hears of the owner's end, once more for what that led to.
    env.cluster.until_garbage_is_collected().await?;
    env.cluster.until_garbage_is_collected().await?;

    stays(&inside, &binding).await?;
    stays(&secrets, &secret).await?;
    stays(&maps, &map).await?;
    stays(&everywhere, &cluster_binding).await?;
    stays(&roles, &cluster_role).await?;
    stays(&namespaces, &namespace).await?;
    stays(&namespaces, &home).await?;
    stays(&kept, &kept_secret).await?;
    assert_gone(&env, &status).await?;
    env.until_answered(LEAVER, "/api/v1/configmaps", 403).await
}

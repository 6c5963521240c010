//! Backups that are not what they say.

use super::{offboard, plugin};
use crate::support::{UID, running};
use ack_offboarding_e2e::{cluster::OPERATOR_NAMESPACE, env::user};
use ack_offboarding_operator::rbac::{
    BindingKey, BindingKind, Leaver, LiveBinding,
    backup::{self, Entry, Purpose, Record, StoredAction},
};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{Api, ResourceExt, api::PostParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_not_what_it_says_restores_nothing() -> anyhow::Result<()> {
    let mut env = running().await;
    env.role_binding("team-a", "own", "edit", &[user(UID)]).await?;
    offboard(&env, json!({})).await?;
    env.kill_operator();
    let maps = Api::<ConfigMap>::namespaced(env.admin(), OPERATOR_NAMESPACE);
    let sound = env.backups().await?.remove(0);
    let name = sound.name_any();
    let put = async |map: &ConfigMap| -> anyhow::Result<()> {
        env.cluster.lose_config_map(OPERATOR_NAMESPACE, &name).await?;
        let mut map = map.clone();
        map.metadata.resource_version = None;
        map.metadata.uid = None;
        map.metadata.managed_fields = None;
        maps.create(&PostParams::default(), &map).await?;
        Ok(())
    };
    let refused = async |what: &str| -> anyhow::Result<()> {
        for args in [["restore", "left", "--yes"], ["restore", name.as_str(), "--yes"]] {
            let ran = plugin(&env, &args).await?;
            assert_eq!(ran.code, Some(2), "{what}: {ran:?}");
            assert!(ran.err.contains(what), "{what}: {}", ran.err);
        }
        let listed = plugin(&env, &["backups", "--uid", UID, "-o", "wide"]).await?;
        assert_eq!(listed.code, Some(1), "{listed:?}");
        assert!(
            listed.out.contains("refused") && listed.out.contains(what),
            "{}",
            listed.out
        );
        Ok(())
    };

    let listed = plugin(&env, &["backups", "--uid", UID]).await?;
    assert!(listed.code == Some(0) && listed.out.contains("holds"), "{listed:?}");
    assert!(listed.out.contains(&name), "{}", listed.out);
    let other = plugin(&env, &["backups", "--uid", "259083957089437777"]).await?;
    assert!(other.code == Some(0) && other.out.is_empty(), "{other:?}");

    let mut forged = sound.clone();
    let manifest = &sound.data.as_ref().unwrap()["deleted.yaml"];
    let escalated = manifest.replace("\"edit\"", "\"cluster-admin\"");
    assert_ne!(&escalated, manifest);
    forged.data.as_mut().unwrap().insert("deleted.yaml".into(), escalated);
    put(&forged).await?;
    refused("does not match its sha256").await?;

    // With a checksum that matches.
    let digest = backup::sha256(json!([forged.data, forged.binary_data]).to_string().as_bytes());
    let annotations = forged.metadata.annotations.as_mut().unwrap();
    annotations.insert("ack-offboarding.io/sha256".into(), digest);
    put(&forged).await?;
    refused("deleted.yaml does not match the originals").await?;

    let mut open = sound.clone();
    open.immutable = None;
    put(&open).await?;
    refused("not marked immutable").await?;

    // Whole in itself, but it says that a binding of two was the leaver's alone.
    let key = BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: Some("team-a".into()),
        name: "own".into(),
    };
    let text = json!({
        "metadata": {"name": "own", "namespace": "team-a", "uid": "u-1", "resourceVersion": "7"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [user(UID), user("mallory")],
    })
    .to_string();
    let entry = Entry {
        record: Record {
            binding: LiveBinding::parse(&key, &text, &Leaver::new(UID.parse()?, &[], &[]))?.into(),
            action: StoredAction::Delete,
            fingerprint: "f".into(),
        },
        text,
    };
    let object_uid = env.offboardings().get("left").await?.uid().unwrap_or_default();
    let purpose = Purpose {
        cluster_id: "c".into(),
        reason: None,
        uid: UID.parse()?,
        object_name: "left".into(),
        object_uid,
        run_id: "r".into(),
        plan_digest: "sha256:0".into(),
        decision: "Automatic".into(),
    };
    let made = backup::config_map(&purpose, &[entry], OPERATOR_NAMESPACE, Timestamp::now())?;
    let mut named = made.clone();
    named.metadata.name = Some(name.clone());
    put(&named).await?;
    refused("was the leaver's alone").await?;
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());

    // The sound one, also once its UserOffboarding is gone.
    put(&sound).await?;
    env.delete("left").await?;
    let args = ["restore", "left", "--yes", "--operator-namespace", OPERATOR_NAMESPACE];
    let ran = plugin(&env, &args).await?;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("Created") && ran.err.contains("kubeconfig"), "{ran:?}");
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/own"]);
    Ok(())
}

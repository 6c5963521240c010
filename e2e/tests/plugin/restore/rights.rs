//! Whoever restores has rights of their own.

use super::{message, offboard, outcomes};
use crate::support::{UID, running};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, eventually},
    env::{PATIENCE, user},
};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{Api, api::PostParams};
use serde_json::json;
use std::collections::BTreeMap;

const PERSON: &str = "administrator-of-team-a";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_may_not_do_is_the_result_of_one_binding() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster.install_people().await?;
    for namespace in ["team-a", "team-b"] {
        env.role_binding(namespace, "own", "edit", &[user(UID)]).await?;
    }
    env.cluster_role_binding("everywhere", "view", &[user(UID)]).await?;
    offboard(&env, json!({})).await?;

    let kubeconfig = env.cluster.user_kubeconfig(PERSON, &[])?;
    let stranger = crate::support::plugin(&kubeconfig, &["restore", "left", "--yes"]).await?;
    assert_eq!(stranger.code, Some(2), "{stranger:?}");
    assert!(stranger.err.contains("ack-offboarding-viewer"), "{}", stranger.err);

    let create = PostParams::default();
    let bind = |name: &str, kind: &str, role: &str| {
        json!({
            "metadata": {"name": name}, "subjects": [user(PERSON)],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        })
    };
    let viewer: ClusterRoleBinding =
        serde_json::from_value(bind("person-views", "ClusterRole", "ack-offboarding-viewer"))?;
    Api::all(env.admin()).create(&create, &viewer).await?;
    eventually("the viewer's rights", PATIENCE, async || {
        let ran = crate::support::plugin(&kubeconfig, &["status"]).await?;
        Ok((ran.code == Some(0)).then_some(()))
    })
    .await?;
    let unread = crate::support::plugin(&kubeconfig, &["restore", "left", "--yes"]).await?;
    assert_eq!(unread.code, Some(2), "{unread:?}");
    assert!(unread.err.contains("ack-offboarding-restorer"), "{}", unread.err);

    let restorer: RoleBinding = serde_json::from_value(bind("person-restores", "Role", "ack-offboarding-restorer"))?;
    Api::namespaced(env.admin(), OPERATOR_NAMESPACE)
        .create(&create, &restorer)
        .await?;
    env.role_binding("team-a", "person-administers", "admin", &[user(PERSON)])
        .await?;
    eventually("the restorer's rights", PATIENCE, async || {
        let ran = crate::support::plugin(&kubeconfig, &["backups"]).await?;
        Ok((ran.code == Some(0)).then_some(()))
    })
    .await?;
    let ran = crate::support::plugin(&kubeconfig, &["restore", "left", "--yes", "-o", "json"]).await?;
    let expected = [
        ("ClusterRoleBinding/everywhere", "Forbidden"),
        ("RoleBinding/team-a/own", "Created"),
        ("RoleBinding/team-b/own", "Forbidden"),
    ];
    let expected = expected.map(|(key, outcome)| (key.to_owned(), outcome.to_owned()));
    assert_eq!(
        (ran.code, outcomes(&ran)?),
        (Some(1), BTreeMap::from(expected)),
        "{}",
        ran.err
    );
    assert!(message(&ran, "everywhere")?.contains(PERSON), "{}", ran.out);
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/own"]);

    let only = ["restore", "left", "--yes", "--binding", "RoleBinding/team-b/own"];
    assert_eq!(
        crate::support::plugin(&kubeconfig, &only).await?.code,
        Some(2),
        "none of it"
    );
    Ok(())
}

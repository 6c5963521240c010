//! What happens after the end: access that returns, and backups that give it back.

use crate::sight::sees;
use crate::support::{
    LEAVER, UID, assert_conditions, assert_gone, assert_stalled, give_access, make_a_request, message, purges, running,
    running_with, wait_for_event,
};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, eventually},
    env::{CLUSTER_ID, PATIENCE, condition, issue_kubeconfig, kubeconfig_state, state, user},
    simulator::{Record, world::CertificateState},
};
use ack_offboarding_operator::api::UserOffboardingStatus;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Reports it and leaves it, as somebody may have given it back on purpose. Clears by itself when it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_returns_is_reported_under_once() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await?;

    env.role_binding("team-b", "back", "view", &[user(LEAVER)]).await?;
    let status = env.wait_for_state("left", "AccessReturned").await?;
    assert_stalled(&status, "AccessReturned");
    sees!(env, "left", "while it is there");
    assert_conditions(&status, &[("AccessReturned", "True/BindingFound")]);
    assert!(message(&status, "Ready").contains("RoleBinding team-b/back"));
    wait_for_event(&env, "left", "Warning BindingFound").await?;
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-b/back"], "it is left");

    Api::<RoleBinding>::namespaced(env.admin(), "team-b")
        .delete("back", &DeleteParams::default())
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    sees!(env, "left", "once it was removed by hand");
    assert_eq!(condition(&status, "AccessReturned"), "False/None");
    Ok(())
}

/// Goes through all steps again, with a backup of its own.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_returns_is_removed_again_under_continuous() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    env.wait_for_state("left", "Offboarded").await?;

    env.role_binding("team-b", "back", "view", &[user(LEAVER)]).await?;
    let again = |s: &UserOffboardingStatus| state(s) == "Offboarded" && s.removed.unwrap_or_default().deleted == 3;
    let status = env.wait_for("left", "the third binding is removed", again).await?;
    assert_gone(&env, &status).await?;
    sees!(env, "left", "at the second end");
    assert_eq!(condition(&status, "AccessReturned"), "False/None");
    Ok(())
}

/// Waits like before anyone's first end: who is back at work is not locked out.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_returns_to_somebody_active_waits_under_continuous() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    env.wait_for_state("left", "Offboarded").await?;
    env.sim
        .add_record(CLUSTER_ID, Record::by(UID).ago(Duration::from_secs(60)));

    env.role_binding("team-b", "back", "view", &[user(LEAVER)]).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    sees!(env, "left", "while they are active");
    assert_conditions(&status, &[("AccessReturned", "True/BindingFound")]);
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-b/back"]);

    env.sim
        .age_records(CLUSTER_ID, |_| true, Duration::from_secs(8 * 86_400));
    let again = |s: &UserOffboardingStatus| state(s) == "Offboarded" && s.removed.unwrap_or_default().deleted == 3;
    let status = env.wait_for("left", "the third binding is removed", again).await?;
    assert_gone(&env, &status).await
}

/// Looks once a day as long as ACK could restore it, reports it, and under `Continuous` has it purged again.
#[tokio::test(flavor = "multi_thread")]
async fn a_reissued_kubeconfig_is_found_by_the_poll() -> anyhow::Result<()> {
    let env = running_with(&["--poll-interval=1s"]).await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await?;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    let status = env.wait_for_state("left", "AccessReturned").await?;
    assert_stalled(&status, "AccessReturned");
    sees!(env, "left", "while it is there");
    assert_conditions(
        &status,
        &[
            ("AccessReturned", "True/KubeconfigReissued"),
            ("KubeconfigPurged", "Unknown/Pending"),
        ],
    );
    assert_eq!(purges(&env).len(), 1, "under Once it is left");
    env.apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    assert_eq!(purges(&env).len(), 2, "and purged under Continuous");
    Ok(())
}

/// Goes through all checks before the purge, though the bindings went long ago.
#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_was_kept_is_purged_when_the_spec_says_so_and_through_all_checks() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "kubeconfig": "Keep"})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("KubeconfigPurged", "True/Kept")]);
    sees!(env, "left", "while it is kept");
    assert!(purges(&env).is_empty());

    env.sim
        .add_record(CLUSTER_ID, Record::by(UID).ago(Duration::from_secs(60)));
    env.apply("left", json!({"uid": UID, "kubeconfig": "Purge"})).await?;
    let first = env.wait_for_state("left", "WaitingForInactivity").await?;
    let asked = |s: &UserOffboardingStatus| s.activity.as_ref().map(|a| a.checked_at.clone());
    let later = env
        .wait_for("left", "the next look", |s| asked(s) > asked(&first))
        .await?;
    assert_conditions(
        &later,
        &[
            ("Ready", "False/WaitingForInactivity"),
            ("AccessReturned", "False/None"),
        ],
    );
    assert!(purges(&env).is_empty());

    env.sim
        .age_records(CLUSTER_ID, |_| true, Duration::from_secs(8 * 86_400));
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Leaves the backups where they are: they belong to nobody but the administrator.
#[tokio::test(flavor = "multi_thread")]
async fn the_object_is_deleted_after_the_end() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    let before = env.backups().await?;
    env.delete("left").await?;
    // Whatever the operator does about the deletion, it does before it sees the next object.
    env.apply("another", json!({"uid": "259083957089437999"})).await?;
    env.wait_for_state("another", "NothingToRemove").await?;
    let after = env.backups().await?;
    assert_eq!(before, after);
    assert!(
        after
            .iter()
            .all(|b| b.owner_references().is_empty() && b.finalizers().is_empty())
    );
    sees!(
        env,
        "another",
        "of another object: nothing is left of the first but its backups"
    );
    Ok(())
}

/// Nothing, as the object was deleted before. The bindings are what they were: labels, annotations, role, and every subject.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_brings_the_access_back_exactly() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let spec = json!({
        "metadata": {"name": "marked", "labels": {"on": "off", "n": "1"}, "annotations": {"note": "line 1\nline 2: \"x\""}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [user(LEAVER), user(UID)],
    });
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    api.create(&PostParams::default(), &serde_json::from_value(spec)?)
        .await?;
    let everything = async || -> anyhow::Result<Vec<Value>> {
        let bare = |mut value: Value| {
            if let Some(metadata) = value["metadata"].as_object_mut() {
                let assigned = ["uid", "resourceVersion", "creationTimestamp", "managedFields"];
                metadata.retain(|name, _| !assigned.contains(&name.as_str()));
            }
            value
        };
        Ok(vec![
            bare(serde_json::to_value(api.get("leaver").await?)?),
            bare(serde_json::to_value(api.get("marked").await?)?),
            bare(serde_json::to_value(
                Api::<ClusterRoleBinding>::all(env.admin())
                    .get("leaver-everywhere")
                    .await?,
            )?),
        ])
    };
    let before = everything().await?;
    make_a_request(&env).await?;
    env.sim
        .age_records(CLUSTER_ID, |_| true, Duration::from_secs(8 * 86_400));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end, before it was deleted");
    assert_gone(&env, &status).await?;
    env.delete("left").await?;

    for backup in env.backups().await? {
        let mut create = env.cluster.kubectl();
        let file = env.cluster.dir().join("restore.yaml");
        std::fs::write(&file, &backup.data.expect("data")["deleted.yaml"])?;
        let output = create.args(["create", "-f"]).arg(&file).output()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(backup.metadata.namespace.as_deref(), Some(OPERATOR_NAMESPACE));
    }
    assert_eq!(everything().await?, before);
    let path = "/api/v1/namespaces/team-a/configmaps";
    eventually("the leaver's certificate to work again", PATIENCE, async || {
        Ok((env.probe(LEAVER, path).await? == 200).then_some(()))
    })
    .await?;
    assert_eq!(
        kubeconfig_state(&env.sim, UID),
        Some(CertificateState::Removed),
        "ACK's part is restored in ACK"
    );
    Ok(())
}

/// Somebody takes the conditions out of a status: they are written again at once, and nothing is done twice.
#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_somebody_takes_away_are_written_again() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await?;
    let (asked, backups) = (purges(&env).len(), env.backups().await?.len());
    let none = Patch::Merge(json!({"status": {"conditions": []}}));
    let emptied = env
        .offboardings()
        .patch_status("left", &PatchParams::default(), &none)
        .await?;
    assert!(emptied.status.unwrap_or_default().conditions.is_empty());
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    assert_eq!((purges(&env).len(), env.backups().await?.len()), (asked, backups));
    Ok(())
}

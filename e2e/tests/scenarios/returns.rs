//! What comes back: bindings that something restores within moments, and UserOffboardings that are made again under another uid.

use crate::{
    edits::History,
    sight::{sees, sees_text},
    support::{
        LEAVER, TestEnv, UID, approvals, assert_conditions, assert_gone, assert_stalled, freeze_team_a, give_access,
        message, purges, running, running_with, unfreeze_team_a,
    },
};
use ack_offboarding_e2e::{
    cluster::OPERATOR_NAMESPACE,
    env::{condition, user},
};
use ack_offboarding_operator::{
    api::{UserOffboarding, UserOffboardingStatus},
    rbac::{
        BindingKey, BindingKind, Leaver, LiveBinding,
        backup::{self, Entry, Purpose, Record, StoredAction},
    },
};
use futures::StreamExt;
use k8s_openapi::{
    api::{core::v1::ConfigMap, rbac::v1::RoleBinding},
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Something that restores team-a's bindings at once, as long as it lives.
struct Restorer(tokio::task::JoinHandle<()>);

impl Drop for Restorer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn team_a(client: &Client) -> Api<RoleBinding> {
    Api::namespaced(client.clone(), "team-a")
}

impl Restorer {
    /// Restores the binding `name` with these subjects whenever it vanishes, after this time; and whenever it lacks one of them, if that is said.
    async fn begin(
        env: &TestEnv,
        name: &'static str,
        subjects: Value,
        (after, patches): (Duration, bool),
    ) -> anyhow::Result<Self> {
        let api = team_a(&env.admin());
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": subjects,
        }))?;
        let version = api
            .list(&ListParams::default())
            .await?
            .metadata
            .resource_version
            .unwrap_or_default();
        let mut events = api.watch(&WatchParams::default(), &version).await?.boxed();
        Ok(Restorer(tokio::spawn(async move {
            let create = PostParams {
                field_manager: Some("acme-gitops".into()),
                ..PostParams::default()
            };
            let patch = PatchParams {
                field_manager: Some("acme-gitops".into()),
                ..PatchParams::default()
            };
            while let Some(event) = events.next().await {
                match event {
                    Ok(WatchEvent::Deleted(gone)) if gone.name_any() == name => {
                        tokio::time::sleep(after).await;
                        let _ = api.create(&create, &binding).await;
                    }
                    Ok(WatchEvent::Modified(changed))
                        if patches && changed.name_any() == name && changed.subjects != binding.subjects =>
                    {
                        let _ = api
                            .patch(name, &patch, &Patch::Merge(json!({"subjects": binding.subjects})))
                            .await;
                    }
                    _ => {}
                }
            }
        })))
    }
}

/// The line of `Ready` alone: whether the purge was looked at before the last return is a matter of milliseconds.
fn ready(status: &UserOffboardingStatus) -> String {
    format!("Ready={}: {}\n", condition(status, "Ready"), message(status, "Ready"))
}

fn was_ever_offboarded(history: &History) -> bool {
    let statuses = history.all().into_iter().filter_map(|object| object.status);
    statuses
        .into_iter()
        .any(|status| condition(&status, "Offboarded").starts_with("True/"))
}

/// However fast it is restored, the third time counts: it is left, and the message has the name that the writer gives itself in managedFields. At no
/// moment is the access called gone. Once it stays away, that takes ten seconds more, in which it could come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_is_restored_within_milliseconds_is_never_called_gone() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=20s"]).await;
    give_access(&env).await?;
    let restorer = Restorer::begin(&env, "leaver", json!([user(LEAVER)]), (Duration::ZERO, false)).await?;
    let history = History::begin(&env);
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "RestoredByManager").await?;
    assert_stalled(&status, "RestoredByManager");
    sees_text!("after the third time", ready(&status));
    assert!(message(&status, "Ready").contains("acme-gitops"));
    assert!(!was_ever_offboarded(&history), "kubectl wait would have passed");

    drop(restorer);
    team_a(&env.admin()).delete("leaver", &DeleteParams::default()).await?;
    let status = env.wait_for_state("left", "InProgress").await?;
    assert_conditions(
        &status,
        &[("BindingsRemoved", "True/Removed"), ("Offboarded", "False/InProgress")],
    );
    sees!(env, "left", "when it has gone");
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// The same object, in which the leaver is again within milliseconds: the third time counts as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_a_shared_binding_that_is_restored_within_milliseconds_is_named() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1h"]).await;
    let subjects = json!([user("259083957089437777"), user(LEAVER)]);
    env.role_binding("team-a", "shared", "edit", &[user("259083957089437777"), user(LEAVER)])
        .await?;
    let _restorer = Restorer::begin(&env, "shared", subjects, (Duration::ZERO, true)).await?;
    // Without a kubeconfig, the first end takes a single look, which may be faster than the restorer.
    env.apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    let status = env.wait_for_state("left", "RestoredByManager").await?;
    assert_stalled(&status, "RestoredByManager");
    sees_text!("after the third time", ready(&status));
    assert!(message(&status, "Ready").contains("acme-gitops"));
    Ok(())
}

/// Under `Continuous`, the first end is an end as far as anybody can tell. After the first return, ten seconds must pass: a restorer that needs
/// three of them never sees the access called gone again.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_is_restored_after_seconds_is_called_gone_once_only() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1h"]).await;
    give_access(&env).await?;
    let own = (Duration::from_secs(3), false);
    let _restorer = Restorer::begin(&env, "leaver", json!([user(LEAVER)]), own).await?;
    let history = History::begin(&env);
    env.apply("left", json!({"uid": UID, "enforcement": "Continuous"}))
        .await?;
    let status = env.wait_for_state("left", "RestoredByManager").await?;
    assert_stalled(&status, "RestoredByManager");
    let ends: BTreeSet<String> = history
        .all()
        .into_iter()
        .filter_map(|object| object.status)
        .filter(|status| condition(status, "Offboarded").starts_with("True/"))
        .filter_map(|status| status.completed_at.map(|at| at.0.to_string()))
        .collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
    Ok(())
}

/// The same object, whose subjects are put back between the operator's two moves: it is never deleted, and the third time counts as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_is_filled_again_before_it_is_deleted_is_named() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=1h"]).await;
    give_access(&env).await?;
    let restorer = Restorer::begin(&env, "leaver", json!([user(LEAVER)]), (Duration::ZERO, true)).await?;
    let history = History::begin(&env);
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "RestoredByManager").await?;
    assert_stalled(&status, "RestoredByManager");
    assert!(message(&status, "Ready").contains("acme-gitops"));
    assert!(!was_ever_offboarded(&history));
    drop(restorer);
    Ok(())
}

/// Nothing is left to do for the new object. It says where the backups of the UID are, counts none of them as its own, and knows that the UID did
/// hold something here.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_made_again_after_the_end_names_the_backups_of_the_first() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    let (backups, asked) = (env.backups().await?, purges(&env).len());
    let first = env.offboardings().get("left").await?.uid().unwrap_or_default();
    env.delete("left").await?;
    // RAM has deleted the user for good meanwhile.
    env.sim.edit(|world| world.users.retain(|user| user.user_id != UID));
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "NothingToRemove").await?;
    sees!(env, "left", "of the second object");
    assert_conditions(
        &status,
        &[
            ("Offboarded", "True/NothingToRemove"),
            ("BackedUp", "True/NothingToBackUp"),
            ("IdentityResolved", "True/DeletedFromRam"),
        ],
    );
    assert_eq!(status.removed.unwrap_or_default().total, 0, "not its own");
    let told = message(&status, "Ready");
    assert!(
        told.contains(&first[..8]) && told.contains(&backups[0].name_any()),
        "{told}"
    );
    assert_eq!(env.backups().await?, backups);
    assert_eq!(purges(&env).len(), asked, "nothing was asked of ACK");
    Ok(())
}

/// The object and the backups of another cluster, as Velero restores them: the object without its status, which is a subresource. The backups
/// decide nothing here, though the old status said that all was done: what the UID holds in this cluster goes through all steps.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_restored_into_another_cluster_begins_anew() -> anyhow::Result<()> {
    let env = running().await;
    let (uid, old) = (UID.parse()?, "0f1e2d3c-0000-4000-8000-000000000001");
    let key = BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: Some("team-a".into()),
        name: "elsewhere".into(),
    };
    let text = json!({
        "metadata": {"name": "elsewhere", "namespace": "team-a", "uid": "u-1", "resourceVersion": "7"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [user(LEAVER)],
    })
    .to_string();
    let entry = Entry {
        record: Record {
            binding: LiveBinding::parse(&key, &text, &Leaver::new(uid, &[], &[]))?.into(),
            action: StoredAction::Delete,
            fingerprint: "f".into(),
        },
        text,
    };
    let purpose = Purpose {
        reason: None,
        cluster_id: "c-of-before".into(),
        uid,
        object_name: "left".into(),
        object_uid: old.into(),
        run_id: "r".into(),
        plan_digest: "sha256:0".into(),
        decision: "Automatic".into(),
    };
    let then = Timestamp::now().checked_sub(SignedDuration::from_hours(48))?;
    let map = backup::config_map(&purpose, &[entry], OPERATOR_NAMESPACE, then)?;
    let maps: Api<ConfigMap> = Api::namespaced(env.admin(), OPERATOR_NAMESPACE);
    maps.create(&PostParams::default(), &map).await?;

    let restored = |name: &str| -> anyhow::Result<UserOffboarding> {
        Ok(serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding",
            "metadata": {"name": name, "labels": {"velero.io/restore-name": "move"}},
            "spec": {"uid": UID},
            "status": {"observedGeneration": 1, "completedAt": "2026-01-01T00:00:00Z",
                "conditions": [{"type": "Offboarded", "status": "True", "reason": "Verified", "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "removed": {"deleted": 1, "disarmed": 0, "subjectsRemoved": 0, "disappeared": 0, "total": 1}},
        }))?)
    };
    env.offboardings()
        .create(&PostParams::default(), &restored("left")?)
        .await?;
    let status = env.wait_for_state("left", "NothingToRemove").await?;
    sees!(env, "left", "in a cluster where the UID holds nothing");
    assert_eq!(status.removed.unwrap_or_default().total, 0);
    let told = message(&status, "Ready");
    assert!(
        told.contains("in cluster c-of-before") && told.contains(&map.name_any()),
        "{told}"
    );
    env.delete("left").await?;

    give_access(&env).await?;
    env.offboardings()
        .create(&PostParams::default(), &restored("left")?)
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(
        status.removed.unwrap_or_default().total,
        2,
        "what was here, and nothing of before"
    );
    sees!(env, "left", "in a cluster where it holds something");
    assert_gone(&env, &status).await
}

/// Git replaces the object half-way: the new one removes what is left, as its own, and names what the first one stored. An approval of the first
/// one's plan does not approve what is left.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_replaced_half_way_finishes_what_is_left() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    freeze_team_a(&env).await?;
    let spec = |digests: &[String]| json!({"uid": UID, "approval": "Manual", "approvals": approvals(digests)});
    env.apply("left", spec(&[])).await?;
    let digest =
        |status: &UserOffboardingStatus| status.plan.as_ref().map(|plan| plan.digest.clone()).unwrap_or_default();
    let first = digest(&env.wait_for_state("left", "AwaitingApproval").await?);
    env.apply("left", spec(std::slice::from_ref(&first))).await?;
    let status = env.wait_for_state("left", "Forbidden").await?;
    assert_eq!(status.removed.unwrap_or_default().total, 1);
    env.delete("left").await?;
    env.apply("left", spec(std::slice::from_ref(&first))).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    assert_ne!(digest(&status), first);
    assert_eq!(env.bindings_of(UID).await?, ["RoleBinding team-a/leaver"]);
    unfreeze_team_a(&env).await?;
    env.apply("left", spec(&[digest(&status)])).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end of the second object");
    assert_eq!(status.removed.unwrap_or_default().total, 1, "its own part only");
    assert!(message(&status, "Ready").contains("another UserOffboarding (left, uid "));
    assert_gone(&env, &status).await
}

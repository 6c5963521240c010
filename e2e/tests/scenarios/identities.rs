//! Who the UID is, and what follows from it.

use crate::sight::sees;
use crate::support::{
    UID, assert_conditions, assert_gone, assert_stalled, assert_untouched, env, give_access, make_a_request, message,
    purges, running, running_with, wait_for_event,
};
use ack_offboarding_e2e::{
    env::{ACCOUNT, CLUSTER_ID, OPERATOR_ROLE, OperatorOptions, add_user, condition, issue_kubeconfig, user},
    simulator::world::{CertificateState, Role},
};
use ack_offboarding_operator::api::{IdentityState, ResolvedIdentityType};
use serde_json::json;

/// Carries it out: RAM does not know the UID any more, but the cluster does. The name cannot be compared any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_offboarded() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    // A real certificate that works before; so that it does not count as activity, it was eight days ago.
    make_a_request(&env).await?;
    env.sim
        .age_records(CLUSTER_ID, |_| true, std::time::Duration::from_secs(8 * 86_400));
    env.apply("left", json!({"uid": UID, "expectedName": "whoever"}))
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");

    assert_gone(&env, &status).await?;
    assert_conditions(
        &status,
        &[
            ("IdentityResolved", "True/DeletedFromRam"),
            ("Inactive", "True/NoActivity"),
            ("Approved", "True/Automatic"),
            ("BindingsRemoved", "True/Removed"),
            ("KubeconfigPurged", "True/Purged"),
            ("AccessReturned", "False/None"),
        ],
    );
    let removed = status.removed.unwrap_or_default();
    assert_eq!((removed.deleted, removed.subjects_removed, removed.total), (2, 0, 2));
    assert_eq!(purges(&env).len(), 1);
    wait_for_event(&env, "left", "Normal Purged").await?;
    Ok(())
}

/// Carries it out: the name is the expected one, and the audit log shows nothing in the window. ACK's own guard stays on.
#[tokio::test(flavor = "multi_thread")]
async fn an_existing_quiet_user_is_offboarded() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "expectedName": "leaver"})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await?;
    assert_conditions(&status, &[("IdentityResolved", "True/RamUser")]);
    let identity = status.identity.expect("an identity");
    assert_eq!(
        (identity.name.as_deref(), identity.state),
        (Some("leaver"), IdentityState::Exists)
    );
    assert_eq!(purges(&env)[0].parameter("force"), "false", "ACK's own guard stays on");
    Ok(())
}

/// Stops before anything is touched: a role is shared. Goes on when the spec says RamRole.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_offboarded_only_if_the_manifest_says_role() -> anyhow::Result<()> {
    let env = running().await;
    env.sim.edit(|w| w.roles.push(Role::new(UID, "shared-role")));
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "TypeMismatch").await?;
    sees!(env, "left", "while the spec says RamUser");
    assert_stalled(&status, "TypeMismatch");
    assert_conditions(&status, &[("IdentityResolved", "False/TypeMismatch")]);
    assert!(
        message(&status, "Ready").contains("identityType: RamRole"),
        "{}",
        message(&status, "Ready")
    );
    assert_untouched(&env).await?;

    env.apply(
        "left",
        json!({"uid": UID, "identityType": "RamRole", "expectedName": "shared-role"}),
    )
    .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_conditions(&status, &[("IdentityResolved", "True/RamRole")]);
    sees!(env, "left", "once it says RamRole");
    assert_gone(&env, &status).await
}

/// Stops before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_said_to_be_a_role_is_held() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "identityType": "RamRole"}))
        .await?;
    assert_stalled(&env.wait_for_state("left", "TypeMismatch").await?, "TypeMismatch");
    sees!(env, "left", "at once");
    assert_untouched(&env).await
}

/// Carries it out, and says that the user could be restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_in_the_recycle_bin_is_offboarded() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    env.sim.edit(|w| assert!(w.delete_user(UID)));
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "expectedName": "leaver"})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await?;
    assert_conditions(&status, &[("IdentityResolved", "True/InRecycleBin")]);
    let identity = status.identity.expect("an identity");
    assert_eq!(
        (identity.name.as_deref(), identity.state),
        (Some("leaver"), IdentityState::InRecycleBin)
    );
    assert!(identity.deleted_at.is_some());
    Ok(())
}

/// Nothing, and is done: most leavers hold nothing in most clusters. A warning event says that nobody knows the UID.
#[tokio::test(flavor = "multi_thread")]
async fn a_uid_nobody_knows_that_holds_nothing_is_no_failure() -> anyhow::Result<()> {
    let env = running().await;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "NothingToRemove").await?;
    sees!(env, "left", "at the end");
    assert_conditions(
        &status,
        &[
            ("IdentityResolved", "False/NothingFound"),
            ("BackedUp", "True/NothingToBackUp"),
            ("BindingsRemoved", "True/NothingToRemove"),
            ("KubeconfigPurged", "True/NothingToPurge"),
            ("Offboarded", "True/NothingToRemove"),
            ("Ready", "True/NothingToRemove"),
        ],
    );
    assert!(purges(&env).is_empty() && env.backups().await?.is_empty());
    wait_for_event(&env, "left", "Warning NothingFound").await?;
    Ok(())
}

/// Stops before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn another_name_than_expected_holds_everything() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "somebody-else");
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "expectedName": "leaver"})).await?;
    let status = env.wait_for_state("left", "NameMismatch").await?;
    sees!(env, "left", "at once");
    assert_stalled(&status, "NameMismatch");
    assert_conditions(
        &status,
        &[
            ("IdentityResolved", "False/NameMismatch"),
            ("Inactive", "Unknown/Pending"),
        ],
    );
    let text = message(&status, "Ready");
    assert!(text.contains("somebody-else") && text.contains("leaver"), "{text}");
    wait_for_event(&env, "left", "Warning NameMismatch").await?;
    assert_untouched(&env).await
}

/// Looks up whose the expected name is, and stops, naming both UIDs.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_uid_with_the_right_name_is_held() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, UID, "leaver");
    give_access(&env).await?;
    let mistyped = "259083957089437691";
    env.apply("left", json!({"uid": mistyped, "expectedName": "leaver"}))
        .await?;
    let status = env.wait_for_state("left", "NameMismatch").await?;
    sees!(env, "left", "at once");
    assert_stalled(&status, "NameMismatch");
    let text = message(&status, "Ready");
    assert!(text.contains(mistyped) && text.contains(UID), "names both: {text}");
    assert_untouched(&env).await
}

/// Carries it out: the UID holds access here, so it is no typing error; the name was given to somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_whose_name_was_given_to_another_is_offboarded() -> anyhow::Result<()> {
    let env = running().await;
    add_user(&env.sim, "200000000000000002", "leaver");
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "expectedName": "leaver"})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await
}

/// Stops before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn the_root_account_is_never_touched() -> anyhow::Result<()> {
    let env = running().await;
    issue_kubeconfig(&env.sim, ACCOUNT, CertificateState::Unexpired);
    env.cluster_role_binding("root", "cluster-admin", &[user(ACCOUNT)])
        .await?;
    env.apply("left", json!({"uid": ACCOUNT})).await?;
    let status = env.wait_for_state("left", "ProtectedIdentity").await?;
    sees!(env, "left", "at once");
    assert_stalled(&status, "ProtectedIdentity");
    assert_eq!(
        status.identity.as_ref().map(|i| i.type_),
        Some(ResolvedIdentityType::RootAccount)
    );
    assert_eq!(env.bindings_of(ACCOUNT).await?.len(), 1);
    assert!(purges(&env).is_empty());
    Ok(())
}

/// Stops before anything is touched.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_identity_is_never_touched() -> anyhow::Result<()> {
    let env = running().await;
    env.cluster_role_binding("own", "cluster-admin", &[user(OPERATOR_ROLE)])
        .await?;
    env.apply("left", json!({"uid": OPERATOR_ROLE, "identityType": "RamRole"}))
        .await?;
    let status = env.wait_for_state("left", "ProtectedIdentity").await?;
    sees!(env, "left", "at once");
    assert_stalled(&status, "ProtectedIdentity");
    assert_eq!(condition(&status, "IdentityResolved"), "False/ProtectedIdentity");
    assert_eq!(env.bindings_of(OPERATOR_ROLE).await?.len(), 1);
    Ok(())
}

/// Stops before anything is touched, whatever else the spec says.
#[tokio::test(flavor = "multi_thread")]
async fn a_protected_uid_is_never_touched() -> anyhow::Result<()> {
    let env = running_with(&["--protected-uids=1,259083957089437690"]).await;
    give_access(&env).await?;
    env.apply(
        "left",
        json!({"uid": UID, "activityCheck": {"whenActive": "Proceed", "whenUnknown": "Proceed"}}),
    )
    .await?;
    assert_stalled(
        &env.wait_for_state("left", "ProtectedIdentity").await?,
        "ProtectedIdentity",
    );
    sees!(env, "left", "at once");
    assert_untouched(&env).await
}

/// Stops before anything is touched: seen from another account every user looks deleted.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_account_touch_nothing() -> anyhow::Result<()> {
    let mut env = env().await;
    env.cluster.set_cluster_profile(CLUSTER_ID, "999").await?;
    env.start_operator(&OperatorOptions::default()).await?;
    give_access(&env).await?;
    env.apply(
        "left",
        json!({"uid": UID, "activityCheck": {"whenActive": "Proceed", "whenUnknown": "Proceed"}}),
    )
    .await?;
    let status = env.wait_for_state("left", "WrongAccount").await?;
    sees!(env, "left", "at once");
    assert_stalled(&status, "WrongAccount");
    assert_conditions(&status, &[("IdentityResolved", "Unknown/WrongAccount")]);
    assert!(message(&status, "Ready").contains(ACCOUNT));
    assert_untouched(&env).await
}

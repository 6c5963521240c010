//! User names that begin with the UID and do not end in digits alone: whose they are, a person decides.

use crate::sight::sees;
use crate::support::{UID, assert_conditions, assert_gone, assert_stalled, give_access, message, purges, running};
use ack_offboarding_e2e::env::user;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use serde_json::json;

const LETTERS: &str = "259083957089437690-c7f1a2b9";
const TWICE: &str = "259083957089437690-1700000000-2";

/// Removes what is certainly the leaver's, names the others, and asks ACK for nothing until the spec has decided on each.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_another_suffix_waits_for_a_person() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.role_binding("team-b", "letters", "edit", &[user(LETTERS)]).await?;
    env.role_binding("team-b", "twice", "edit", &[user(TWICE), user("200100000000000002")])
        .await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "UndecidedNames").await?;
    sees!(env, "left", "while nobody has decided");
    assert_stalled(&status, "UndecidedNames");
    assert_conditions(
        &status,
        &[
            ("BackedUp", "True/Stored"),
            ("KubeconfigPurged", "False/BindingsRemain"),
        ],
    );
    assert_eq!(status.undecided_names, [LETTERS, TWICE]);
    assert_eq!(
        env.bindings_of(UID).await?,
        Vec::<String>::new(),
        "what is certain is removed"
    );
    let secrets = "/api/v1/namespaces/team-b/secrets";
    // Not asked for under that name: if it is the leaver's, that would be activity.
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-b");
    assert!(api.get("letters").await?.subjects.is_some(), "what is not stays");
    assert!(purges(&env).is_empty());

    env.apply("left", json!({"uid": UID, "names": {"include": [LETTERS]}}))
        .await?;
    let half = |s: &ack_offboarding_operator::api::UserOffboardingStatus| s.undecided_names == [TWICE];
    let status = env.wait_for("left", "one is decided", half).await?;
    assert_stalled(&status, "UndecidedNames");
    env.until_answered(LETTERS, secrets, 403).await?;
    assert!(purges(&env).is_empty(), "one is enough");

    let names = json!({"include": [LETTERS], "ignore": [TWICE]});
    env.apply("left", json!({"uid": UID, "names": names})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "when each is decided on");
    assert!(status.undecided_names.is_empty());
    assert_gone(&env, &status).await?;
    assert_eq!(env.probe(TWICE, secrets).await?, 200, "it was decided that it stays");
    let removed = status.removed.unwrap_or_default();
    assert_eq!(
        (removed.deleted, removed.subjects_removed, removed.disappeared),
        (3, 0, 0)
    );
    assert_eq!(purges(&env).len(), 1);
    Ok(())
}

/// A binding with thousands of names costs the API server more to check than it allows. It is backed up and named with the command that
/// takes the leaver out; every other binding is removed. Whoever made it cannot hold up more than it.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_the_policy_gives_up_on_holds_only_itself() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let mut subjects = vec![user(UID), user(LETTERS)];
    subjects.extend((0..2_000).map(|n| user(&format!("{UID}-a{n}"))));
    env.cluster_role_binding("crowded $(reboot)'", "view", &subjects)
        .await?;
    env.apply("left", json!({"uid": UID, "names": {"include": [LETTERS]}}))
        .await?;
    let status = env.wait_for_state("left", "PolicyLimitExceeded").await?;
    sees!(env, "left", "while a person must take the leaver out");
    assert_stalled(&status, "PolicyLimitExceeded");
    assert!(purges(&env).is_empty());
    assert_eq!(
        env.bindings_of(UID).await?,
        ["ClusterRoleBinding crowded $(reboot)'"],
        "the others are removed"
    );

    let said = message(&status, "Ready").to_owned();
    let (_, command) = said.split_once("the operator then continues: ").expect("a command");
    if std::process::Command::new("jq").arg("--version").output().is_err() {
        // The README does not list it.
        return Ok(());
    }
    let ran = env.cluster.shell(command)?.output()?;
    assert!(ran.status.success(), "{command}: {ran:?}");
    let status = env.wait_for_state("left", "UndecidedNames").await?;
    assert_stalled(&status, "UndecidedNames");
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());
    Ok(())
}

/// After the end, such a name is no news that can be left: it may be the leaver's.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_another_suffix_appears_after_the_end() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Offboarded").await?;
    env.cluster_role_binding("letters", "view", &[user(LETTERS)]).await?;
    let status = env.wait_for_state("left", "UndecidedNames").await?;
    sees!(env, "left", "while nobody has decided");
    assert_conditions(&status, &[("Offboarded", "False/UndecidedNames")]);
    assert!(message(&status, "Ready").contains(LETTERS));
    env.apply("left", json!({"uid": UID, "names": {"ignore": [LETTERS]}}))
        .await?;
    env.wait_for_state("left", "Offboarded").await?;
    Ok(())
}

//! `start`.

use crate::support::{UID, give_access, names, person, plugin, running, shows};
use ack_offboarding_e2e::env::{add_user, condition};
use serde_json::json;

/// Shows the plan, creates the object, and stays until the end.
#[tokio::test(flavor = "multi_thread")]
async fn to_the_end() -> anyhow::Result<()> {
    let env = running().await;
    let requester = person(&env, "requester").await?;
    add_user(&env.sim, UID, "Jane.Leaver");
    give_access(&env).await?;
    let said = plugin(&requester, &["start", UID, "--reason=TICKET-7", "--yes", "--wait"])
        .await?
        .ends_with(0);
    assert_eq!(said.out, "useroffboarding.ack-offboarding.io/jane-leaver: Offboarded\n");
    let said = said.tells("Plan for UID").tells("Created UserOffboarding jane-leaver.");
    assert!(said.err.contains("ClusterRoleBinding leaver-everywhere"), "{said:#?}");
    let object = env.offboardings().get("jane-leaver").await?;
    assert_eq!(object.spec.reason.as_deref(), Some("TICKET-7"));
    assert!(env.bindings_of(UID).await?.is_empty());

    // A second one would do the same.
    let again = plugin(&requester, &["start", UID, "--yes"]).await?.ends_with(1);
    again
        .prints_nothing()
        .tells("UserOffboarding jane-leaver deals with UID");
    assert_eq!(names(&env).await?, ["jane-leaver"]);
    Ok(())
}

/// With --approve, exactly what was shown is carried out; it takes the approver's role.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_shown_is_approved() -> anyhow::Result<()> {
    let env = running().await;
    let (requester, approver) = (person(&env, "requester").await?, person(&env, "approver").await?);
    give_access(&env).await?;
    let refused = plugin(&requester, &["start", UID, "--object=left", "--approve", "--yes"])
        .await?
        .ends_with(2);
    refused.prints_nothing().tells("ClusterRole ack-offboarding-approver");
    assert!(names(&env).await?.is_empty());

    let args = [
        "start",
        UID,
        "--object=left",
        "--approve",
        "--reason=TICKET-7",
        "--yes",
        "--wait",
    ];
    plugin(&approver, &args).await?.ends_with(0);
    let object = env.offboardings().get("left").await?;
    let status = object.status.unwrap_or_default();
    assert_eq!(condition(&status, "Approved"), "True/PlanApproved");
    assert_eq!(object.spec.approvals[0].reason.as_deref(), Some("TICKET-7"));
    Ok(())
}

/// One that is held ends with 1, and says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_held() -> anyhow::Result<()> {
    let env = running().await;
    let requester = person(&env, "requester").await?;
    add_user(&env.sim, UID, "somebody-else");
    give_access(&env).await?;
    let said = plugin(&requester, &["start", UID, "--name=leaver", "--yes", "--wait"])
        .await?
        .ends_with(1);
    let said = said
        .tells("It would wait: NameMismatch")
        .tells("kubectl ack-offboard explain leaver");
    assert_eq!(said.out, "useroffboarding.ack-offboarding.io/leaver: NameMismatch\n");
    assert_eq!(env.bindings_of(UID).await?.len(), 2, "nothing was touched");
    Ok(())
}

/// Writes the manifest for Git, and changes nothing; what it writes is accepted as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_for_git() -> anyhow::Result<()> {
    let env = running().await;
    let approver = person(&env, "approver").await?;
    give_access(&env).await?;
    let args = ["start", UID, "--name=leaver", "--reason=TICKET-7", "--print"];
    let said = plugin(&approver, &args).await?.ends_with(0);
    shows!("start-print", said.out);
    let said = plugin(&approver, &[&args[..], &["--approve"]].concat())
        .await?
        .ends_with(0);
    shows!("start-print-approved", said.out);
    assert!(names(&env).await?.is_empty(), "nothing was created");
    env.cluster.apply_manifests(&said.out).await?;
    env.wait_for_state("leaver", "Offboarded").await?;
    Ok(())
}

/// Where nobody can be asked, --yes is demanded, and nothing is created.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_to_ask() -> anyhow::Result<()> {
    let env = running().await;
    let approver = person(&env, "approver").await?;
    give_access(&env).await?;
    let said = plugin(&approver, &["start", UID]).await?.ends_with(64);
    said.prints_nothing().tells("Add --yes to answer yes");
    assert!(names(&env).await?.is_empty());
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;
    plugin(&approver, &["approve", "left"])
        .await?
        .ends_with(64)
        .tells("Add --yes");
    assert!(env.offboardings().get("left").await?.spec.approvals.is_empty());
    Ok(())
}

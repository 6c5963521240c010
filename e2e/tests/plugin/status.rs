//! `status` and `wait`.

use crate::support::{UID, env, give_access, person, plugin, running, shows, stranger, until_authors_are_known};
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// A table for people, and the same for scripts.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_waits_in_every_format() -> anyhow::Result<()> {
    let env = running().await;
    let viewer = person(&env, "viewer").await?;
    let none = plugin(&viewer, &["status"]).await?.ends_with(0);
    none.prints_nothing()
        .tells("There are no UserOffboardings in this cluster.");

    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual", "reason": "TICKET-7"}))
        .await?;
    env.wait_for_state("left", "AwaitingApproval").await?;
    until_authors_are_known(&env, "left").await?;
    for format in ["table", "wide", "json", "yaml", "name"] {
        let said = plugin(&viewer, &["status", "-o", format]).await?.ends_with(0);
        assert_eq!(said.err, "", "data is on standard output alone");
        shows!(format!("status-{format}"), said.out);
    }
    let one = plugin(&viewer, &["status", "left"]).await?.ends_with(0);
    shows!("status-one", one.out);
    Ok(())
}

/// Follows it to its end, a line for each change, and says where it is.
#[tokio::test(flavor = "multi_thread")]
async fn wait_ends_when_it_is_there() -> anyhow::Result<()> {
    let env = running().await;
    let viewer = person(&env, "viewer").await?;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let said = plugin(&viewer, &["wait", "left", "--timeout=60s"]).await?.ends_with(0);
    assert_eq!(said.out, "useroffboarding.ack-offboarding.io/left: Offboarded\n");
    assert!(
        said.err.contains("Offboarded left: No binding names UID"),
        "{}",
        said.err
    );
    assert!(
        !said.err.contains('\u{1b}') && !said.err.contains('\r'),
        "plain lines: {:?}",
        said.err
    );
    Ok(())
}

/// Says what it still waits for when the deadline passes, and does not wait for what cannot come.
#[tokio::test(flavor = "multi_thread")]
async fn wait_gives_up() -> anyhow::Result<()> {
    let env = running().await;
    let viewer = person(&env, "viewer").await?;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.apply("tried", json!({"uid": "259083957089437777", "mode": "DryRun"}))
        .await?;
    env.wait_for_state("left", "AwaitingApproval").await?;

    let late = plugin(&viewer, &["wait", "left", "--timeout=1s"]).await?.ends_with(3);
    late.prints_nothing()
        .tells("1 s have passed. UserOffboarding left is AwaitingApproval")
        .tells("kubectl ack-offboard explain left");
    plugin(&viewer, &["wait", "left", "--for=held"]).await?.ends_with(0);
    plugin(&viewer, &["wait", "left", "--for=planned"]).await?.ends_with(0);
    let dry = plugin(&viewer, &["wait", "tried"]).await?.ends_with(1);
    dry.tells("is a dry run");
    plugin(&viewer, &["wait", "tried", "--for=ready"]).await?.ends_with(0);
    let none = plugin(&viewer, &["wait", "nobody"]).await?.ends_with(2);
    none.tells("there is no UserOffboarding nobody");
    let forbidden = plugin(&stranger(&env)?, &["wait", "left"]).await?.ends_with(2);
    forbidden.tells("ack-offboarding-viewer");
    Ok(())
}

/// Says that nobody is at work where no operator is.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_operator() -> anyhow::Result<()> {
    let env = env().await;
    let viewer = person(&env, "viewer").await?;
    env.apply("left", json!({"uid": UID})).await?;
    let said = plugin(&viewer, &["wait", "left", "--timeout=11s"]).await?.ends_with(3);
    said.tells("no operator answers");
    // Ten seconds old by now.
    plugin(&viewer, &["status"])
        .await?
        .ends_with(0)
        .tells("no operator answers");
    let explained = plugin(&viewer, &["explain", "left"]).await?.ends_with(1);
    assert!(explained.out.contains("No operator answers"), "{explained:#?}");
    // A status by which a newer operator says something new.
    let status = json!({"status": {"conditions": [{
        "type": "Ready", "status": "False", "reason": "SomethingNew", "message": "New.", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    env.offboardings()
        .patch_status("left", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    let newer = plugin(&viewer, &["explain", "left"]).await?.ends_with(1);
    assert!(
        newer.out.contains("The operator is newer than this plugin"),
        "{newer:#?}"
    );
    Ok(())
}

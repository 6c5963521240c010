//! What somebody at a terminal sees and answers: in a pseudo-terminal.

use crate::support::{UID, ended, give_access, names, person, running, terminal};
use ack_offboarding_e2e::env::user;
use rexpect::process::Signal;
use serde_json::json;

/// Sees the plan, says yes, and follows it live to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered() -> anyhow::Result<()> {
    let env = running().await;
    let requester = person(&env, "requester").await?;
    give_access(&env).await?;
    let (said, code) = tokio::task::spawn_blocking(move || {
        let mut session = terminal(&requester, &["start", UID, "--object=left", "--wait"], false)?;
        session.exp_string("Offboard UID")?;
        session.send("y\r")?;
        session.flush()?;
        ended(session)
    })
    .await??;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("\u{1b}[32mOffboarded\u{1b}[0m left:"),
        "in green: {said:?}"
    );
    assert!(
        said.contains("useroffboarding.ack-offboarding.io/left: Offboarded"),
        "{said}"
    );
    assert!(env.bindings_of(UID).await?.is_empty());
    Ok(())
}

/// No, Ctrl-C and a signal at the question: nothing is created.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_declined() -> anyhow::Result<()> {
    let env = running().await;
    let requester = person(&env, "requester").await?;
    give_access(&env).await?;
    for (answer, expected) in [("n\r", 1), ("\r", 1), ("\u{3}", 130)] {
        let requester = requester.clone();
        let (said, code) = tokio::task::spawn_blocking(move || {
            let mut session = terminal(&requester, &["start", UID], false)?;
            session.exp_string("Offboard UID")?;
            session.send(answer)?;
            session.flush()?;
            ended(session)
        })
        .await??;
        assert_eq!(code, Some(expected), "{answer:?}: {said}");
    }
    let (said, code) = tokio::task::spawn_blocking(move || {
        let mut session = terminal(&requester, &["start", UID], false)?;
        session.exp_string("Offboard UID")?;
        session.process_mut().signal(Signal::SIGINT)?;
        ended(session)
    })
    .await??;
    assert_eq!(code, Some(130), "{said}");
    assert!(
        names(&env).await?.is_empty(),
        "nothing was created, and no dry run is left"
    );
    Ok(())
}

/// The plan changes while somebody looks at it: yes is then no yes to the new one.
#[tokio::test(flavor = "multi_thread")]
async fn the_plan_changes_while_somebody_looks() -> anyhow::Result<()> {
    let env = running().await;
    let approver = person(&env, "approver").await?;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;
    let mut session = tokio::task::spawn_blocking(move || {
        let mut session = terminal(&approver, &["approve", "left"], false)?;
        session.exp_string("Approve this plan?")?;
        anyhow::Ok(session)
    })
    .await??;
    env.role_binding("team-b", "new", "view", &[user(UID)]).await?;
    env.wait_for("left", "a plan with the new binding", |status| {
        status.plan.as_ref().is_some_and(|plan| plan.total == 3)
    })
    .await?;
    let (said, code) = tokio::task::spawn_blocking(move || {
        session.send("y\r")?;
        session.flush()?;
        ended(session)
    })
    .await??;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("is another one by now"), "{said}");
    assert!(env.offboardings().get("left").await?.spec.approvals.is_empty());
    assert_eq!(env.bindings_of(UID).await?.len(), 3, "nothing was touched");
    Ok(())
}

/// Colours are for a terminal, and not for one that asks for none.
#[tokio::test(flavor = "multi_thread")]
async fn colours() -> anyhow::Result<()> {
    let env = running().await;
    let viewer = person(&env, "viewer").await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "NothingToRemove").await?;
    for (no_color, colourful) in [(false, true), (true, false)] {
        let viewer = viewer.clone();
        let (said, code) =
            tokio::task::spawn_blocking(move || ended(terminal(&viewer, &["status"], no_color)?)).await??;
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.contains("\u{1b}[32mNothingToRemove"), colourful, "{said:?}");
        assert_eq!(said.contains('\u{1b}'), colourful, "{said:?}");
    }
    Ok(())
}

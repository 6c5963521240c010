//! What somebody at a terminal sees and answers, and the tables.

use super::{offboard, plugin};
use crate::support::{UID, ended, give_access, running, shows, terminal};
use serde_json::json;

/// What would come back is shown before the question; no restores nothing, yes does.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_shown_before_it_is_restored() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let before = env.bindings_of(UID).await?;
    offboard(&env, json!({"reason": "TICKET-7"})).await?;
    for format in ["table", "wide", "json", "name"] {
        let backups = plugin(&env, &["backups", "-o", format]).await?.ends_with(0);
        shows!(format!("backups-{format}"), backups.out);
        let dry = plugin(&env, &["restore", "left", "--dry-run", "-o", format])
            .await?
            .ends_with(0);
        shows!(format!("restore-dry-run-{format}"), dry.out);
    }
    assert!(env.bindings_of(UID).await?.is_empty(), "a dry run changes nothing");

    for (answer, expected) in [("n\r", 1), ("\u{3}", 130), ("y\r", 0)] {
        assert!(env.bindings_of(UID).await?.is_empty(), "before {answer:?}");
        let kubeconfig = env.cluster.admin_kubeconfig();
        let (said, code) = tokio::task::spawn_blocking(move || {
            let mut session = terminal(&kubeconfig, &["restore", "left"], false)?;
            let shown = session.exp_string("Restore 2 bindings?")?;
            session.send(answer)?;
            session.flush()?;
            let (said, code) = ended(session)?;
            anyhow::Ok((shown + &said, code))
        })
        .await??;
        assert_eq!(code, Some(expected), "{answer:?}: {said}");
        assert!(said.contains("WOULD BE"), "{said}");
    }
    assert_eq!(env.bindings_of(UID).await?, before);
    Ok(())
}

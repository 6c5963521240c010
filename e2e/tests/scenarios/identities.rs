//! Who the UID is, and what follows from it.

use crate::support::running;
use ack_offboarding_e2e::{
    simulator::world::CertificateState,
    stage::{condition, issue_kubeconfig, kubeconfig_state, user},
};
use serde_json::json;

const UID: &str = "259083957089437690";

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_user_is_offboarded() -> anyhow::Result<()> {
    let stage = running().await;
    issue_kubeconfig(&stage.sim, UID, CertificateState::Unexpired);
    stage.cluster_role_binding("leaver-everywhere", "view", &[user(UID)]).await?;
    stage.role_binding("team-a", "leaver", "edit", &[user(&format!("{UID}-1700000000"))]).await?;

    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;

    assert_eq!(condition(&status, "IdentityResolved"), "True/DeletedFromRam");
    assert_eq!(condition(&status, "Offboarded"), "True/Verified");
    assert_eq!(stage.bindings_of(UID).await?, Vec::<String>::new());
    assert_eq!(kubeconfig_state(&stage.sim, UID), Some(CertificateState::Removed));
    println!("{}", serde_json::to_string_pretty(&status)?);
    Ok(())
}

//! Requests with the leaver's own certificate: what proves that access is there, or gone.

use kube::Client;

use super::fixtures::{self, GRANTS};
use crate::{env::settled, screen::Screen};

/// Makes the request that each of the leaver's bindings allows, and checks the answers.
pub(super) async fn ask_all(
    screen: &mut Screen,
    leaver: &Client,
    wanted: u16,
    which: impl Fn(&fixtures::Grant) -> bool,
) -> anyhow::Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for grant in GRANTS.iter().filter(|grant| which(grant)) {
        let status = settled(leaver, grant.path, wanted).await?;
        screen.check(
            &format!("leaver: {}", grant.request),
            &status.to_string(),
            &wanted.to_string(),
        );
        statuses.push(status);
    }
    Ok(statuses)
}

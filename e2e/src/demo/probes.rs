//! Requests with the leaver's own certificate: what proves that access is there, or gone.

use std::time::Duration;

use kube::Client;

use super::cast::{self, GRANTS};
use crate::{cluster::eventually, screen::Screen, stage::probe};

/// How long the API server's authorizer may take to learn of a binding that came or went: it follows them by watch.
const SETTLED: Duration = Duration::from_secs(10);

/// Makes the request that each of the leaver's bindings allows, and checks the answers.
pub(super) async fn ask_all(
    screen: &mut Screen,
    leaver: &Client,
    wanted: u16,
    which: impl Fn(&cast::Grant) -> bool,
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

/// The answer's status once it is `wanted`, or the last one if it never is.
pub(super) async fn settled(client: &Client, path: &str, wanted: u16) -> anyhow::Result<u16> {
    let mut last = probe(client, path).await?;
    let asked = eventually(path, SETTLED, async || {
        last = probe(client, path).await?;
        Ok((last == wanted).then_some(()))
    });
    match asked.await {
        Ok(()) => Ok(wanted),
        // What was observed is what counts.
        Err(_) => Ok(last),
    }
}

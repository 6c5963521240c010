//! What passed the checks of the current run, as the status and the list that it names tell.

use super::outcome::{self, Interrupted};
use crate::{
    api::{ClearanceStatus, UserOffboardingStatus},
    rbac::backup,
    sources::Backups,
};
use std::collections::BTreeSet;

/// The items that passed the checks of the current run.
#[derive(Clone, Debug, Default)]
pub struct Cleared {
    run: Option<ClearanceStatus>,
    items: BTreeSet<String>,
}

impl Cleared {
    /// The current run, if one is under way.
    pub fn run(&self) -> Option<&ClearanceStatus> {
        self.run.as_ref()
    }

    /// Whether an item, by its fingerprint, passed the checks of the current run.
    pub fn covers(&self, fingerprint: &str) -> bool {
        self.items.contains(fingerprint)
    }

    pub fn covers_all<'a>(&self, mut fingerprints: impl Iterator<Item = &'a str>) -> bool {
        fingerprints.all(|item| self.covers(item))
    }

    pub fn items(&self) -> &BTreeSet<String> {
        &self.items
    }

    /// A run whose items are known.
    pub fn new(run: ClearanceStatus, items: impl IntoIterator<Item = String>) -> Self {
        Cleared {
            run: Some(run),
            items: items.into_iter().collect(),
        }
    }
}

/// Reads what the status and the list that it names tell. A list that is missing, or is another one, clears nothing.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn read(backups: &Backups, status: &UserOffboardingStatus) -> Result<Cleared, Interrupted> {
    let Some(run) = status.clearance.clone() else {
        return Ok(Cleared::default());
    };
    let map = backups.get(&run.list).await;
    let map = map.map_err(|e| outcome::api_server(&e, &format!("Cannot read ConfigMap {}", run.list)))?;
    let list = map.and_then(|map| map.data?.remove(backup::CLEARED));
    let items = list.filter(|list| digest(list) == run.items_digest);
    if items.is_none() {
        tracing::warn!(
            config_map = run.list,
            "the list of cleared items is missing or was changed: the operator checks everything again"
        );
    }
    Ok(Cleared {
        items: items.iter().flat_map(|list| list.lines()).map(str::to_owned).collect(),
        run: Some(run),
    })
}

/// The digest of a list: what the status says of it.
pub(super) fn digest(list: &str) -> String {
    format!("sha256:{}", backup::sha256(list.as_bytes()))
}

//! What ACK knows of a user's kubeconfigs.

use http::Method;
use serde::Deserialize;

use super::Ack;
use crate::{
    answer::{NAME_LIMIT, legible},
    call::failure,
    error::{ApiError, ErrorKind, Service},
    uid::Uid,
};

/// The most that one page can hold. Source: API page `ListUserKubeConfigStates`.
const PAGE: usize = 100;
/// A hundred thousand clusters.
const MOST_PAGES: usize = 1000;

/// What ACK knows of a user's kubeconfig in one cluster. Source: API page `ListUserKubeConfigStates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeconfigState {
    /// The cluster's ID, as in `c0123456789abcdef0123456789abcdef`: what the other calls take.
    pub cluster_id: String,
    /// Its name, for people.
    pub cluster_name: String,
    /// The state of the client certificate.
    pub cert_state: CertState,
    /// When the certificate expires, as the service writes it.
    pub cert_expire_time: Option<String>,
}

/// The state of a kubeconfig's client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertState {
    /// Past its time, but issued: to be purged all the same.
    Expired,
    /// In force. By the console's help, also when the kubeconfig is gone but bindings are left.
    Unexpired,
    /// Never issued.
    Unissued,
    /// ACK does not know, or says something that we do not know.
    Unknown,
    /// Purged; can be restored from ACK's recycle bin for 30 days.
    Removed,
}

impl CertState {
    fn read(text: &str) -> Self {
        match text {
            "Expired" => CertState::Expired,
            "Unexpired" => CertState::Unexpired,
            "Unissued" => CertState::Unissued,
            "Removed" => CertState::Removed,
            _ => CertState::Unknown,
        }
    }
}

#[derive(Deserialize)]
struct States {
    #[serde(default)]
    page: Option<PageInfo>,
    #[serde(default)]
    states: Option<Vec<State>>,
}

#[derive(Deserialize)]
struct PageInfo {
    #[serde(default)]
    total_count: Option<usize>,
}

#[derive(Deserialize, PartialEq)]
struct State {
    cluster_id: String,
    #[serde(default)]
    cluster_name: Option<String>,
    #[serde(default)]
    cert_state: Option<String>,
    #[serde(default)]
    cert_expire_time: Option<String>,
}

impl Ack {
    /// The states of a user's kubeconfigs, in all clusters. Needs `cs:ListUserKubeConfigStates`.
    ///
    /// # Errors
    /// Any [`ApiError`]. A list that cannot be whole (a page is empty or repeats the one before, or the total changes
    /// meanwhile) is an error of the kind `Malformed`, never a shorter list.
    pub async fn list_user_kubeconfig_states(&self, uid: Uid) -> Result<Vec<KubeconfigState>, ApiError> {
        let (operation, target) = ("ListUserKubeConfigStates", format!("user {uid}"));
        let segments = ["users", &uid.to_string(), "kubeconfig", "states"];
        let mut all: Vec<State> = Vec::new();
        let mut before: Option<(Option<usize>, usize)> = None;
        for number in 1..=MOST_PAGES {
            let mut call = self.call(operation, Method::GET, segments, target.clone())?;
            call.query = vec![("page_number", number.to_string()), ("page_size", PAGE.to_string())];
            let answer = self.client.send(&call).await?;
            let States { page, states } = call.json(&answer)?;
            if page.is_none() && states.is_none() {
                return Err(call.malformed(&answer, "it contains no list"));
            }
            let total = page.and_then(|page| page.total_count);
            let states = states.unwrap_or_default();
            if let Some((last_total, start)) = before {
                if last_total != total {
                    return Err(call.malformed(&answer, "the list changed while it was read"));
                }
                if all.get(start..).is_some_and(|last| last == states.as_slice()) {
                    return Err(call.malformed(&answer, "the same page came twice"));
                }
            }
            before = Some((total, all.len()));
            let empty = states.is_empty();
            all.extend(states);
            // Without a total, only an empty page is the end.
            if total.map_or(empty, |total| all.len() >= total) {
                return Ok(all.into_iter().map(KubeconfigState::from).collect());
            }
            if empty {
                return Err(call.malformed(&answer, "it is an empty page but not the last one"));
            }
        }
        Err(failure(
            Service::Ack,
            operation,
            &target,
            ErrorKind::Malformed,
            "the list does not end",
        ))
    }
}

impl From<State> for KubeconfigState {
    fn from(state: State) -> Self {
        let State {
            cluster_id,
            cluster_name,
            cert_state,
            cert_expire_time,
        } = state;
        KubeconfigState {
            cluster_id: legible(&cluster_id, NAME_LIMIT),
            cluster_name: legible(&cluster_name.unwrap_or_default(), NAME_LIMIT),
            cert_state: CertState::read(cert_state.as_deref().unwrap_or_default()),
            cert_expire_time: cert_expire_time
                .filter(|time| !time.is_empty())
                .map(|time| legible(&time, NAME_LIMIT)),
        }
    }
}

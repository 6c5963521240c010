//! What ACK knows of a user's kubeconfigs.

use http::Method;
use serde::Deserialize;

use super::Ack;
use crate::{
    answer::{NAME_LIMIT, legible},
    error::ApiError,
    pages::numbered,
    uid::Uid,
};

/// The most that one page can hold. Source: API page `ListUserKubeConfigStates`.
const PAGE: usize = 100;

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
    pub(super) fn read(text: &str) -> Self {
        match text {
            "Expired" => CertState::Expired,
            "Unexpired" => CertState::Unexpired,
            "Unissued" => CertState::Unissued,
            "Removed" => CertState::Removed,
            _ => CertState::Unknown,
        }
    }
}

#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
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
    /// Any [`ApiError`]. A list that cannot be whole (a page is empty but not the last, an entry comes twice, or the total
    /// changes meanwhile) is an error of the kind `Malformed`, never a shorter list.
    pub async fn list_user_kubeconfig_states(&self, uid: Uid) -> Result<Vec<KubeconfigState>, ApiError> {
        let uid = uid.to_string();
        let states = numbered(&self.client, |number| {
            let segments = ["users", &uid, "kubeconfig", "states"];
            let mut call = self.call("ListUserKubeConfigStates", Method::GET, segments, format!("user {uid}"))?;
            call.query = vec![("page_number", number.to_string()), ("page_size", PAGE.to_string())];
            Ok(call)
        });
        Ok(states.await?.into_iter().map(|state: State| state.into()).collect())
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

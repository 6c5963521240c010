//! What ACK knows of the kubeconfigs of one cluster, and of whoever they were issued to.

use http::Method;
use serde::Deserialize;

use super::{Ack, CertState};
use crate::{
    answer::{NAME_LIMIT, legible},
    error::ApiError,
    pages::numbered,
};

/// The most that one page can hold. Source: the official Python SDK's `ListClusterKubeconfigStates`.
const PAGE: usize = 50;

/// What ACK knows of the kubeconfig of one user or role in one cluster, and whether that user or role is still there. Source: the official
/// Python SDK's `ListClusterKubeconfigStates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterKubeconfigState {
    /// The UID of the user, the ID of the role, or the account's ID, as ACK writes it.
    pub account_id: String,
    /// The name with which a user signs in, or the role's name; may be empty.
    pub account_name: String,
    /// What it is the ID of.
    pub account_type: AccountType,
    /// Whether the user or role is still there.
    pub account_state: AccountState,
    /// The state of the client certificate; `Unissued` and `Removed` are not listed.
    pub cert_state: CertState,
    /// When the certificate expires, as the service writes it.
    pub expires_at: Option<String>,
    /// Whether ACK can revoke the certificate; false where it does not say.
    pub revokable: bool,
}

/// Whose kubeconfig it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountType {
    /// The account itself.
    RootAccount,
    /// A RAM user.
    RamUser,
    /// A RAM role.
    RamRole,
    /// Nothing, or something that we do not know.
    Unknown,
}

impl AccountType {
    fn read(text: &str) -> Self {
        match text {
            "RootAccount" => AccountType::RootAccount,
            "RamUser" => AccountType::RamUser,
            "RamRole" => AccountType::RamRole,
            _ => AccountType::Unknown,
        }
    }
}

/// Whether a user or role is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountState {
    /// It is there.
    Active,
    /// It is there, but frozen.
    InActive,
    /// It is gone.
    Deleted,
    /// Nothing, or something that we do not know: nobody may be called deleted by it.
    Unknown,
}

impl AccountState {
    fn read(text: &str) -> Self {
        match text {
            "Active" => AccountState::Active,
            "InActive" => AccountState::InActive,
            "Deleted" => AccountState::Deleted,
            _ => AccountState::Unknown,
        }
    }
}

#[derive(Deserialize, Clone, PartialEq, Eq, Hash)]
struct AccountKubeconfig {
    account_id: String,
    #[serde(default)]
    account_name: Option<String>,
    #[serde(default)]
    account_type: Option<String>,
    #[serde(default)]
    account_state: Option<String>,
    #[serde(default)]
    cert_state: Option<String>,
    #[serde(default)]
    cert_expire_time: Option<String>,
    #[serde(default)]
    revokable: Option<bool>,
}

impl Ack {
    /// What ACK knows of the kubeconfigs of users and roles in one cluster. Needs `cs:ListClusterKubeconfigStates`, and of RAM
    /// `ram:ListUsers` and `ram:ListRoles`. Source: the official Python SDK's `ListClusterKubeconfigStates`.
    ///
    /// # Errors
    /// As [`list_user_kubeconfig_states`](Self::list_user_kubeconfig_states).
    pub async fn list_cluster_kubeconfig_states(&self, cluster: &str) -> Result<Vec<ClusterKubeconfigState>, ApiError> {
        let states = numbered(&self.client, |number| {
            let segments = ["clusters", cluster, "kubeconfig", "states"];
            let target = format!("cluster {cluster}");
            let mut call = self.call("ListClusterKubeconfigStates", Method::GET, segments, target)?;
            // Cloud services have kubeconfigs too, which are nobody's.
            call.query = vec![
                ("cloudServiceKubeConfig", "false".to_owned()),
                ("pageNumber", number.to_string()),
                ("pageSize", PAGE.to_string()),
            ];
            Ok(call)
        });
        Ok(states
            .await?
            .into_iter()
            .map(|state: AccountKubeconfig| state.into())
            .collect())
    }
}

impl From<AccountKubeconfig> for ClusterKubeconfigState {
    fn from(state: AccountKubeconfig) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        ClusterKubeconfigState {
            account_id: legible(&state.account_id, NAME_LIMIT),
            account_name: legible(&text(&state.account_name), NAME_LIMIT),
            account_type: AccountType::read(&text(&state.account_type)),
            account_state: AccountState::read(&text(&state.account_state)),
            cert_state: CertState::read(&text(&state.cert_state)),
            expires_at: state
                .cert_expire_time
                .filter(|time| !time.is_empty())
                .map(|time| legible(&time, NAME_LIMIT)),
            revokable: state.revokable.unwrap_or_default(),
        }
    }
}

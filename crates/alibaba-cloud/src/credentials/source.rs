//! Where credentials come from, as a setting.

use super::person::PersonSource;
use crate::invalid::SettingsError;
use std::str::FromStr;

/// Where credentials come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CredentialsSource {
    /// [`Rrsa`](Self::Rrsa) if its three variables are there, else [`Env`](Self::Env) if its are, else an error.
    /// Decided once, at start.
    #[default]
    Auto,
    /// RAM Roles for Service Accounts: the pod's OIDC token is exchanged at STS for a role's temporary credentials.
    /// Takes `ALIBABA_CLOUD_ROLE_ARN`, `ALIBABA_CLOUD_OIDC_PROVIDER_ARN` and `ALIBABA_CLOUD_OIDC_TOKEN_FILE`, as ACK's
    /// pod identity webhook sets them; the token file is read anew each time. STS is where the endpoint settings say,
    /// whatever `ALIBABA_CLOUD_STS_ENDPOINT` says.
    Rrsa,
    /// `ALIBABA_CLOUD_ACCESS_KEY_ID`, `ALIBABA_CLOUD_ACCESS_KEY_SECRET` and, if temporary,
    /// `ALIBABA_CLOUD_SECURITY_TOKEN`.
    Env,
    /// A profile of the Alibaba Cloud CLI (`~/.aliyun/config.json` or `ALIBABA_CLOUD_CONFIG_FILE`) that holds keys:
    /// modes `AK` and `StsToken`.
    Profile {
        /// Its name; else `ALIBABA_CLOUD_PROFILE`, else the file's current one.
        name: Option<String>,
    },
    /// The RAM role of the ECS instance (the node!), from the metadata service.
    EcsRole {
        /// Its name; else `ALIBABA_CLOUD_ECS_METADATA`, else the metadata service says.
        name: Option<String>,
    },
    /// A person's own, from wherever the aliyun CLI and ack-ram-tool would take them. Not for an operator, and not to be had by name.
    Person(PersonSource),
}

impl FromStr for CredentialsSource {
    type Err = SettingsError;

    /// `Auto`, `Rrsa`, `Env`, `Profile`, `Profile:<name>`, `EcsRole` or `EcsRole:<name>`, in any case but the name's.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let (kind, name) = match text.split_once(':') {
            Some((kind, name)) if !name.is_empty() => (kind, Some(name.to_owned())),
            _ => (text, None),
        };
        match (kind.to_ascii_lowercase().as_str(), name) {
            ("auto", None) => Ok(Self::Auto),
            ("rrsa", None) => Ok(Self::Rrsa),
            ("env", None) => Ok(Self::Env),
            ("profile", name) => Ok(Self::Profile { name }),
            ("ecsrole", name) => Ok(Self::EcsRole { name }),
            _ => Err(SettingsError::Credentials(format!(
                "{text:?} is not one of Auto, Rrsa, Env, Profile[:<name>], EcsRole[:<name>]"
            ))),
        }
    }
}

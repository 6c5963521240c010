//! One chosen source of credentials.

use super::profile;
use reqsign_aliyun_oss::Credential;
use reqsign_core::{Context, ProvideCredentialDyn};

/// One chosen source, ready to be asked.
pub(super) struct Provider {
    /// For people: what was asked, in an error.
    pub(super) operation: &'static str,
    pub(super) target: String,
    /// Why the source has nothing, when it has nothing.
    pub(super) nothing: Nothing,
    /// Whether the source only ever gives temporary credentials.
    pub(super) temporary: bool,
    pub(super) provider: Box<dyn ProvideCredentialDyn<Credential = Credential>>,
}

/// Why a source has no credentials.
pub(super) enum Nothing {
    Known(&'static str),
    /// The file of the CLI says, for this profile.
    Profile(Option<String>),
}

impl Provider {
    pub(super) async fn why_nothing(&self, context: &Context) -> String {
        match &self.nothing {
            Nothing::Known(why) => (*why).to_owned(),
            Nothing::Profile(name) => profile::why_none(context, name.as_deref()).await,
        }
    }
}

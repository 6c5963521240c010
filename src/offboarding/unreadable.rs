//! The holds for bindings that cannot be read.

use super::outcome::{self, Blocked, Interrupted, Requeue};
use crate::{
    api::{ConditionStatus, ConditionType, Reason},
    rbac::effects,
    sources::bindings::BindingsError,
};

/// The hold for a binding that the operator cannot handle; the others are removed.
pub(super) fn cannot_handle(error: &str) -> Blocked {
    let message = format!(
        "{error}. This binding names the UID and was left unchanged; the others are removed. The kubeconfig is not purged, \
         because ACK's purge would also remove the remaining binding. Remove the UID from that binding by hand; the operator \
         then continues."
    );
    Blocked::recheck(Reason::BindingUnreadable, message).about(ConditionType::BindingsRemoved, ConditionStatus::False)
}

/// The hold for a binding that could not be read.
pub(super) fn unreadable(error: effects::ReadError) -> Blocked {
    match error {
        effects::ReadError::Api { key, source } => outcome::api_server(&source, &format!("Cannot read {key}")),
        effects::ReadError::Malformed(malformed) => Blocked::new(
            Reason::LookupFailed,
            Requeue::Backoff,
            format!("{malformed}. Nothing was changed; the operator retries automatically."),
        ),
    }
}

impl From<BindingsError> for Interrupted {
    fn from(error: BindingsError) -> Self {
        Interrupted::Blocked(match error {
            BindingsError::List(error) => outcome::api_server(&error, "Cannot look for the bindings of the UID"),
            BindingsError::Read(error) => unreadable(error),
        })
    }
}

impl From<effects::ReadError> for Interrupted {
    fn from(error: effects::ReadError) -> Self {
        Interrupted::Blocked(unreadable(error))
    }
}

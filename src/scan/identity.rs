//! An identity that has access, with all that was seen of it.

use super::{classify::Who, holdings::Held, known::Dealing};
use crate::api::{
    CertState,
    scan::{Dormancy, FindingState},
};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::Timestamp;

/// An identity that has access.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) uid: Uid,
    pub(super) who: Who,
    /// Whether a listing of the account has it.
    pub(super) is_listed: bool,
    pub(super) held: Held,
    pub(super) kubeconfig: Option<CertState>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) dormancy: Dormancy,
    pub(super) dealing: Option<Dealing>,
}

impl Identity {
    /// Whether somebody knows the UID besides the bindings: RAM, ACK by a kubeconfig, or the audit log by a request.
    pub(super) fn has_been_here(&self) -> bool {
        let is_known = !matches!(self.who.state, FindingState::Deleted | FindingState::Unknown);
        let had_kubeconfig = !matches!(self.kubeconfig, None | Some(CertState::Absent | CertState::Unknown));
        is_known || had_kubeconfig || self.last_seen.is_some()
    }
}

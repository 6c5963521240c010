//! An identity that has access, with all that was seen of it.

use super::{classify::Who, holdings::Held, known::Dealing};
use crate::api::{CertState, scan::Dormancy};
use alibaba_cloud::Uid;
use k8s_openapi::jiff::Timestamp;

/// An identity that has access.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) uid: Uid,
    pub(super) who: Who,
    pub(super) held: Held,
    pub(super) kubeconfig: Option<CertState>,
    pub(super) last_seen: Option<Timestamp>,
    pub(super) dormancy: Dormancy,
    pub(super) dealing: Option<Dealing>,
}

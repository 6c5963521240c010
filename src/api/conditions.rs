//! The conditions of an object, and how one changes.

use super::{reason::Reason, vocabulary::vocabulary};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

vocabulary!(
    /// What a condition is about. Every one of them is set on the first visit.
    ConditionType {
        /// Who the UID is.
        IdentityResolved,
        /// The identity made no request in the window.
        Inactive,
        /// The plan may be carried out.
        Approved,
        /// Every binding of the plan is stored and was read back.
        BackedUp,
        /// No binding names the UID.
        BindingsRemoved,
        /// ACK reports no kubeconfig for the UID in this cluster.
        KubeconfigPurged,
        /// The access was verified as gone. Auditors wait on this one.
        Offboarded,
        /// Access was found after the end.
        AccessReturned,
        /// kstatus: the object is where its spec wants it.
        Ready,
        /// kstatus: work or waiting goes on.
        Reconciling,
        /// kstatus: a person must change something.
        Stalled,
    }
);

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is unknown, or not evaluated yet.
    Unknown,
}

impl ConditionStatus {
    /// As `status` of a condition spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        }
    }
}

/// Sets one condition in a list.
///
/// `lastTransitionTime` stays as it was while the status stays the same (the convention of the Kubernetes API).
/// Returns whether status or reason changed: what people are told of with an event.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    put(
        conditions,
        (type_.as_str(), status, reason.as_str()),
        message,
        generation,
        now,
    )
}

/// The same, for the conditions of any kind of object.
pub(super) fn put(
    conditions: &mut Vec<Condition>,
    (type_, status, reason): (&str, ConditionStatus, &str),
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let previous = conditions.iter_mut().find(|c| c.type_ == type_);
    let same = previous.as_ref().filter(|c| c.status == status.as_str());
    let changed = same.is_none_or(|c| c.reason != reason);
    let since = same.map_or(Time(now), |c| c.last_transition_time.clone());
    let condition = Condition {
        type_: type_.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: since,
    };
    match previous {
        Some(slot) => *slot = condition,
        Option::None => conditions.push(condition),
    }
    changed
}

/// The condition of this type; `None` before the operator has looked at the object.
pub fn find(conditions: &[Condition], type_: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == type_.as_str())
}

#[cfg(test)]
mod tests;

//! What a UserOffboarding says, for every verb alike.

use crate::output::{Cell, Paint};
use ack_offboarding_operator::api::{
    ConditionType, Ends, OperatorStatus, Reason, UserOffboarding, UserOffboardingStatus, conditions,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::ResourceExt;
use std::time::Duration;

/// How long an operator may take for its first word about an object.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// Where an offboarding stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum State {
    /// No operator has said anything yet.
    Unvisited,
    /// The reason of its condition Ready.
    Known(Reason),
    /// A reason that this plugin does not know: the operator is newer.
    Other(String),
}

impl State {
    /// Where this object stands.
    pub(crate) fn of(object: &UserOffboarding) -> Self {
        match condition(object, ConditionType::Ready) {
            None => State::Unvisited,
            Some(ready) => State::parse(&ready.reason),
        }
    }

    /// The state of this word.
    pub(crate) fn parse(word: &str) -> Self {
        match Reason::parse(word) {
            Some(reason) => State::Known(reason),
            None if word.is_empty() => State::Unvisited,
            None => State::Other(word.to_owned()),
        }
    }

    /// The word for it.
    pub(crate) fn word(&self) -> &str {
        match self {
            State::Unvisited => "",
            State::Known(reason) => reason.as_str(),
            State::Other(word) => word,
        }
    }

    /// Who ends it.
    pub(crate) fn ends(&self) -> Option<Ends> {
        match self {
            State::Known(reason) => reason.ends(),
            State::Unvisited | State::Other(_) => None,
        }
    }

    /// The word, in the colour of who ends it.
    pub(crate) fn cell(&self) -> Cell {
        match self.ends() {
            Some(ends) => Cell::painted(self.word(), paint(ends)),
            None => Cell::from(self.word()),
        }
    }
}

/// The colour of a state.
pub(crate) fn paint(ends: Ends) -> Paint {
    match ends {
        Ends::Reached => Paint::Good,
        Ends::Asked => Paint::Warning,
        Ends::Operator => Paint::Busy,
        Ends::Person => Paint::Bad,
    }
}

/// Its status, empty if there is none.
pub(crate) fn status(object: &UserOffboarding) -> &UserOffboardingStatus {
    static NONE: std::sync::LazyLock<UserOffboardingStatus> = std::sync::LazyLock::new(Default::default);
    object.status.as_ref().unwrap_or(&NONE)
}

/// One of its conditions.
pub(crate) fn condition(object: &UserOffboarding, type_: ConditionType) -> Option<&Condition> {
    conditions::find(&status(object).conditions, type_)
}

/// Whether the status is about the spec as it is now.
pub(crate) fn is_current(object: &UserOffboarding) -> bool {
    condition(object, ConditionType::Ready).is_some()
        && status(object).observed_generation == object.metadata.generation
}

/// Whether it has waited for an operator's first word for longer than one takes.
pub(crate) fn nobody_answers(object: &UserOffboarding, now: Timestamp) -> bool {
    let created = object.creation_timestamp().map_or(now, |time| time.0);
    State::of(object) == State::Unvisited && now.duration_since(created).unsigned_abs() >= SILENCE
}

/// What is said where no operator answers.
pub(crate) fn no_operator(name: &str) -> String {
    format!(
        "no operator answers: UserOffboarding {name} still has no status after {} seconds. ack-offboarding-operator is not running in this \
         cluster, or cannot reach its API server. Look at its pods: kubectl get pods --all-namespaces -l \
         app.kubernetes.io/name=ack-offboarding-operator.",
        SILENCE.as_secs()
    )
}

/// Which operator looks after this object, as it says.
pub(crate) fn operator(object: &UserOffboarding) -> Option<OperatorStatus> {
    status(object).operator.clone()
}

/// The name that the identity has, or had.
pub(crate) fn identity_name(object: &UserOffboarding) -> Option<String> {
    let identity = status(object).identity.as_ref()?;
    let last_known = identity.last_known.as_ref().and_then(|known| known.name.clone());
    identity.name.clone().or(last_known)
}

/// The name as `kubectl get -o name` prints it.
pub(crate) fn qualified(name: &str) -> String {
    format!("useroffboarding.{}/{name}", ack_offboarding_operator::api::GROUP)
}

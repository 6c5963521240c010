//! Which UserOffboardings would take away again what is given back. No I/O.

use crate::api::{Enforcement, Mode, UserOffboarding};
use alibaba_cloud::Uid;
use kube::ResourceExt;

/// A UserOffboarding of the same identity, and what it does about a binding that is restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It is `enforcement: Continuous`: it removes the binding again, after the same checks.
    RemovesAgain {
        /// The object's name.
        object: String,
    },
    /// It is not complete: it removes the binding as part of its run, after its checks.
    NotComplete {
        /// The object's name.
        object: String,
    },
    /// It would remove the binding, and is held: it, or another object of the identity, is suspended.
    Held {
        /// The object's name.
        object: String,
        /// The name of the object that is suspended.
        suspended: String,
    },
    /// It is complete, and says that access has returned.
    Reports {
        /// The object's name.
        object: String,
    },
}

impl Undo {
    /// Whether the binding would not stay.
    pub fn is_removal(&self) -> bool {
        matches!(self, Undo::RemovesAgain { .. } | Undo::NotComplete { .. })
    }

    /// What a person should know, and do.
    pub fn message(&self) -> String {
        match self {
            Undo::RemovesAgain { object } => format!(
                "UserOffboarding {object} is enforcement: Continuous, and removes the access again after the same checks. Suspend or delete it first: \
                 kubectl ack-offboard suspend {object}"
            ),
            Undo::NotComplete { object } => format!(
                "UserOffboarding {object} is not complete, and removes the access as part of its run. Suspend or delete it first: kubectl ack-offboard \
                 suspend {object}"
            ),
            Undo::Held { object, suspended } => format!(
                "UserOffboarding {object} removes the access again once {suspended} is no longer suspended. Delete {object} if the identity is to stay."
            ),
            Undo::Reports { object } => format!(
                "UserOffboarding {object} is complete. It leaves what you restore, and shows AccessReturned from then on. If the identity keeps its access, \
                 delete the object: kubectl delete useroffboarding {object}"
            ),
        }
    }
}

/// What the objects of the identity `uid` do about a binding that is restored; removals first.
pub fn undo(objects: &[UserOffboarding], uid: Uid) -> Vec<Undo> {
    let is_of = |object: &&UserOffboarding| {
        object.spec.uid.parse() == Ok(uid) && !object.is_plan() && object.metadata.deletion_timestamp.is_none()
    };
    let all: Vec<_> = objects.iter().filter(is_of).collect();
    // Of several objects of one identity, the strictest counts: one that is suspended holds all.
    let suspended = all.iter().find(|object| object.spec.suspend);
    let executed = all.iter().filter(|object| object.spec.mode == Mode::Execute);
    let mut found: Vec<_> = executed
        .map(|object| match (of(object), suspended) {
            (undo, Some(suspended)) if undo.is_removal() => Undo::Held {
                object: object.name_any(),
                suspended: match object.spec.suspend {
                    true => object.name_any(),
                    false => suspended.name_any(),
                },
            },
            (undo, _) => undo,
        })
        .collect();
    found.sort_by_key(|undo| !undo.is_removal());
    found
}

fn of(object: &UserOffboarding) -> Undo {
    let name = object.name_any();
    // Complete once, and no run since.
    let is_complete = object
        .status
        .as_ref()
        .is_some_and(|status| status.completed_at.is_some() && status.clearance.is_none());
    match (object.spec.enforcement, is_complete) {
        (Enforcement::Continuous, _) => Undo::RemovesAgain { object: name },
        (Enforcement::Once, false) => Undo::NotComplete { object: name },
        (Enforcement::Once, true) => Undo::Reports { object: name },
    }
}

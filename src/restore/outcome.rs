//! What came of one binding.

use super::plan::Plan;
use crate::rbac::BindingKey;

/// What came of one binding; in a dry run, what would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was gone, and was created.
    Created,
    /// It got the subjects that it lacked.
    Merged,
    /// Every stored subject is in it.
    AlreadyThere,
    /// It grants another role now.
    Conflict,
    /// Its namespace does not exist.
    NamespaceMissing,
    /// It, or its namespace, is being deleted.
    Terminating,
    /// RBAC, an admission policy or a webhook refused it.
    Forbidden,
    /// Something else went wrong.
    Failed,
}

impl Outcome {
    /// As it is shown, and stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Created => "Created",
            Outcome::Merged => "Merged",
            Outcome::AlreadyThere => "AlreadyThere",
            Outcome::Conflict => "Conflict",
            Outcome::NamespaceMissing => "NamespaceMissing",
            Outcome::Terminating => "Terminating",
            Outcome::Forbidden => "Forbidden",
            Outcome::Failed => "Failed",
        }
    }

    /// Whether the binding grants now what was stored.
    pub fn is_restored(self) -> bool {
        matches!(self, Outcome::Created | Outcome::Merged | Outcome::AlreadyThere)
    }

    /// Whether something was written, or would be.
    pub fn is_change(self) -> bool {
        matches!(self, Outcome::Created | Outcome::Merged)
    }
}

/// What came of one binding, and what a person should know of it.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Which binding.
    pub key: BindingKey,
    /// What came of it.
    pub outcome: Outcome,
    /// What was seen, what it means, and what to do next: a sentence or several.
    pub message: String,
}

impl Restored {
    /// What a plan that writes nothing comes to; `None` of one that writes.
    pub(super) fn without_writing(key: &BindingKey, plan: &Plan) -> Option<Self> {
        let (outcome, message) = match plan {
            Plan::Create { .. } | Plan::Merge { .. } => return None,
            Plan::AlreadyThere => (
                Outcome::AlreadyThere,
                "Every stored subject is in it already.".to_owned(),
            ),
            Plan::Conflict { role_ref } => (
                Outcome::Conflict,
                format!(
                    "It grants {role_ref} now, and Kubernetes never changes the role of a binding. Find out who needs the new one; then \
                     delete it and restore again, or create the stored one under another name."
                ),
            ),
            Plan::NamespaceMissing => (
                Outcome::NamespaceMissing,
                format!(
                    "Namespace {} does not exist. Create it, and restore again.",
                    key.namespace.as_deref().unwrap_or_default()
                ),
            ),
            Plan::Terminating { namespace: true, .. } => (
                Outcome::Terminating,
                format!(
                    "Namespace {} is being deleted, and everything in it with it. Wait until it is gone, create it, and restore again.",
                    key.namespace.as_deref().unwrap_or_default()
                ),
            ),
            Plan::Terminating { finalizers, .. } => (Outcome::Terminating, held_by(finalizers)),
        };
        Some(Restored {
            key: key.clone(),
            outcome,
            message,
        })
    }
}

fn held_by(finalizers: &[String]) -> String {
    match finalizers {
        [] => "It is being deleted, and the garbage collector lets go of it within seconds. Restore again then."
            .to_owned(),
        some => format!(
            "It is being deleted, and is held by {}. Whatever is put into it goes with it. Have the owner of each finalizer let go of it, and \
             restore again when the binding is gone.",
            some.join(", ")
        ),
    }
}

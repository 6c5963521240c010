//! What giving back a stored state means for the binding as it is now. No I/O.

use super::{
    subject::{Subject, array},
    wanted::Wanted,
};
use crate::rbac::LiveBinding;
use serde_json::json;

/// The namespace of a RoleBinding, as far as it may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamespaceNow {
    /// It is there; or the binding has none.
    Active,
    /// It is being deleted, and everything in it with it.
    Terminating,
    /// It does not exist.
    Missing,
    /// Whoever restores may not look at namespaces. The API server tells when asked to write.
    Unknown,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It is gone, and is created.
    Create {
        /// What is sent.
        manifest: String,
    },
    /// Every stored subject is in it.
    AlreadyThere,
    /// It gets the subjects that it lacks; what else is in it stays.
    Merge {
        /// The merge patch, bound to the resourceVersion that was read.
        patch: String,
        /// How many subjects it gets.
        added: usize,
        /// Whether nobody is in it now.
        emptied: bool,
    },
    /// It grants another role now, which Kubernetes never changes.
    Conflict {
        /// The role that it grants.
        role_ref: String,
    },
    /// Its namespace does not exist.
    NamespaceMissing,
    /// It, or its namespace, is being deleted: whatever is put into it goes with it.
    Terminating {
        /// Whether it is the namespace.
        namespace: bool,
        /// What the binding waits for, but for the garbage collector.
        finalizers: Vec<String>,
    },
}

/// What to do about a binding: `now` is what the API server has under its key, with its text.
///
/// # Errors
/// When the text's subjects cannot be read.
pub fn plan(
    wanted: &Wanted,
    now: Option<(&LiveBinding, &str)>,
    namespace: NamespaceNow,
) -> Result<Plan, serde_json::Error> {
    match namespace {
        NamespaceNow::Missing => return Ok(Plan::NamespaceMissing),
        NamespaceNow::Terminating => {
            return Ok(Plan::Terminating {
                namespace: true,
                finalizers: Vec::new(),
            });
        }
        NamespaceNow::Active | NamespaceNow::Unknown => {}
    }
    let Some((live, text)) = now else {
        return Ok(Plan::Create {
            manifest: wanted.manifest.clone(),
        });
    };
    if live.terminating {
        return Ok(Plan::Terminating {
            namespace: false,
            finalizers: live.finalizers.clone(),
        });
    }
    if live.role_ref != wanted.role_ref {
        return Ok(Plan::Conflict {
            role_ref: live.role_ref.clone(),
        });
    }
    let there = Subject::all(text)?;
    let mut missing: Vec<&Subject> = Vec::new();
    for subject in &wanted.subjects {
        if !there.contains(subject) && !missing.contains(&subject) {
            missing.push(subject);
        }
    }
    if missing.is_empty() {
        return Ok(Plan::AlreadyThere);
    }
    // Of an older uid, or of another resourceVersion, it is refused, and looked at again.
    let pin = json!({"uid": live.uid, "resourceVersion": live.resource_version});
    let subjects = array(there.iter().chain(missing.iter().copied()));
    Ok(Plan::Merge {
        patch: format!(r#"{{"metadata":{pin},"subjects":{subjects}}}"#),
        added: missing.len(),
        emptied: there.is_empty(),
    })
}

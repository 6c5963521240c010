//! A binding as the API server returned it, seen from one offboarding.

mod census;
mod key;

pub(crate) use census::{NAMES_KEPT, other_subjects};
pub use key::{BindingKey, BindingKind};

use self::census::{Census, SHOWN};
use super::{
    owner::{self, Manager, Marks},
    subject::Leaver,
};
use crate::digest::sha256;
use serde::{Deserialize, de::DeserializeSeed};
use serde_json::value::RawValue;
use sha2::Digest;
use std::{borrow::Cow, collections::BTreeMap};

/// The finalizer of a delete with `propagationPolicy: Orphan`: the garbage collector is done with it within seconds.
pub(crate) const ORPHAN: &str = "orphan";

/// A binding that was read, seen from one offboarding: what identifies it, and what decides about it. Its text is not kept:
/// how large that is, its author decides.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveBinding {
    /// The key that it was asked for by; what was returned has it, too.
    pub key: BindingKey,
    /// `metadata.uid`: a binding of the same name that was made anew has another one.
    pub uid: String,
    /// `metadata.resourceVersion`: pins a change to the state that was read.
    pub resource_version: String,
    /// The role it grants, as `ClusterRole/NAME` or `Role/NAME`.
    pub role_ref: String,
    /// The names of the leaver's subjects, in order: the first thousand.
    pub names: Vec<String>,
    /// How many subjects are the leaver's: more than there are [`LiveBinding::names`] where those are cut.
    pub leaver_subjects: u32,
    /// The sha256 of all names of the leaver's subjects, in order.
    pub names_digest: String,
    /// How many subjects there are, whosever they are.
    pub subjects: u32,
    /// Names that a person must decide on: the first twenty.
    pub undecided: Vec<String>,
    /// Whether a subject bears the UID and stays: ACK's purge may take the binding all the same.
    pub has_lookalike: bool,
    /// It was deleted, and waits for its finalizers: while it has subjects, it still grants access.
    pub terminating: bool,
    /// What it waits for, besides the garbage collector ([`ORPHAN`]): the first twenty.
    pub finalizers: Vec<String>,
    /// Who may bring it back once it is gone; `None` if nothing tells.
    pub managed_by: Option<Manager>,
    /// The length of its text in bytes.
    pub bytes: usize,
    /// The sha256 of its text.
    pub sha256: String,
}

impl LiveBinding {
    /// Reads a binding out of what the API server returned for `key`.
    ///
    /// # Errors
    /// When it bears another name or namespace, or when a field that every binding has is missing or of another type.
    pub fn parse(key: &BindingKey, text: &str, leaver: &Leaver) -> Result<Self, MalformedBinding> {
        let bad = |field: &'static str| MalformedBinding {
            key: key.clone(),
            field,
        };
        let wire: Wire<'_> = serde_json::from_str(text).map_err(|_| bad("shape"))?;
        let Metadata {
            name,
            namespace,
            uid,
            resource_version,
            deletion_timestamp,
            finalizers,
            labels,
            annotations,
            owner_references,
            managed_fields,
        } = wire.metadata;
        if name.as_deref() != Some(&key.name) {
            return Err(bad("metadata.name"));
        }
        if namespace.as_deref() != key.namespace.as_deref() {
            return Err(bad("metadata.namespace"));
        }
        let uid = uid.filter(|uid| !uid.is_empty()).ok_or_else(|| bad("metadata.uid"))?;
        let resource_version = resource_version
            .filter(|version| !version.is_empty())
            .ok_or_else(|| bad("metadata.resourceVersion"))?;
        let mut census = Census::new(leaver);
        if let Some(subjects) = wire.subjects {
            let mut json = serde_json::Deserializer::from_str(subjects.get());
            census.deserialize(&mut json).map_err(|_| bad("subjects"))?;
        }
        Ok(LiveBinding {
            key: key.clone(),
            uid,
            resource_version,
            role_ref: format!("{}/{}", wire.role_ref.kind, wire.role_ref.name),
            names_digest: hex::encode(census.digest.finalize()),
            names: census.names,
            leaver_subjects: census.leaver,
            subjects: census.all,
            undecided: census.undecided,
            has_lookalike: census.has_lookalike,
            terminating: deletion_timestamp.is_some(),
            finalizers: finalizers
                .unwrap_or_default()
                .iter()
                .filter(|finalizer| **finalizer != ORPHAN)
                .take(SHOWN)
                .map(|finalizer| finalizer.chars().filter(|c| !c.is_control()).take(128).collect())
                .collect(),
            managed_by: owner::manager_of(&Marks {
                labels: &labels,
                annotations: &annotations,
                owner: owner_references.as_deref().and_then(<[_]>::first),
                managed_fields,
            }),
            bytes: text.len(),
            sha256: sha256(text.as_bytes()),
        })
    }

    /// Whether at least one subject is the leaver's.
    pub fn names_leaver(&self) -> bool {
        self.leaver_subjects > 0
    }

    /// Whether every subject is the leaver's, and there is one.
    pub fn is_only_leavers(&self) -> bool {
        self.subjects > 0 && self.leaver_subjects == self.subjects
    }
}

/// What the API server returned is not the binding that was asked for, or lacks something that every binding has.
#[derive(Debug, thiserror::Error)]
#[error("the API server returned {key} without a usable {field}")]
pub struct MalformedBinding {
    pub key: BindingKey,
    pub field: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    role_ref: RoleRef,
    #[serde(default, borrow)]
    subjects: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<String>,
    #[serde(default, borrow)]
    finalizers: Option<Vec<Cow<'a, str>>>,
    #[serde(default, borrow)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(default, borrow)]
    annotations: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(default)]
    owner_references: Option<Vec<owner::OwnerReference>>,
    #[serde(default, borrow)]
    managed_fields: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RoleRef {
    kind: String,
    name: String,
}

#[cfg(test)]
mod tests;

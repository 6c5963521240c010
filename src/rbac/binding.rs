//! A binding as the API server returned it.

use super::{
    owner::{self, Manager, Marks},
    subject::{self, Leaver, Whose},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// The two kinds of binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingKind {
    /// Grants a role everywhere.
    ClusterRoleBinding,
    /// Grants a role in one namespace.
    RoleBinding,
}

impl BindingKind {
    /// The kind as manifests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
            BindingKind::RoleBinding => "RoleBinding",
        }
    }

    /// The resource as URLs spell it.
    pub fn plural(self) -> &'static str {
        match self {
            BindingKind::ClusterRoleBinding => "clusterrolebindings",
            BindingKind::RoleBinding => "rolebindings",
        }
    }

    /// The kind of that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [BindingKind::ClusterRoleBinding, BindingKind::RoleBinding]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// Which binding: unique in a cluster at any one time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingKey {
    /// RoleBinding or ClusterRoleBinding.
    pub kind: BindingKind,
    /// The namespace of a RoleBinding.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What stands for itself in a path segment (RFC 3986, unreserved). RBAC names may hold anything but `/`, `%`, `.` and `..`.
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl BindingKey {
    /// The path of its URL: the one place where a binding's name gets into a request, percent-encoded.
    pub fn path(&self) -> String {
        let segment = |text| percent_encoding::utf8_percent_encode(text, SEGMENT);
        let namespace = self
            .namespace
            .as_ref()
            .map(|n| format!("namespaces/{}/", segment(n)))
            .unwrap_or_default();
        format!(
            "/apis/{}/v1/{namespace}{}/{}",
            subject::RBAC_GROUP,
            self.kind.plural(),
            segment(&self.name)
        )
    }

    /// Whether the API server could have an object under this key.
    pub fn is_possible(&self) -> bool {
        let segment = |text: &str| !text.is_empty() && text != "." && text != ".." && !text.contains(['/', '%']);
        let namespaced = self.kind == BindingKind::RoleBinding;
        segment(&self.name) && self.namespace.is_some() == namespaced && self.namespace.as_deref().is_none_or(segment)
    }
}

/// `RoleBinding NAMESPACE/NAME` or `ClusterRoleBinding NAME`. Control characters of the name are spelled out.
impl fmt::Display for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind.as_str())?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        for letter in self.name.chars() {
            match letter.is_control() {
                true => write!(f, "{}", letter.escape_unicode())?,
                false => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}

/// What the API server returned is not the binding that was asked for, or lacks something that every binding has.
#[derive(Debug, thiserror::Error)]
#[error("the API server returned {key} without a usable {field}")]
pub struct MalformedBinding {
    /// Which binding was asked for.
    pub key: BindingKey,
    /// What is missing, or is another's.
    pub field: &'static str,
}

/// How many of the leaver's names in a binding are kept; all of them are counted, and are in [`LiveBinding::names_digest`].
pub const NAMES_KEPT: usize = 1000;

/// The finalizer of a delete with `propagationPolicy: Orphan`: the garbage collector is done with it within seconds.
pub const ORPHAN: &str = "orphan";

/// How many undecided names, and finalizers, are kept of one binding.
const SHOWN: usize = 20;

/// A binding that was read, seen from one offboarding: what identifies it, and what decides about it. Its text is not kept:
/// how large that is, its author decides.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveBinding {
    /// Which binding.
    pub key: BindingKey,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    /// The role it grants, as `ClusterRole/NAME` or `Role/NAME`.
    pub role_ref: String,
    /// The names of the leaver's subjects, in order: the first thousand.
    pub names: Vec<String>,
    /// How many subjects are the leaver's.
    pub leaver_subjects: u32,
    /// The sha256 of all names of the leaver's subjects, in order.
    pub names_digest: String,
    /// How many subjects there are.
    pub subjects: u32,
    /// Names that a person must decide on: the first twenty.
    pub undecided: Vec<String>,
    /// Whether a subject bears the UID and stays.
    pub has_lookalike: bool,
    /// It was deleted, and waits for its finalizers: while it has subjects, it still grants access.
    pub terminating: bool,
    /// What it waits for, besides the garbage collector ([`ORPHAN`]): the first twenty.
    pub finalizers: Vec<String>,
    /// Who may bring it back.
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
            sha256: hex::encode(Sha256::digest(text.as_bytes())),
        })
    }

    /// Whether it names the leaver.
    pub fn names_leaver(&self) -> bool {
        self.leaver_subjects > 0
    }

    /// Whether every subject is the leaver's, and there is one.
    pub fn is_only_leavers(&self) -> bool {
        self.subjects > 0 && self.leaver_subjects == self.subjects
    }
}

/// The subjects of a binding that are not the leaver's, as a JSON array, each as it was.
///
/// # Errors
/// When `text` is no binding.
pub fn other_subjects(text: &str, leaver: &Leaver) -> Result<String, serde_json::Error> {
    #[derive(Deserialize)]
    struct Subjects<'a> {
        #[serde(default, borrow)]
        subjects: Option<Vec<&'a RawValue>>,
    }
    let wire: Subjects<'_> = serde_json::from_str(text)?;
    let mut kept = Vec::new();
    for raw in wire.subjects.unwrap_or_default() {
        let subject: Subject<'_> = serde_json::from_str(raw.get())?;
        if leaver.whose(&subject.kind, subject.api_group.as_deref(), &subject.name) != Whose::Leaver {
            kept.push(raw.get());
        }
    }
    Ok(format!("[{}]", kept.join(",")))
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

/// One subject, with the fields that decide whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subject<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    api_group: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Goes through subjects one by one, and keeps none of them whole.
struct Census<'l> {
    leaver_of: &'l Leaver,
    names: Vec<String>,
    leaver: u32,
    all: u32,
    undecided: Vec<String>,
    has_lookalike: bool,
    digest: Sha256,
}

impl<'l> Census<'l> {
    fn new(leaver_of: &'l Leaver) -> Self {
        Census {
            leaver_of,
            names: Vec::new(),
            leaver: 0,
            all: 0,
            undecided: Vec::new(),
            has_lookalike: false,
            digest: Sha256::new(),
        }
    }

    fn count(&mut self, subject: &Subject<'_>) {
        self.all += 1;
        match self
            .leaver_of
            .whose(&subject.kind, subject.api_group.as_deref(), &subject.name)
        {
            Whose::Leaver => {
                self.leaver += 1;
                // Its length first: no two lists of names run together to the same text.
                self.digest.update((subject.name.len() as u64).to_be_bytes());
                self.digest.update(subject.name.as_bytes());
                if self.names.len() < NAMES_KEPT {
                    self.names.push(subject.name.to_string());
                }
            }
            Whose::Undecided if self.undecided.len() < SHOWN => self.undecided.push(subject.name.to_string()),
            Whose::Lookalike => self.has_lookalike = true,
            Whose::Undecided | Whose::Other => {}
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Census<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Census<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of subjects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(subject) = list.next_element::<Subject<'de>>()? {
            self.count(&subject);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

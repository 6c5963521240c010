//! Who would bring a deleted binding back, as its labels, annotations and managedFields tell, and what a person does about that.

mod tools;
mod writer;

pub(crate) use tools::Advice;

use self::{
    tools::{
        Key::{self, Annotation, Label},
        OWNER, Row, Sign, TABLE, WEAK, WRITER,
    },
    writer::{last_writer, shown},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap};

/// Who may bring a binding back, and how that is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// As messages call it: `Flux Kustomization team-a/rbac`. At most 256 characters, none of them a control character.
    pub name: String,
    pub advice: Advice,
    /// Whether the binding is marked as its own, by labels and annotations that anybody who may edit the binding can set. If not, it only
    /// wrote the subjects last.
    pub owns: bool,
    /// Who wrote the subjects last, if something else marks it.
    pub writer: Option<String>,
}

impl Manager {
    /// `; its subjects were last written by "x"`, where a mark says somebody else.
    pub fn written_by(&self) -> String {
        let said = |writer| format!("; its subjects were last written by a client that calls itself {writer:?}");
        self.writer.as_ref().map(said).unwrap_or_default()
    }

    /// What is said of it beside a binding that changes, as a sentence.
    pub fn relation(&self) -> String {
        match self.owns {
            true => format!("It is marked as belonging to {}{}.", self.name, self.written_by()),
            false => format!("Its subjects were last written by {}.", self.name),
        }
    }
}

pub(super) type Texts<'a> = Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>;

/// The first of `metadata.ownerReferences`: whoever made the binding, and would make it again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnerReference {
    kind: String,
    name: String,
}

/// What a binding's metadata says of its origin.
pub(super) struct Marks<'a> {
    pub(super) labels: &'a Texts<'a>,
    pub(super) annotations: &'a Texts<'a>,
    pub(super) owner: Option<&'a OwnerReference>,
    pub(super) managed_fields: Option<&'a RawValue>,
}

/// Who would bring the binding back: the first row of the table that fits; then the owner that a controller noted; then a label that Argo CD and
/// Helm both use; and at last whoever wrote the subjects.
pub(super) fn manager_of(marks: &Marks<'_>) -> Option<Manager> {
    let writer = marks.managed_fields.and_then(last_writer);
    let by_table = TABLE
        .iter()
        .find(|row| marks.have(row.sign, writer.as_deref()))
        .map(|row| (row.called(marks), row.advice, true));
    let by_owner = || {
        let owner = marks.owner.filter(|owner| !owner.name.is_empty())?;
        Some((
            format!("{} {}", legible(&owner.kind), legible(&owner.name)),
            OWNER,
            true,
        ))
    };
    let weak = || {
        let instance = marks.text(Label("app.kubernetes.io/instance"))?;
        let name = format!(
            "something of the name {} (label app.kubernetes.io/instance: an Argo CD application or a Helm release)",
            legible(instance)
        );
        Some((name, WEAK, true))
    };
    let by_writer = || {
        let name = format!("a client that calls itself {:?} (managedFields)", writer.as_ref()?);
        Some((name, WRITER, false))
    };
    let (name, advice, owns) = by_table.or_else(by_owner).or_else(weak).or_else(by_writer)?;
    Some(Manager {
        name: shown(&name, 256),
        advice,
        writer: writer.filter(|_| owns),
        owns,
    })
}

impl Row {
    fn called(&self, marks: &Marks<'_>) -> String {
        let Some(name) = self.name.iter().find_map(|key| marks.text(*key)) else {
            return self.called.to_owned();
        };
        // The tracking ID goes on with what it tracks; no other name holds a colon.
        let name = name.split(':').find(|part| !part.is_empty()).unwrap_or_default();
        match self.namespace.and_then(|key| marks.text(key)) {
            Some(namespace) => format!("{} {}/{}", self.called, legible(namespace), legible(name)),
            None => format!("{} {}", self.called, legible(name)),
        }
    }
}

impl Marks<'_> {
    fn text(&self, key: Key) -> Option<&str> {
        let (texts, key) = match key {
            Label(key) => (self.labels, key),
            Annotation(key) => (self.annotations, key),
        };
        texts
            .as_ref()?
            .get(key)
            .map(|text| &**text)
            .filter(|text| !text.is_empty())
    }

    fn have(&self, sign: Sign, writer: Option<&str>) -> bool {
        match sign {
            Sign::Is(key) => self.text(key).is_some(),
            Sign::Says(key, value) => self.text(key).is_some_and(|text| text.eq_ignore_ascii_case(value)),
            Sign::Any(signs) => signs.iter().any(|sign| self.have(*sign, writer)),
            Sign::Prefix(start) => [self.labels, self.annotations]
                .into_iter()
                .flatten()
                .any(|texts| texts.keys().any(|key| key.starts_with(start))),
            Sign::Writer(start) => writer.is_some_and(|writer| writer.starts_with(start)),
        }
    }
}

/// A name as Kubernetes and its tools have them: whatever else somebody wrote there is no part of a sentence of ours.
fn legible(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/@+-".contains(c);
    name.chars().take(253).map(|c| if plain(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;

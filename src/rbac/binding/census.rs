//! Goes through the subjects of a binding: which are the leaver's, which stay, and which somebody must decide on.

use crate::rbac::subject::{Leaver, Whose, WireSubject};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::fmt;

/// How many of the leaver's names in a binding are kept; all of them are counted, and are in [`LiveBinding::names_digest`].
pub(crate) const NAMES_KEPT: usize = 1000;

/// How many undecided names, and finalizers, are kept of one binding.
pub(super) const SHOWN: usize = 20;

/// The subjects of a binding that are not the leaver's, as a JSON array, each as it was.
///
/// # Errors
/// When `text` is no binding.
pub(crate) fn other_subjects(text: &str, leaver: &Leaver) -> Result<String, serde_json::Error> {
    #[derive(Deserialize)]
    struct Subjects<'a> {
        #[serde(default, borrow)]
        subjects: Option<Vec<&'a RawValue>>,
    }
    let wire: Subjects<'_> = serde_json::from_str(text)?;
    let mut kept = Vec::new();
    for raw in wire.subjects.unwrap_or_default() {
        let subject: WireSubject<'_> = serde_json::from_str(raw.get())?;
        if leaver.whose(&subject.kind, subject.api_group.as_deref(), &subject.name) != Whose::Leaver {
            kept.push(raw.get());
        }
    }
    Ok(format!("[{}]", kept.join(",")))
}

/// Goes through subjects one by one, and keeps none of them whole.
pub(super) struct Census<'l> {
    leaver_of: &'l Leaver,
    pub(super) names: Vec<String>,
    pub(super) leaver: u32,
    pub(super) all: u32,
    pub(super) undecided: Vec<String>,
    pub(super) has_lookalike: bool,
    pub(super) digest: Sha256,
}

impl<'l> Census<'l> {
    pub(super) fn new(leaver_of: &'l Leaver) -> Self {
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

    fn count(&mut self, subject: &WireSubject<'_>) {
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
        while let Some(subject) = list.next_element::<WireSubject<'de>>()? {
            self.count(&subject);
        }
        Ok(())
    }
}

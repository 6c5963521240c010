//! Cutting values into words, and remembering each word once.

use std::collections::HashMap;

use crate::simulator::world::record::Record;

/// The delimiters that an index has unless it is told otherwise, as GetIndex shows them.
pub(crate) const DELIMITERS: [char; 22] = [
    ',', ' ', '\'', '"', ';', '=', '(', ')', '[', ']', '{', '}', '?', '@', '&', '<', '>', '/', ':', '\n', '\t', '\r',
];

/// The words of `text`, in lower case.
pub(crate) fn cut(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(DELIMITERS)
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

/// A record's words: (field, word), sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry(Box<[(u16, u32)]>);

impl Entry {
    /// Whether `field`, or any field, has one of the words.
    pub(crate) fn has(&self, field: Option<u16>, word: u32) -> bool {
        match field {
            Some(field) => self.0.binary_search(&(field, word)).is_ok(),
            None => self.0.iter().any(|(_, w)| *w == word),
        }
    }

    pub(crate) fn pairs(&self) -> &[(u16, u32)] {
        &self.0
    }
}

/// Every word and field name that was ever seen, once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    words: HashMap<String, u32>,
    fields: HashMap<String, u16>,
}

impl Words {
    /// Tokenises a record.
    pub(crate) fn entry(&mut self, record: &Record) -> Entry {
        let mut pairs = Vec::new();
        for (name, value) in record.fields() {
            let next = self.fields.len() as u16;
            let field = *self.fields.entry(name.clone()).or_insert(next);
            for word in cut(value) {
                let next = self.words.len() as u32;
                pairs.push((field, *self.words.entry(word).or_insert(next)));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        Entry(pairs.into_boxed_slice())
    }

    pub(crate) fn word(&self, word: &str) -> Option<u32> {
        self.words.get(word).copied()
    }

    pub(crate) fn field(&self, name: &str) -> Option<u16> {
        self.fields.get(name).copied()
    }

    /// The words of which `fits` is true.
    pub(crate) fn fitting(&self, fits: impl Fn(&str) -> bool) -> HashMap<u32, &str> {
        self.words
            .iter()
            .filter(|(word, _)| fits(word))
            .map(|(word, id)| (*id, word.as_str()))
            .collect()
    }
}

//! A query made ready for one set of records.

use std::collections::{BTreeSet, HashMap};

use super::query::{Pattern, Query};
use super::words::{Entry, Words, cut};
use crate::simulator::world::{Index, Record};

/// A wildcard is tried on so many words. [source: SLS, "fuzzy search"]
const SAMPLED_WORDS: usize = 100;

/// A query whose words have been looked up.
#[derive(Debug)]
pub(crate) enum Test {
    Always,
    Never,
    /// The field has some value.
    Present(String),
    /// One of the words is in one of the fields.
    Word(Fields, Vec<u32>),
    /// The field, or any, contains the text.
    Phrase(Option<String>, String),
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
}

/// Where to look.
#[derive(Debug, Clone)]
pub(crate) enum Fields {
    Every,
    These(Vec<u16>),
}

impl Fields {
    fn contain(&self, field: u16) -> bool {
        match self {
            Self::Every => true,
            Self::These(fields) => fields.contains(&field),
        }
    }
}

impl Test {
    /// Looks the query's words up. `entries` are all records of the logstore: wildcards sample their words.
    pub(crate) fn compile<'a>(
        query: &Query,
        index: &Index,
        words: &Words,
        entries: impl IntoIterator<Item = &'a Entry> + Clone,
    ) -> Self {
        let each = |all: &[Query]| {
            all.iter()
                .map(|one| Self::compile(one, index, words, entries.clone()))
                .collect()
        };
        let (field, pattern) = match query {
            Query::All => return Self::Always,
            Query::And(all) => return Self::All(each(all)),
            Query::Or(all) => return Self::Any(each(all)),
            Query::Not(inner) => return Self::Not(Box::new(Self::compile(inner, index, words, entries))),
            Query::Term { field, pattern } => (field, pattern),
        };
        let fields = match field {
            // A word is compared with the words of a text: an index of another type has none.
            Some(field) if index.types.contains_key(field) => return Self::Never,
            Some(field) => Fields::These(words.field(field).into_iter().collect()),
            None if index.full_text => Fields::Every,
            None => Fields::These(index.keys.iter().filter_map(|key| words.field(key)).collect()),
        };
        match (pattern, field) {
            (Pattern::Anything, Some(field)) => Self::Present(field.clone()),
            (Pattern::Anything, None) => Self::Always,
            (Pattern::Words(all), _) => {
                Self::All(all.iter().map(|word| Self::one(&fields, words.word(word))).collect())
            }
            (Pattern::Phrase(text), _) => {
                let all = cut(text).map(|word| Self::one(&fields, words.word(&word)));
                Self::All(all.chain([Self::Phrase(field.clone(), text.clone())]).collect())
            }
            (Pattern::Wildcard(pattern), _) => {
                let fitting = words.fitting(|word| fits(pattern.as_bytes(), word.as_bytes()));
                Self::Word(fields.clone(), sample(&fitting, &fields, entries))
            }
        }
    }

    fn one(fields: &Fields, word: Option<u32>) -> Self {
        word.map_or(Self::Never, |word| Self::Word(fields.clone(), vec![word]))
    }

    /// Whether the record is found.
    pub(crate) fn matches(&self, record: &Record, entry: &Entry) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Present(field) => record.get(field).is_some(),
            Self::Word(Fields::Every, words) => words.iter().any(|word| entry.has(None, *word)),
            Self::Word(Fields::These(fields), words) => fields
                .iter()
                .any(|field| words.iter().any(|word| entry.has(Some(*field), *word))),
            Self::Phrase(Some(field), text) => record
                .get(field)
                .is_some_and(|value| value.to_lowercase().contains(text)),
            Self::Phrase(None, text) => record
                .fields()
                .values()
                .any(|value| value.to_lowercase().contains(text)),
            Self::All(all) => all.iter().all(|test| test.matches(record, entry)),
            Self::Any(all) => all.iter().any(|test| test.matches(record, entry)),
            Self::Not(inner) => !inner.matches(record, entry),
        }
    }
}

/// The first hundred of the fitting words that occur where the query looks.
fn sample<'a>(fitting: &HashMap<u32, &str>, fields: &Fields, entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u32> {
    let mut occurring = BTreeSet::new();
    for (field, word) in entries.into_iter().flat_map(Entry::pairs) {
        if let Some(name) = fitting.get(word).filter(|_| fields.contain(*field)) {
            occurring.insert((*name, *word));
        }
    }
    occurring
        .into_iter()
        .take(SAMPLED_WORDS)
        .map(|(_, word)| word)
        .collect()
}

/// Whether `word` fits a pattern with `*` (any characters) and `?` (one).
fn fits(pattern: &[u8], word: &[u8]) -> bool {
    match (pattern.first(), word.first()) {
        (None, None) => true,
        (Some(b'*'), _) => fits(&pattern[1..], word) || (!word.is_empty() && fits(pattern, &word[1..])),
        (Some(b'?'), Some(_)) => fits(&pattern[1..], &word[1..]),
        (Some(expected), Some(actual)) => expected == actual && fits(&pattern[1..], &word[1..]),
        _ => false,
    }
}

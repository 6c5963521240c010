//! The records of a logstore, kept together with the words they are searched by.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::Record;
use crate::simulator::search::words::{Entry, Words};

/// The records of a logstore. They are tokenised as they come, so that a search over ten thousand takes milliseconds.
#[derive(Debug, Clone, Default)]
pub struct Records {
    rows: Vec<(Record, Entry)>,
    words: Words,
}

impl Records {
    /// Adds a record.
    pub fn push(&mut self, record: Record) {
        let entry = self.words.entry(&record);
        self.rows.push((record, entry));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        self.rows.iter().map(|(record, _)| record)
    }

    /// Keeps those of which `keep` is true.
    pub fn retain(&mut self, keep: impl Fn(&Record) -> bool) {
        self.rows.retain(|(record, _)| keep(record));
    }

    /// Changes those of which `which` is true, and says how many.
    pub fn change(&mut self, which: impl Fn(&Record) -> bool, change: impl Fn(Record) -> Record) -> usize {
        let mut changed = 0;
        for (record, entry) in self.rows.iter_mut().filter(|(record, _)| which(record)) {
            *record = change(record.clone());
            *entry = self.words.entry(record);
            changed += 1;
        }
        changed
    }

    pub(crate) fn indexed(&self) -> impl Iterator<Item = (&Record, &Entry)> + Clone {
        self.rows.iter().map(|(record, entry)| (record, entry))
    }

    pub(crate) fn words(&self) -> &Words {
        &self.words
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut all = Self::default();
        records.into_iter().for_each(|record| all.push(record));
        all
    }
}

impl Serialize for Records {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Record>::deserialize(deserializer)?.into_iter().collect())
    }
}

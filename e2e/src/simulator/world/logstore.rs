//! An audit logstore: retention, index, records, heartbeats.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{record::Record, records::Records};
use crate::simulator::now;

/// An SLS logstore that holds a cluster's audit log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logstore {
    /// `ttl`: days that records are kept. Older ones are not found.
    pub ttl_days: i64,
    /// `createTime`.
    pub created_at: i64,
    /// The index; without one every search fails with IndexConfigNotExist.
    pub index: Option<Index>,
    /// `lastModifyTime` of the index, if it was changed after the logstore was made. The pessimistic guess: no word of
    /// what was written before is found by it.
    pub index_changed_at: Option<i64>,
    /// Records, besides the heartbeats.
    pub records: Records,
    /// What the rest of the cluster does all the time.
    pub heartbeats: Heartbeats,
    /// Answers that are not complete, on demand.
    pub incomplete: Option<Incomplete>,
    /// GetLogsV2 answers with records of any time, whatever the request says.
    pub ignores_times: bool,
    /// The form of the rows that GetLogsV2 returns, if it is not the documented one.
    pub row_form: Option<RowForm>,
    /// GetLogsV2 finds no more than so many records, whatever GetHistograms counts.
    pub finds_at_most: Option<usize>,
}

/// Rows that are not as documented: every field a string, `__time__` in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowForm {
    /// Without `__time__`.
    NoTime,
    /// `__time__` is null.
    NullTime,
    /// `__time__` has a fraction.
    FractionalTime,
    /// `__time__` is in milliseconds.
    Milliseconds,
    /// `__time__` is a JSON number, in whole seconds.
    NumericTime,
    /// `user.username` is a list of one name.
    UserList,
    /// `user.username` is an object.
    UserObject,
    /// `user.username` is the text of a list of one name.
    UserListText,
    /// Without `user.username`.
    NoUser,
}

/// What a body is that SLS calls `gzip`. The documentation says gzip; the SDKs decode it as zlib.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum GzipForm {
    /// RFC 1952.
    #[default]
    Gzip,
    /// RFC 1950.
    Zlib,
}

impl Default for Logstore {
    fn default() -> Self {
        Self {
            ttl_days: 30,
            created_at: super::identity::long_ago(),
            index: Some(Index::default()),
            index_changed_at: None,
            records: Records::default(),
            heartbeats: Heartbeats::default(),
            incomplete: None,
            ignores_times: false,
            row_form: None,
            finds_at_most: None,
        }
    }
}

impl Logstore {
    /// The oldest time that a record can still have.
    pub fn oldest(&self) -> i64 {
        self.created_at.max(now() - self.ttl_days * 86_400)
    }

    /// Changes the index now.
    pub fn change_index(&mut self, change: impl FnOnce(&mut Index)) {
        change(self.index.get_or_insert_default());
        self.index_changed_at = Some(now());
    }

    /// When the index was last changed.
    pub fn index_changed_at(&self) -> i64 {
        self.index_changed_at.unwrap_or(self.created_at)
    }

    /// The collector writes whole events into the field `content`, and parses none: of what is there, and of the heartbeats.
    pub fn stop_parsing(&mut self) {
        self.records.change(|_| true, |record| record.unparsed());
        self.heartbeats.unparsed = true;
    }

    /// Takes away every record of `times`, heartbeats included: the collector was down.
    pub fn cut_gap(&mut self, times: Range<i64>) {
        self.records.retain(|record| !times.contains(&record.time()));
        self.heartbeats.gaps.push(times);
    }
}

/// What is indexed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Index {
    /// Whether there is a full-text index.
    pub full_text: bool,
    /// The fields with an index of their own.
    pub keys: Vec<String>,
    /// The types of those that are not `text`. A search for a word finds nothing in them.
    pub types: BTreeMap<String, String>,
    /// Those of them without analytics (`doc_value: false`): they can be searched, and are no columns in SQL.
    pub without_analytics: Vec<String>,
}

impl Default for Index {
    /// Full text, and the fields that ACK's audit pages search.
    fn default() -> Self {
        let keys = [
            "auditID",
            "verb",
            "stage",
            "requestURI",
            "objectRef.resource",
            "objectRef.subresource",
            "objectRef.namespace",
            "objectRef.name",
            "user.username",
            "user.groups",
            "sourceIPs",
            "userAgent",
            "responseStatus.code",
            super::record::REASON,
            "impersonatedUser.username",
        ];
        Self {
            full_text: true,
            keys: keys.map(str::to_owned).to_vec(),
            types: BTreeMap::new(),
            without_analytics: Vec::new(),
        }
    }
}

impl Index {
    /// Whether `field` is a column in SQL: it has an index of its own with analytics. A full-text index gives none.
    pub fn has_analytics(&self, field: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|one| one == field);
        is_in(&self.keys) && !is_in(&self.without_analytics)
    }

    /// The same with analytics switched off for `field`, which can still be searched.
    pub fn without_analytics(mut self, field: &str) -> Self {
        self.without_analytics.push(field.to_owned());
        self
    }

    /// The same with another type of index on `field`.
    pub fn of_type(mut self, field: &str, type_: &str) -> Self {
        self.types.insert(field.to_owned(), type_.to_owned());
        self
    }

    /// The same without an index on `field`.
    pub fn without(mut self, field: &str) -> Self {
        self.keys.retain(|key| key != field);
        self
    }
}

/// The next answers to GetLogsV2, and to GetHistograms if it is told so, say `Incomplete`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incomplete {
    /// How many answers.
    pub answers: u32,
    /// How many of the hits they contain at most.
    pub rows: usize,
    /// Whether those to GetHistograms do.
    #[serde(default = "super::cluster::yes")]
    pub histograms: bool,
}

/// Regular records of nodes and controllers, which a live cluster's log always has. They are made when they are asked
/// for, back to the logstore's retention and up to now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heartbeats {
    /// Seconds between two of them; 0 switches them off.
    pub every_seconds: i64,
    /// Times without any.
    pub gaps: Vec<Range<i64>>,
    /// Who makes them, instead of the control plane's components.
    pub who: Option<String>,
    /// Their fields are not parsed: the whole event is in `content`.
    pub unparsed: bool,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self {
            every_seconds: 600,
            gaps: Vec::new(),
            who: None,
            unparsed: false,
        }
    }
}

/// Who makes the heartbeats, in turn.
const WHO: [(&str, &str, &str, &str); 3] = [
    (
        "system:node:cn-hangzhou.192.0.2.20",
        "nodes",
        "",
        "cn-hangzhou.192.0.2.20",
    ),
    (
        "system:kube-controller-manager",
        "leases",
        "kube-system",
        "kube-controller-manager",
    ),
    ("system:kube-scheduler", "leases", "kube-system", "kube-scheduler"),
];

impl Heartbeats {
    /// The kinds of heartbeat there are, without a time. A search looks at these instead of at thousands of equal rows.
    pub(crate) fn kinds(&self) -> Vec<Record> {
        WHO.iter()
            .map(|(who, resource, namespace, name)| {
                let record = Record::by(self.who.as_deref().unwrap_or(who))
                    .requesting("update", resource, namespace, name)
                    .set("auditID", "heartbeat")
                    .set("userAgent", "kube-component/v1.33.0 (linux/amd64)");
                if self.unparsed { record.unparsed() } else { record }
            })
            .collect()
    }

    /// The times of the heartbeats in `times`, each with its kind.
    pub(crate) fn times(&self, times: Range<i64>) -> Vec<(i64, usize)> {
        if self.every_seconds <= 0 {
            return Vec::new();
        }
        let first = times.start.div_euclid(self.every_seconds) + i64::from(times.start % self.every_seconds != 0);
        (first..)
            .map(|n| (n * self.every_seconds, n.rem_euclid(WHO.len() as i64) as usize))
            .take_while(|(time, _)| *time < times.end)
            .filter(|(time, _)| !self.gaps.iter().any(|gap| gap.contains(time)))
            .collect()
    }
}

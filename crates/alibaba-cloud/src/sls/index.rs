//! What of a record can be searched.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::Sls;
use crate::{
    answer::legible,
    error::{ApiError, ErrorKind},
};

/// What of a record can be searched. Source: API page `GetIndex`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Whether words are found in any field. Not if some fields are left out.
    pub full_text: bool,
    /// The fields whose words a query can name: those of type `text`, also within one of type `json` (`user.username` in `user`).
    pub keys: BTreeSet<String>,
    /// Fields of type `json` all of whose text fields are indexed (`index_all`), each with how deep that goes.
    pub json_texts: BTreeMap<String, usize>,
    /// The other fields with an index, each with its type (at most 32 characters of it). A search for a word finds nothing there.
    pub other_types: BTreeMap<String, String>,
    /// Fields that the index keeps without analytics (`doc_value: false`): they are found by a search, and are no columns in SQL.
    pub without_analytics: BTreeSet<String>,
    /// When it was last changed, in seconds since 1970, if the service says so. A change takes effect only for records
    /// that are written after it (SLS, "Create indexes").
    pub changed_at: Option<i64>,
}

impl Index {
    /// Whether a search for a word in this field finds it.
    pub fn finds_text(&self, field: &str) -> bool {
        let within = |(json, depth): (&String, &usize)| {
            let inner = field
                .strip_prefix(json.as_str())
                .and_then(|rest| rest.strip_prefix('.'));
            // A field with an index of its own has that one.
            inner.is_some_and(|inner| inner.split('.').count() <= *depth) && !self.other_types.contains_key(field)
        };
        self.keys.contains(field) || self.json_texts.iter().any(within)
    }

    /// Whether this field is a column of text in SQL, as far as the index says: a full-text index makes none.
    pub fn analyses_text(&self, field: &str) -> bool {
        self.finds_text(field) && !self.without_analytics.contains(field)
    }
}

#[derive(Deserialize)]
struct RawIndex {
    #[serde(default)]
    line: Option<Value>,
    #[serde(default)]
    keys: Option<BTreeMap<String, Value>>,
    #[serde(default, rename = "lastModifyTime")]
    last_modify_time: Option<i64>,
}

impl Sls {
    /// A logstore's index; none if it has none (`IndexConfigNotExist`). Needs `log:GetIndex`.
    ///
    /// # Errors
    /// As [`get_logstore`](Self::get_logstore).
    pub async fn get_index(&self, project: &str, logstore: &str) -> Result<Option<Index>, ApiError> {
        let mut call = self.call(
            "GetIndex",
            Method::GET,
            project,
            logstore,
            ["logstores", logstore, "index"],
        )?;
        let answer = match self.send(&mut call, project).await {
            Err(error) if error.kind == ErrorKind::NotFound && error.has_code("IndexConfigNotExist") => {
                return Ok(None);
            }
            answer => answer?,
        };
        let raw: RawIndex = call.json(&answer)?;
        Ok(Some(read_index(&raw)))
    }
}

fn read_index(raw: &RawIndex) -> Index {
    let mut index = Index {
        full_text: raw.line.as_ref().is_some_and(is_full_text),
        keys: auto_texts(raw.line.as_ref()).collect(),
        json_texts: BTreeMap::new(),
        other_types: BTreeMap::new(),
        without_analytics: BTreeSet::new(),
        changed_at: raw.last_modify_time,
    };
    for (name, key) in raw.keys.iter().flatten() {
        index.add(name.clone(), key);
        // A field of type `json` has fields of its own.
        let nested = key.get("json_keys").and_then(Value::as_object);
        for (inner, key) in nested.into_iter().flatten() {
            index.add(format!("{name}.{inner}"), key);
        }
        if key.get("index_all").and_then(Value::as_bool) == Some(true) {
            // -1 is without end; what is not said is not relied upon.
            let depth = match key.get("max_depth").and_then(Value::as_i64) {
                Some(-1) => usize::MAX,
                depth => depth.and_then(|depth| usize::try_from(depth).ok()).unwrap_or(0),
            };
            index.json_texts.insert(name.clone(), depth);
        }
    }
    index
}

impl Index {
    fn add(&mut self, name: String, key: &Value) {
        if key.get("doc_value").and_then(Value::as_bool) == Some(false) {
            self.without_analytics.insert(name.clone());
        }
        match key.get("type").and_then(Value::as_str) {
            Some("text") => {
                self.keys.insert(name);
            }
            other => {
                self.keys.remove(&name);
                self.other_types.insert(name, legible(other.unwrap_or("unknown"), 32));
            }
        }
    }
}

/// The fields that are indexed as text without an entry in `keys`. Those that SLS only detects (`auto_key_detect`) are not named anywhere, and
/// are not relied upon.
fn auto_texts(line: Option<&Value>) -> impl Iterator<Item = String> {
    let names = line.and_then(|line| line.get("auto_text_keys")?.as_array());
    names
        .into_iter()
        .flatten()
        .filter_map(|name| Some(name.as_str()?.to_owned()))
}

/// Whether a full-text index covers every field: `include_keys` and `exclude_keys` narrow it.
fn is_full_text(line: &Value) -> bool {
    let narrowed = ["include_keys", "exclude_keys"].iter().any(|list| {
        line.get(list)
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty())
    });
    line.is_object() && !narrowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_column_unless_the_index_keeps_it_without_analytics() {
        let raw = serde_json::json!({
            "line": {"token": [","]},
            "keys": {
                "on": {"type": "text", "doc_value": true},
                "off": {"type": "text", "doc_value": false},
                "unsaid": {"type": "text"},
                "number": {"type": "long", "doc_value": true},
                "user": {"type": "json", "json_keys": {
                    "username": {"type": "text", "doc_value": true}, "uid": {"type": "text", "doc_value": false},
                }},
            },
        });
        let index = read_index(&serde_json::from_value(raw).unwrap());
        for (field, expected) in [
            ("on", true),
            ("off", false),
            ("unsaid", true),
            ("number", false),
            ("user.username", true),
            ("user.uid", false),
            ("full text only", false),
        ] {
            assert_eq!(index.analyses_text(field), expected, "{field}");
        }
        assert!(index.finds_text("off"), "it is searched all the same");
    }
}

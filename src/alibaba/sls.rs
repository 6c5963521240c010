//! Simple Log Service: searches a logstore, and says what makes an absence of hits believable.
//!
//! Every project has a host of its own, which is signed; see [`SlsEndpoint`].

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    answer::legible,
    call::{Call, failure, path},
    client::Client,
    endpoints::SlsEndpoint,
    error::{ApiError, ErrorKind, Service},
    transport::Answer,
};

/// Simple Log Service.
#[derive(Clone, Debug)]
pub struct Sls {
    pub(super) client: Client,
    pub(super) endpoint: SlsEndpoint,
}

/// What a logstore keeps, and since when. Source: API page `GetLogStore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logstore {
    /// Records are kept so many days.
    pub ttl_days: u32,
    /// When the logstore was made, in seconds since 1970.
    pub created_at: i64,
}

/// What of a record can be searched. Source: API page `GetIndex`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Whether words are found in any field. Not if some fields are left out.
    pub full_text: bool,
    /// The fields whose words a query can name: those of type `text`, also within one of type `json` (`user.username` in `user`).
    pub keys: BTreeSet<String>,
    /// The other fields with an index, each with its type (at most 32 characters of it). A search for a word finds nothing there.
    pub other_types: BTreeMap<String, String>,
    /// When it was last changed, in seconds since 1970, if the service says so. A change takes effect only for records
    /// that are written after it (SLS, "Create indexes").
    pub changed_at: Option<i64>,
}

/// Whether an answer covers all that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// All of it.
    Complete,
    /// Some of it: what is there is real, what is missing proves nothing.
    Incomplete,
}

impl Progress {
    fn read(text: &str) -> Self {
        if text == "Complete" {
            Progress::Complete
        } else {
            Progress::Incomplete
        }
    }
}

/// How many records match, over time. Source: API page `GetHistograms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histograms {
    /// Complete only if the service says so and every bucket is.
    pub progress: Progress,
    /// In the order of the service, of widths that it chooses.
    pub buckets: Vec<Bucket>,
}

/// One interval of a histogram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Start, in seconds since 1970, inclusive.
    pub from: i64,
    /// End, likewise, exclusive.
    pub to: i64,
    /// Matching records.
    pub count: u64,
    /// Whether the count is final.
    pub progress: Progress,
}

/// What to search for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogQuery {
    /// Start, in seconds since 1970, inclusive.
    pub from: i64,
    /// End, likewise, exclusive. Must be later than `from`.
    pub to: i64,
    /// In the query language of SLS.
    pub query: String,
    /// The most rows to return: 0 to 100.
    pub line: u32,
    /// Rows to skip.
    pub offset: u64,
    /// Newest first (to the minute).
    pub reverse: bool,
}

/// Records that match. Source: API page `GetLogsV2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// Whether the service says `Complete`. If not: the rows are real, their absence is not.
    pub complete: bool,
    /// How many rows the service says that it returns.
    pub count: u64,
    /// The records. By the API's page every value is text, `__time__` (seconds since 1970) included; whoever reads one checks that.
    pub rows: Vec<Row>,
}

/// A record as SLS returns it: field name to value.
pub type Row = BTreeMap<String, Value>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLogstore {
    ttl: u32,
    create_time: i64,
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

#[derive(Deserialize)]
struct RawBucket {
    from: i64,
    to: i64,
    count: u64,
    progress: String,
}

#[derive(Deserialize)]
struct RawLogs {
    meta: Meta,
    #[serde(default)]
    data: Option<Vec<Row>>,
}

#[derive(Deserialize)]
struct Meta {
    count: u64,
    progress: String,
}

impl Sls {
    /// A logstore's settings. Needs `log:GetLogStore`.
    ///
    /// # Errors
    /// Any [`ApiError`]; `NotFound` if the project or the logstore does not exist (`ProjectNotExist`,
    /// `LogStoreNotExist`).
    pub async fn get_logstore(&self, project: &str, logstore: &str) -> Result<Logstore, ApiError> {
        let call = self.call("GetLogStore", Method::GET, project, logstore, ["logstores", logstore])?;
        let raw: RawLogstore = call.json(&self.client.send(&call).await?)?;
        Ok(Logstore {
            ttl_days: raw.ttl,
            created_at: raw.create_time,
        })
    }

    /// A logstore's index; none if it has none (`IndexConfigNotExist`). Needs `log:GetIndex`.
    ///
    /// # Errors
    /// As [`get_logstore`](Self::get_logstore).
    pub async fn get_index(&self, project: &str, logstore: &str) -> Result<Option<Index>, ApiError> {
        let call = self.call(
            "GetIndex",
            Method::GET,
            project,
            logstore,
            ["logstores", logstore, "index"],
        )?;
        let answer = match self.client.send(&call).await {
            Err(error) if error.kind == ErrorKind::NotFound && error.has_code("IndexConfigNotExist") => {
                return Ok(None);
            }
            answer => answer?,
        };
        let raw: RawIndex = call.json(&answer)?;
        let (keys, other_types) = fields(&raw.keys.unwrap_or_default());
        Ok(Some(Index {
            full_text: raw.line.as_ref().is_some_and(is_full_text),
            keys,
            other_types,
            changed_at: raw.last_modify_time,
        }))
    }

    /// Counts the matching records over time, `from` inclusive, `to` exclusive, in seconds since 1970. Needs
    /// `log:GetLogStoreHistogram`.
    ///
    /// # Errors
    /// As [`get_logstore`](Self::get_logstore).
    pub async fn get_histograms(
        &self,
        project: &str,
        logstore: &str,
        from: i64,
        to: i64,
        query: &str,
    ) -> Result<Histograms, ApiError> {
        let mut call = self.call("GetHistograms", Method::GET, project, logstore, ["logstores", logstore])?;
        call.query = vec![
            ("type", "histogram".into()),
            ("from", from.to_string()),
            ("to", to.to_string()),
            ("query", query.to_owned()),
        ];
        let answer = self.client.send(&call).await?;
        let raw: Vec<RawBucket> = call.json(&answer)?;
        let buckets: Vec<Bucket> = raw
            .into_iter()
            .map(
                |RawBucket {
                     from,
                     to,
                     count,
                     progress,
                 }| Bucket {
                    from,
                    to,
                    count,
                    progress: Progress::read(&progress),
                },
            )
            .collect();
        let said = progress_header(&answer).unwrap_or(Progress::Complete);
        let whole = said == Progress::Complete && buckets.iter().all(|bucket| bucket.progress == Progress::Complete);
        Ok(Histograms {
            progress: if whole {
                Progress::Complete
            } else {
                Progress::Incomplete
            },
            buckets,
        })
    }

    /// Searches a logstore. Needs `log:GetLogStoreLogs`. An incomplete answer is returned as such: repeat the same
    /// request.
    ///
    /// # Errors
    /// As [`get_logstore`](Self::get_logstore); [`ApiError::is_unindexed_field`] if the query names a field without an
    /// index.
    pub async fn get_logs(&self, project: &str, logstore: &str, query: &LogQuery) -> Result<Logs, ApiError> {
        let mut call = self.call(
            "GetLogsV2",
            Method::POST,
            project,
            logstore,
            ["logstores", logstore, "logs"],
        )?;
        let body = serde_json::to_vec(query).map_err(|error| call.error(ErrorKind::Rejected, &error.to_string()))?;
        call.body = Some(body.into());
        let answer = self.client.send(&call).await?;
        let RawLogs { meta, data } = call.json(&answer)?;
        let data = data.unwrap_or_default();
        if (data.len() as u64) < meta.count {
            let message = format!("it counts {} records, and has {}", meta.count, data.len());
            return Err(call.malformed(&answer, &message));
        }
        Ok(Logs {
            complete: Progress::read(&meta.progress) == Progress::Complete,
            count: meta.count,
            rows: data,
        })
    }

    /// Whether the endpoint of a project answers at all, and its URL; unsigned, so that the credentials are no matter.
    ///
    /// # Errors
    /// When nothing answers, or the project's name makes no host name.
    pub async fn reach(&self, project: &str) -> Result<String, ApiError> {
        let endpoint = self.endpoint.connect(project).map_err(|error| {
            failure(
                Service::Sls,
                "endpoint",
                project,
                ErrorKind::Rejected,
                &error.to_string(),
            )
        })?;
        let host = self.endpoint.project_host(project);
        self.client.reach(Service::Sls, &endpoint, host).await
    }

    fn call<const N: usize>(
        &self,
        operation: &'static str,
        method: Method,
        project: &str,
        logstore: &str,
        segments: [&str; N],
    ) -> Result<Call, ApiError> {
        let target = format!("logstore {logstore} of project {project}");
        let rejected = |message: &str| failure(Service::Sls, operation, &target, ErrorKind::Rejected, message);
        // The project becomes part of a host name: nothing but a label may.
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edge = project.starts_with('-') || project.ends_with('-');
        if project.is_empty() || project.len() > 63 || edge || !project.bytes().all(named) {
            return Err(rejected("this is no name of an SLS project"));
        }
        let path = path(segments).ok_or_else(|| rejected("this is no name of a logstore"))?;
        let connect = self
            .endpoint
            .connect(project)
            .map_err(|error| rejected(&error.to_string()))?;
        let host = self.endpoint.project_host(project);
        Ok(Call::at(Service::Sls, operation, method, &connect, host, path).on(target.clone()))
    }
}

/// The fields of an index: those of type text, and the types of the others. A field of type `json` has fields of its own.
fn fields(keys: &BTreeMap<String, Value>) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let (mut texts, mut others) = (BTreeSet::new(), BTreeMap::new());
    let mut add = |name: String, key: &Value| match key.get("type").and_then(Value::as_str) {
        Some("text") => {
            texts.insert(name);
        }
        other => {
            others.insert(name, legible(other.unwrap_or("unknown"), 32));
        }
    };
    for (name, key) in keys {
        add(name.clone(), key);
        let nested = key.get("json_keys").and_then(Value::as_object);
        for (inner, key) in nested.into_iter().flatten() {
            add(format!("{name}.{inner}"), key);
        }
    }
    (texts, others)
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

fn progress_header(answer: &Answer) -> Option<Progress> {
    answer.headers.get("x-log-progress")?.to_str().ok().map(Progress::read)
}

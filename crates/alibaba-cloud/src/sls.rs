//! Simple Log Service: searches a logstore, and says what makes an absence of hits believable.
//!
//! Every project has a host of its own, which is signed; see [`SlsEndpoint`]. Inside a VPC the service has two names, of which one is missing in
//! some places: where the first gives no connection, the other is tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    answer::legible,
    call::{Call, failure, path},
    client::Client,
    endpoints::SlsEndpoint,
    error::{ApiError, ErrorKind, Service},
    patience::pauses,
    transport::Answer,
};

/// Simple Log Service.
#[derive(Clone, Debug)]
pub struct Sls {
    client: Client,
    endpoint: SlsEndpoint,
    learnt: Arc<Learnt>,
}

/// What the first calls have shown of this region's service.
#[derive(Debug, Default)]
struct Learnt {
    /// Only the other name of the service answers.
    other_name: AtomicBool,
    /// Histograms are served at the documented path only.
    documented_path: AtomicBool,
}

/// What a logstore keeps, and since when. Source: API page `GetLogStore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logstore {
    /// Records are kept so many days, if the service says so.
    pub ttl_days: Option<u32>,
    /// When the logstore was made, in seconds since 1970, if the service says so: older answers do not.
    pub created_at: Option<i64>,
}

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
    #[serde(default)]
    logstore_name: Option<String>,
    #[serde(default)]
    ttl: Option<u32>,
    #[serde(default)]
    create_time: Option<i64>,
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
    pub(super) fn new(client: Client, endpoint: SlsEndpoint) -> Self {
        Sls {
            client,
            endpoint,
            learnt: Arc::default(),
        }
    }

    /// A logstore's settings. Needs `log:GetLogStore`.
    ///
    /// # Errors
    /// Any [`ApiError`]; `NotFound` if the project or the logstore does not exist (`ProjectNotExist`,
    /// `LogStoreNotExist`).
    pub async fn get_logstore(&self, project: &str, logstore: &str) -> Result<Logstore, ApiError> {
        let mut call = self.call("GetLogStore", Method::GET, project, logstore, ["logstores", logstore])?;
        let answer = self.send(&mut call, project).await?;
        let raw: RawLogstore = call.json(&answer)?;
        if raw.logstore_name.is_none() && raw.ttl.is_none() {
            return Err(call.malformed(&answer, "it describes no logstore"));
        }
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

    /// Counts the matching records over time, `from` inclusive, `to` exclusive, in seconds since 1970. Needs
    /// `log:GetLogStoreHistogram`.
    ///
    /// Asked at `/logstores/<logstore>`, as both official log SDKs do every day: of the two paths it is the one that is known to be served
    /// everywhere. Where it is not, at `/logstores/<logstore>/index`, which the page of API 2020-12-30 documents, from then on.
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
        let query = [
            ("type", "histogram".into()),
            ("from", from.to_string()),
            ("to", to.to_string()),
            ("query", query.to_owned()),
        ];
        let documented = self.learnt.documented_path.load(Relaxed);
        let asked = self.histograms_at(documented, project, logstore, query.clone()).await;
        if let Err(error) = &asked
            && !documented
            && is_no_such_path(error)
        {
            let found = self.histograms_at(true, project, logstore, query).await?;
            self.learnt.documented_path.store(true, Relaxed);
            return Ok(found);
        }
        asked
    }

    /// Asks at the path that the API's page documents, or at the one that the official log SDKs ask.
    async fn histograms_at(
        &self,
        documented: bool,
        project: &str,
        logstore: &str,
        query: [(&'static str, String); 4],
    ) -> Result<Histograms, ApiError> {
        let (operation, method) = ("GetHistograms", Method::GET);
        let mut call = match documented {
            true => self.call(operation, method, project, logstore, ["logstores", logstore, "index"])?,
            false => self.call(operation, method, project, logstore, ["logstores", logstore])?,
        };
        call.query = query.into();
        let answer = self.send(&mut call, project).await?;
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
        let answer = self.send(&mut call, project).await?;
        let RawLogs { meta, data } = call.json(&answer)?;
        let data = data.unwrap_or_default();
        if (data.len() as u64) < meta.count {
            let message = format!("it counts {} records but contains {}", meta.count, data.len());
            return Err(call.malformed(&answer, &message));
        }
        Ok(Logs {
            complete: Progress::read(&meta.progress) == Progress::Complete,
            count: meta.count,
            rows: data,
        })
    }

    /// The pauses to make before the repeats of a request whose answer is incomplete; after the last, it counts as one that SLS does not finish.
    pub fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        pauses(self.client.timeouts().unfinished)
    }

    /// Whether the endpoint of a project answers at all, under either of its names, and its URL; unsigned, so that the credentials are no
    /// matter.
    ///
    /// # Errors
    /// When nothing answers, or the project's name makes no host name.
    pub async fn reach(&self, project: &str) -> Result<String, ApiError> {
        let first = self.reach_at(&self.endpoint, project).await;
        match (first, self.endpoint.other()) {
            (Err(error), Some(other)) => self.reach_at(&other, project).await.map_err(|_| error),
            (first, _) => first,
        }
    }

    async fn reach_at(&self, endpoint: &SlsEndpoint, project: &str) -> Result<String, ApiError> {
        let connect = endpoint.connect(project).map_err(|error| {
            failure(
                Service::Sls,
                "endpoint",
                project,
                ErrorKind::Rejected,
                &error.to_string(),
            )
        })?;
        let host = endpoint.project_host(project);
        self.client.reach(Service::Sls, &connect, host).await
    }

    /// Sends a call, which only reads; where there is no connection, again to the other name of the service, if it has one. The name that
    /// answers is kept.
    async fn send(&self, call: &mut Call, project: &str) -> Result<Answer, ApiError> {
        let Some(other) = self.endpoint.other() else {
            return self.client.send(call).await;
        };
        let knows_other = self.learnt.other_name.load(Relaxed);
        let (first, second) = if knows_other {
            (&other, &self.endpoint)
        } else {
            (&self.endpoint, &other)
        };
        let failed = match self.send_to(first, call, project).await {
            Err(error) if error.kind == ErrorKind::Connection && error.status.is_none() => error,
            answer => return answer,
        };
        match self.send_to(second, call, project).await {
            Err(error) if error.status.is_none() => Err(failed),
            answer => {
                self.learnt.other_name.store(!knows_other, Relaxed);
                answer
            }
        }
    }

    async fn send_to(&self, endpoint: &SlsEndpoint, call: &mut Call, project: &str) -> Result<Answer, ApiError> {
        let connect = endpoint.connect(project);
        call.connect = connect.map_err(|error| call.error(ErrorKind::Rejected, &error.to_string()))?;
        call.host = endpoint.project_host(project);
        self.client.send(call).await
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
            return Err(rejected("this is not the name of an SLS project"));
        }
        let path = path(segments).ok_or_else(|| rejected("this is not the name of a logstore"))?;
        let connect = self
            .endpoint
            .connect(project)
            .map_err(|error| rejected(&error.to_string()))?;
        let host = self.endpoint.project_host(project);
        Ok(Call::at(Service::Sls, operation, method, &connect, host, path).on(target.clone()))
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

/// Whether an error says nothing about what was asked for: the service does not know the path.
fn is_no_such_path(error: &ApiError) -> bool {
    let answered = error.status.is_some_and(|status| (400..500).contains(&status));
    let kinds = [ErrorKind::NotFound, ErrorKind::Rejected, ErrorKind::Malformed];
    answered && kinds.contains(&error.kind) && error.known().is_none()
}

fn progress_header(answer: &Answer) -> Option<Progress> {
    answer.headers.get("x-log-progress")?.to_str().ok().map(Progress::read)
}

#[cfg(test)]
mod tests;

//! Searches for records.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Progress, Sls};
use crate::error::{ApiError, ErrorKind};

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
}

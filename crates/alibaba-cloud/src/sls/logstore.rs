//! How long a logstore keeps its records.

use http::Method;
use serde::Deserialize;

use super::Sls;
use crate::error::ApiError;

/// What a logstore keeps, and since when. Source: API page `GetLogStore`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logstore {
    /// Records are kept so many days, if the service says so.
    pub ttl_days: Option<u32>,
    /// When the logstore was made, in seconds since 1970, if the service says so: older answers do not.
    pub created_at: Option<i64>,
}

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

impl Sls {
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
}

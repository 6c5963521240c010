//! Counts over time.

use std::sync::atomic::Ordering::Relaxed;

use http::Method;
use serde::Deserialize;

use super::{Progress, Sls};
use crate::{
    error::{ApiError, ErrorKind},
    transport::Answer,
};

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

#[derive(Deserialize)]
struct RawBucket {
    from: i64,
    to: i64,
    count: u64,
    progress: String,
}

impl Sls {
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

//! Searches the audit log for requests of the identity.
//!
//! Exact terms are the evidence: the UID, and every name under which it is known to be bound (`-` is no delimiter of
//! SLS, so a search for the bare UID does not find `<uid>-<seconds>`). A wildcard is sampled by SLS over at most 100
//! words: it may add a hit, and proves nothing by finding none.

use super::{
    Doubt, Place, Window,
    record::{self, AUTHORIZATION, Hit, IMPERSONATED, USERNAME},
};
use crate::{
    alibaba::sls::{Index, LogQuery, Logs},
    api::Reason,
    offboarding::context::Context,
    rbac::subject::{self, UidKey},
    uid::Uid,
};
use futures::StreamExt;
use std::{collections::BTreeSet, time::Duration};

/// Rows of a page: the most that SLS returns.
const PAGE: u32 = 100;
/// Pages of one query that are read in search of a decisive row.
const MAX_PAGES: u32 = 20;
/// Queries at a time.
const PARALLEL: usize = 8;
/// Names in one query: SLS takes at most 30 conditions.
const NAMES_IN_A_QUERY: usize = 20;
/// Tries for a complete answer, and the pause between them (the official SDK: 5 tries, 0.5 s).
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// Whether a query's empty answer is evidence.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    Exact,
    Sampled,
}

/// One question to SLS.
struct Search {
    query: String,
    evidence: Evidence,
    /// The one field that it searches; all of them if there is none.
    field: Option<&'static str>,
}

/// The latest request of the identity in the window.
///
/// # Errors
/// When a query without a hit was not answered completely, or could not be read to its end.
pub async fn latest(
    ctx: &Context,
    place: &Place,
    index: &Index,
    uid: &Uid,
    names: &BTreeSet<&str>,
    window: Window,
) -> Result<Option<Hit>, Doubt> {
    let mut latest: Option<Hit> = None;
    let mut doubt = None;
    let searches = queries(index, uid, names).into_iter().map(|search| async move {
        (
            run(ctx, place, &search, subject::key(uid), window).await,
            search.evidence,
        )
    });
    // An identity that was bound under thousands of names is asked for in hundreds of queries.
    let mut outcomes = futures::stream::iter(searches).buffered(PARALLEL);
    while let Some((outcome, evidence)) = outcomes.next().await {
        match outcome {
            Ok(Some(hit)) if latest.as_ref().is_none_or(|l| hit.time > l.time) => latest = Some(hit),
            Ok(_) => {}
            Err(problem) if evidence == Evidence::Exact => doubt = Some(problem),
            Err(problem) => {
                tracing::debug!(message = %problem.message, "a sampled search failed; it would have proved nothing")
            }
        }
    }
    match (latest, doubt) {
        (Some(hit), _) => Ok(Some(hit)),
        (None, Some(doubt)) => Err(doubt),
        (None, None) => Ok(None),
    }
}

/// The queries for an identity. Each names one field only: a query with a field that is not indexed fails as a whole.
fn queries(index: &Index, uid: &Uid, names: &BTreeSet<&str>) -> Vec<Search> {
    let mut all: BTreeSet<&str> = names.clone();
    all.insert(uid.as_str());
    let all: Vec<&str> = all.into_iter().collect();
    let mut queries = Vec::new();
    for names in all.chunks(NAMES_IN_A_QUERY) {
        let any = |field: &str| {
            names
                .iter()
                .map(|name| format!("{field}\"{name}\""))
                .collect::<Vec<_>>()
                .join(" or ")
        };
        for field in [USERNAME, IMPERSONATED, AUTHORIZATION] {
            if index.keys.contains(field) {
                queries.push(Search {
                    query: any(&format!("{field}: ")),
                    evidence: Evidence::Exact,
                    field: Some(field),
                });
            }
        }
        // Full text finds whatever mentions the identity, edits of its bindings included: only where it must.
        let all_indexed = [IMPERSONATED, AUTHORIZATION]
            .iter()
            .all(|field| index.keys.contains(*field));
        if index.full_text && !all_indexed {
            queries.push(Search {
                query: any(""),
                evidence: Evidence::Exact,
                field: None,
            });
        }
    }
    queries.push(Search {
        query: format!("{USERNAME}: {uid}-*"),
        evidence: Evidence::Sampled,
        field: Some(USERNAME),
    });
    queries
}

/// Pages through a query, newest first, until a row is a request of the identity.
async fn run(ctx: &Context, place: &Place, search: &Search, uid: UidKey, window: Window) -> Result<Option<Hit>, Doubt> {
    let mut offset = 0;
    for _ in 0..MAX_PAGES {
        let page = LogQuery {
            from: window.from,
            to: window.to,
            query: search.query.clone(),
            line: PAGE,
            offset,
            reverse: true,
        };
        let logs = complete(ctx, place, &page, uid, window).await?;
        if let Some(hit) = newest(&logs, uid, window) {
            return Ok(Some(hit));
        }
        if logs.rows.len() < PAGE as usize {
            return Ok(None);
        }
        offset += u64::from(PAGE);
    }
    let newest = PAGE * MAX_PAGES;
    let message = match search.field {
        Some(field) => format!(
            "the newest {newest} records of logstore {} with its name in {field} are no requests of it, and there may be more. \
             Look at the rest in the SLS console.",
            place.logstore
        ),
        None => format!(
            "the newest {newest} records of logstore {} that mention it anywhere are no requests of it, and there may be more. \
             Look at the rest in the SLS console; with {IMPERSONATED} and {AUTHORIZATION} in the logstore's index only these \
             fields would be searched.",
            place.logstore
        ),
    };
    Err(Doubt::new(Reason::TooManyRecords, message))
}

/// An answer that SLS calls complete, or an incomplete one that holds a hit: that is proof already.
async fn complete(ctx: &Context, place: &Place, query: &LogQuery, uid: UidKey, window: Window) -> Result<Logs, Doubt> {
    for attempt in 1..=TRIES {
        let logs = ctx.cloud.sls.get_logs(&place.project, &place.logstore, query).await?;
        if logs.complete || newest(&logs, uid, window).is_some() {
            return Ok(logs);
        }
        if attempt < TRIES {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(Doubt::new(
        Reason::ResultIncomplete,
        format!(
            "SLS did not finish a search of the window in {TRIES} tries. If this goes on, set a smaller windowDays."
        ),
    ))
}

/// The newest request of the identity on a page: SLS orders to the minute only.
fn newest(logs: &Logs, uid: UidKey, window: Window) -> Option<Hit> {
    logs.rows
        .iter()
        .filter_map(|row| record::hit(row, uid, window))
        .max_by_key(|hit| hit.time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(full_text: bool, keys: &[&str]) -> Index {
        Index {
            full_text,
            keys: keys.iter().map(|k| (*k).to_owned()).collect(),
            changed_at: None,
        }
    }

    #[test]
    fn every_indexed_field_is_searched_for_every_name() {
        let uid = "100".parse().unwrap();
        let found = queries(
            &index(true, &[USERNAME, AUTHORIZATION]),
            &uid,
            &BTreeSet::from(["100-17"]),
        );
        let texts: Vec<_> = found.iter().map(|search| search.query.as_str()).collect();
        assert_eq!(
            texts,
            [
                "user.username: \"100\" or user.username: \"100-17\"",
                "annotations.authorization.k8s.io/reason: \"100\" or annotations.authorization.k8s.io/reason: \"100-17\"",
                "\"100\" or \"100-17\"",
                "user.username: 100-*",
            ]
        );
        assert!(
            found
                .iter()
                .filter(|search| search.evidence == Evidence::Sampled)
                .count()
                == 1
        );
    }

    #[test]
    fn no_query_has_more_conditions_than_sls_takes() {
        let uid = "100".parse().unwrap();
        let names: Vec<String> = (0..95).map(|i| format!("100-{i}")).collect();
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let found = queries(&index(false, &[USERNAME]), &uid, &names);
        let found: Vec<_> = found.into_iter().map(|search| search.query).collect();
        assert!(found.iter().all(|query| query.matches("user.username").count() <= 30));
        assert!(
            names
                .iter()
                .all(|name| found.iter().any(|query| query.contains(&format!("\"{name}\""))))
        );
    }
}

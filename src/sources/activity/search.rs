//! Searches the audit log for requests of the identity.
//!
//! What is asked for, and what it proves:
//! - **Exact names**: the UID, and the names under which it is known to be bound (`-` is no delimiter of SLS, so a search for the
//!   bare UID does not find `<uid>-<seconds>`). That they find nothing is evidence.
//! - **Starts**, `<uid>-*`: finds names that no binding has. SLS looks at 100 words at most that begin so, of the whole log: what it
//!   finds is proof, and that it finds nothing proves nothing.
//! - **More names than [`EXACT_NAMES`]** are not asked for one by one: whoever may create bindings would decide how many searches
//!   there are. The newest are; for the others it is their common starts, as narrow as [`CONDITIONS`] of them can be
//!   (`<uid>-170*`, `<uid>-171*`, …), and that *these* find and count nothing is the evidence. It is weaker: if the log has requests
//!   under more than 100 names with one of these starts, SLS may leave out the one that matters. Each of these was a request of
//!   the identity itself, within the log's retention. Of a binding with more than a thousand names not all are known: then the
//!   start of all, `<uid>-*`, is among them, in every field.
//!
//! Every search is counted by a histogram of the same query, which must not count more than the search returns.

use super::{
    audit_event::{self, AUTHORIZATION, Hit, IMPERSONATED, Reading, USERNAME, Whose},
    audit_log::AuditLog,
    histogram,
    window::{Inconclusive, LogstoreRef, Window},
};
use crate::api::Reason;
use alibaba_cloud::Uid;
use alibaba_cloud::sls::{Index, LogQuery, Logs, Unfinished};
use futures::StreamExt;
use std::collections::BTreeSet;

/// Rows of a page: the most that SLS returns.
const PAGE: u32 = 100;
/// Pages of one query that are read in search of a decisive row.
const MAX_PAGES: u32 = 20;
const PARALLEL: usize = 8;
/// Names in one query: SLS takes at most 30 conditions.
pub(super) const CONDITIONS: usize = 20;
/// Names that are asked for one by one, in each field.
const EXACT_NAMES: usize = 5 * CONDITIONS;
/// The longest word that SLS takes in a search with a wildcard.
const WORD: usize = 64;

/// What is asked of the log.
pub(super) struct Asked<'a> {
    pub place: &'a LogstoreRef,
    pub index: &'a Index,
    pub uid: Uid,
    pub whose: Whose,
    /// The names that the identity is known to have.
    pub names: BTreeSet<&'a str>,
    /// Whether it has more: of a binding with thousands of them, not all are kept.
    pub has_more_names: bool,
    /// The window in which an absence is claimed.
    pub window: Window,
    /// Until when a request counts: what another clock calls the future included.
    pub until: i64,
}

struct Search {
    query: String,
    /// The one field that it searches; all of them if there is none.
    field: Option<&'static str>,
}

enum Found {
    Hit(Hit),
    /// So many rows, none of them a request of the identity.
    Nothing {
        rows: u64,
    },
}

impl Asked<'_> {
    /// The latest request of the identity in the window.
    ///
    /// # Errors
    /// When there is no hit, and a search, by exact names or not, was not answered completely, could not be read to its end, or
    /// returned less than there is.
    pub(super) async fn latest(&self, log: &AuditLog) -> Result<Option<Hit>, Inconclusive> {
        let (mut latest, mut doubt): (Option<Hit>, _) = (None, None);
        let searches = queries(self.index, self.uid, &self.names, self.has_more_names).into_iter();
        let searches = searches.map(|search| async move { self.run(log, &search).await });
        let mut outcomes = futures::stream::iter(searches).buffered(PARALLEL);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(Some(hit)) if latest.as_ref().is_none_or(|l| hit.time > l.time) => latest = Some(hit),
                Ok(_) => {}
                Err(problem) => doubt = doubt.or(Some(problem)),
            }
        }
        match (latest, doubt) {
            (Some(hit), _) => Ok(Some(hit)),
            (None, Some(doubt)) => Err(doubt),
            (None, None) => Ok(None),
        }
    }

    /// The names that are asked for one by one, quoted: the UID, then the others in their order.
    pub(super) fn terms(&self) -> Vec<String> {
        Terms::of(self.uid, &self.names, self.has_more_names).exact
    }

    /// Counts what a query finds, then looks through it. In this order: what is written in between is in the rows, and not in the
    /// count.
    async fn run(&self, log: &AuditLog, search: &Search) -> Result<Option<Hit>, Inconclusive> {
        let Window { from, to } = self.window;
        let counted = histogram::total(log, self.place, from, to, &search.query).await;
        let rows = match self.look_through(log, search).await? {
            Found::Hit(hit) => return Ok(Some(hit)),
            Found::Nothing { rows } => rows,
        };
        let counted = counted?;
        if rows < counted {
            return Err(histogram::inconsistent(format!(
                "SLS counts more records ({counted}) in logstore {} {} than it returns ({rows})",
                self.place.logstore,
                search.described()
            )));
        }
        Ok(None)
    }

    /// Pages through a query, newest first, until a row is a request of the identity.
    async fn look_through(&self, log: &AuditLog, search: &Search) -> Result<Found, Inconclusive> {
        let mut unreadable = None;
        let mut offset = 0;
        for _ in 0..MAX_PAGES {
            let page = LogQuery {
                from: self.window.from,
                to: self.until,
                query: search.query.clone(),
                line: PAGE,
                offset,
                reverse: true,
            };
            let logs = self.complete(log, &page).await?;
            let page = self.read(&logs);
            if let Some(hit) = page.newest {
                return Ok(Found::Hit(hit));
            }
            unreadable = unreadable.or(page.unreadable);
            offset += logs.rows.len() as u64;
            if logs.rows.len() < PAGE as usize {
                return match unreadable {
                    Some(why) => Err(self.unreadable(search, &why)),
                    None => Ok(Found::Nothing { rows: offset }),
                };
            }
        }
        if let Some(why) = unreadable {
            return Err(self.unreadable(search, &why));
        }
        let newest = PAGE * MAX_PAGES;
        let hint = match search.field {
            Some(_) => "in the SLS console.".to_owned(),
            None => format!(
                "in the SLS console. If the logstore's index included {IMPERSONATED} and {AUTHORIZATION}, the operator would \
                 search only these fields."
            ),
        };
        Err(Inconclusive::new(
            Reason::TooManyRecords,
            format!(
                "the operator read the newest {newest} records in logstore {} {}. None is a request made by the UID, but older \
                 records may be. Look at the older ones {hint}",
                self.place.logstore,
                search.described()
            ),
        ))
    }

    fn unreadable(&self, search: &Search, why: &str) -> Inconclusive {
        Inconclusive::new(
            Reason::RecordUnreadable,
            format!(
                "a record in logstore {} {} cannot be read: {why}. It may be a request made by the UID. Compare it in the SLS \
                 console with the fields of ACK's audit log, and fix the collector's configuration.",
                self.place.logstore,
                search.described()
            ),
        )
    }

    /// An answer that SLS calls complete, or an incomplete one that holds a hit: that is proof already.
    async fn complete(&self, log: &AuditLog, query: &LogQuery) -> Result<Logs, Inconclusive> {
        let LogstoreRef { project, logstore } = self.place;
        let sls = log.sls();
        let ask = || sls.get_logs(project, logstore, query);
        let is_enough = |logs: &Logs| logs.complete || self.read(logs).newest.is_some();
        let asked = sls.until_complete(ask, is_enough).await?;
        asked.map_err(|Unfinished { attempts }| {
            Inconclusive::new(
                Reason::ResultIncomplete,
                format!(
                    "SLS did not finish a search of the window in {attempts} attempts. If this persists, set a smaller windowDays."
                ),
            )
        })
    }

    fn read(&self, logs: &Logs) -> Page {
        let counts = Window {
            to: self.until,
            ..self.window
        };
        let mut page = Page::default();
        for row in &logs.rows {
            match audit_event::read(row, &self.whose, counts) {
                // SLS orders to the minute only.
                Reading::Hit(hit) if page.newest.as_ref().is_none_or(|newest| hit.time > newest.time) => {
                    page.newest = Some(*hit);
                }
                Reading::Unreadable(why) => page.unreadable = page.unreadable.or(Some(why)),
                Reading::Hit(_) | Reading::Other => {}
            }
        }
        page
    }
}

#[derive(Default)]
struct Page {
    newest: Option<Hit>,
    unreadable: Option<String>,
}

impl Search {
    /// What it finds, after "records of logstore L".
    fn described(&self) -> String {
        match self.field {
            Some(field) => format!("with the UID's name in {field}"),
            None => "that mention the UID".to_owned(),
        }
    }
}

/// The queries for an identity. Each names one field only: a query with a field that is not indexed fails as a whole.
fn queries(index: &Index, uid: Uid, names: &BTreeSet<&str>, has_more_names: bool) -> Vec<Search> {
    let terms = Terms::of(uid, names, has_more_names);
    let mut queries = Vec::new();
    // Full text finds whatever mentions the identity, edits of its bindings included: only where it must.
    let all_indexed = [IMPERSONATED, AUTHORIZATION]
        .iter()
        .all(|field| index.finds_text(field));
    let fields = [USERNAME, IMPERSONATED, AUTHORIZATION]
        .into_iter()
        .filter(|field| index.finds_text(field))
        .map(Some);
    let anywhere = (index.full_text && !all_indexed).then_some(None);
    for field in fields.chain(anywhere) {
        let mut ask = |terms: &[String]| {
            let prefix = field.map(|field| format!("{field}: ")).unwrap_or_default();
            let terms: Vec<_> = terms.iter().map(|term| format!("{prefix}{term}")).collect();
            let query = terms.join(" or ");
            queries.push(Search { query, field });
        };
        terms.exact.chunks(CONDITIONS).for_each(&mut ask);
        if !terms.starts.is_empty() {
            ask(&terms.starts);
        }
        // Whom an authorizer's reason names is bound by that name.
        if [Some(USERNAME), Some(IMPERSONATED)].contains(&field) {
            ask(&[format!("{uid}-*")]);
        }
    }
    queries
}

/// What names are asked for.
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    /// Whole names, quoted. At most [`EXACT_NAMES`].
    exact: Vec<String>,
    /// Starts of the other names, each with a wildcard. At most [`CONDITIONS`]; with names that are not known, the start of all.
    starts: Vec<String>,
}

impl Terms {
    fn of(uid: Uid, names: &BTreeSet<&str>, has_more_names: bool) -> Self {
        let uid = uid.to_string();
        let of_all = format!("{uid}-");
        let mut whole: Vec<&str> = Vec::new();
        let mut rest: Vec<&str> = Vec::new();
        for name in names.iter().filter(|name| **name != uid) {
            match word(name) {
                word if word.len() == name.len() => whole.push(name),
                word => rest.push(word),
            }
        }
        // Of names that end in seconds, the newest come first.
        whole.sort_unstable_by_key(|name| std::cmp::Reverse((name.len(), *name)));
        rest.extend(whole.split_off(whole.len().min(EXACT_NAMES - 1)));
        whole.sort_unstable();
        rest.extend(has_more_names.then_some(of_all.as_str()));
        let exact = std::iter::once(uid.as_str()).chain(whole);
        Terms {
            exact: exact.map(|name| format!("\"{name}\"")).collect(),
            starts: starts(&rest).into_iter().map(|start| format!("{start}*")).collect(),
        }
    }
}

/// The start of a name that is a word for SLS whatever its delimiters, and needs no quotes: all of it, mostly.
fn word(name: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = name.find(|c| !plain(c)).unwrap_or(name.len());
    // Its last character may be the wildcard.
    name.get(..end.min(WORD - 1)).unwrap_or(name)
}

/// Starts of these names, one of which each name has: the longest of one length of which there are no more than
/// [`CONDITIONS`].
fn starts<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    let of_length =
        |length: usize| -> BTreeSet<&'a str> { names.iter().map(|name| name.get(..length).unwrap_or(name)).collect() };
    let mut starts = BTreeSet::new();
    for length in 1..WORD {
        let longer = of_length(length);
        if longer.len() > CONDITIONS {
            break;
        }
        starts = longer;
    }
    starts
}

#[cfg(test)]
mod tests;

//! When was everybody last seen? One analytics query over the window, for whoever looks at all of a cluster's identities at once.
//!
//! SLS takes the UID out of the three fields that name a user, as [`audit_event`](super::audit_event) does of a single record, and
//! groups by it: an identity is a row or two, however many names its certificates have had, and no name is part of the query.
//!
//! What a row says is proof of a request. That there is no row for an identity proves that it made none only if nothing is amiss: see
//! [`LastSeen::doubt`].

use super::{
    CLOCK_SKEW, INDEXING_LAG,
    audit_event::{AUTHORIZATION, IMPERSONATED, USERNAME},
    audit_log::AuditLog,
    coverage,
    window::{Inconclusive, LogstoreRef, Window, missing_or},
};
use crate::api::Reason;
use alibaba_cloud::{
    Uid,
    sls::{Index, LogQuery, Logs, Row, Unfinished},
};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// Rows that SLS is asked for: it returns 100 if it is not told, and a million at most. These make an answer of some five megabytes, a
/// third of what is read of one. An account has 5,000 users and 1,000 roles.
const ROWS: usize = 50_000;

/// A field that names the user of a request, and how.
struct Named {
    field: &'static str,
    /// The column of the answer.
    column: &'static str,
    /// A regular expression (RE2) whose first group is the UID. Without `|`, which ends the search part of a query.
    pattern: &'static str,
}

/// `<uid>` or `<uid>-<anything>`.
const NAME: &str = "(?s)^([1-9][0-9]{0,19})(-.*)?$";
/// `… to User "<uid>"` or `… to User "<uid>-<anything>"`.
const REASON: &str = r#"User "([1-9][0-9]{0,19})["-]"#;

const NAMED: [Named; 3] = [
    Named {
        field: USERNAME,
        column: "own_uid",
        pattern: NAME,
    },
    Named {
        field: IMPERSONATED,
        column: "borrowed_uid",
        pattern: NAME,
    },
    Named {
        field: AUTHORIZATION,
        column: "authorized_uid",
        pattern: REASON,
    },
];

/// The column with the time of the latest request.
const LATEST: &str = "latest";

/// When everybody was last seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastSeen {
    /// The latest request of each identity that made one in the window.
    pub(crate) seen: BTreeMap<Uid, Timestamp>,
    /// Why an identity that is not among those may have made a request all the same. None: then it made none.
    pub(crate) doubt: Option<Inconclusive>,
}

/// Asks the audit log when everybody was last seen in the window.
///
/// # Errors
/// When the log cannot be asked, has no analytics of user names, or does not answer completely and exactly: then nobody's latest request is
/// known.
pub(crate) async fn last_seen(log: &AuditLog, window: Window) -> Result<LastSeen, Inconclusive> {
    let place = coverage::place(log).await?;
    let coverage::Examined { index, covered } = coverage::examine(log, &place, window).await;
    let index = index?;
    let Some(query) = query(&index) else {
        return Err(without_analytics(&place, &[USERNAME]));
    };
    let query = LogQuery {
        from: window.from,
        // What SLS has already of later seconds, and of clocks that are ahead, counts: a request is proof.
        to: window.to + INDEXING_LAG + CLOCK_SKEW,
        query,
        line: 100,
        offset: 0,
        reverse: false,
    };
    let rows = whole(log, &place, &query).await?;
    let seen = read(&rows).map_err(|why| unreadable(&place, &why))?;
    let doubt = covered
        .err()
        .or_else(|| is_blind(&place, &index))
        .or_else(|| is_cut(&place, rows.len()));
    Ok(LastSeen { seen, doubt })
}

/// The rows of an answer that SLS calls complete and exact. What is neither may have a request that is not the latest.
async fn whole(log: &AuditLog, place: &LogstoreRef, query: &LogQuery) -> Result<Vec<Row>, Inconclusive> {
    let LogstoreRef { project, logstore } = place;
    let sls = log.sls();
    let ask = || sls.get_logs(project, logstore, query);
    let asked = sls.until_complete(ask, |logs: &Logs| logs.complete).await;
    let inconclusive = |message: String| Inconclusive::new(Reason::ResultIncomplete, message);
    match asked.map_err(|error| missing_or(place, error))? {
        Err(Unfinished { attempts }) => Err(inconclusive(format!(
            "SLS did not finish an analysis of logstore {logstore} in {attempts} attempts. If this persists, look back fewer days."
        ))),
        Ok(logs) if !logs.exact => Err(inconclusive(format!(
            "SLS calls its analysis of logstore {logstore} inexact: there are too many records for it. Look back fewer days."
        ))),
        Ok(logs) => Ok(logs.rows),
    }
}

/// The query; none where user names have no analytics. A search narrows the log down to what is not the cluster's own traffic, if
/// it can do so without losing a request that was made in somebody's name.
fn query(index: &Index) -> Option<String> {
    if !index.analyses_text(USERNAME) {
        return None;
    }
    let named: Vec<&Named> = NAMED.iter().filter(|named| index.analyses_text(named.field)).collect();
    let search = match index.finds_text(IMPERSONATED) {
        true => format!("(not {USERNAME}: system) or {IMPERSONATED}: *"),
        false => "*".to_owned(),
    };
    let taken = |named: &Named| format!(r#"regexp_extract("{}", '{}', 1)"#, named.field, named.pattern);
    let columns: Vec<String> = named
        .iter()
        .map(|named| format!("{} AS {}", taken(named), named.column))
        .collect();
    // Not by the columns' names, which Presto does not know there.
    let keys: Vec<String> = named.iter().map(|named| taken(named)).collect();
    Some(format!(
        "{search} | SELECT {}, max(__time__) AS {LATEST} FROM log GROUP BY {} ORDER BY {LATEST} DESC LIMIT {ROWS}",
        columns.join(", "),
        keys.join(", ")
    ))
}

/// The latest request of each identity. A request may be one of several: of who made it, and of in whose name.
fn read(rows: &[Row]) -> Result<BTreeMap<Uid, Timestamp>, String> {
    let mut seen = BTreeMap::new();
    for row in rows {
        let uids: Vec<Uid> = NAMED
            .iter()
            .filter_map(|named| uid(row, named.column).transpose())
            .collect::<Result<_, _>>()?;
        // The cluster's own traffic is one row of nobody.
        if uids.is_empty() {
            continue;
        }
        let latest = time(row)?;
        for uid in uids {
            let known = seen.entry(uid).or_insert(latest);
            *known = latest.max(*known);
        }
    }
    Ok(seen)
}

/// SLS writes null as text.
fn uid(row: &Row, column: &str) -> Result<Option<Uid>, String> {
    match row.get(column) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() || text == "null" => Ok(None),
        Some(Value::String(text)) => match text.parse() {
            Ok(uid) => Ok(Some(uid)),
            Err(_) => Err(format!("its {column} is no UID")),
        },
        Some(_) => Err(format!("its {column} is not text")),
    }
}

fn time(row: &Row) -> Result<Timestamp, String> {
    let second = match row.get(LATEST) {
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_i64(),
        None => None,
    };
    let time = second.and_then(|second| Timestamp::from_second(second).ok());
    time.ok_or_else(|| format!("its {LATEST} is not a time in seconds"))
}

fn is_blind(place: &LogstoreRef, index: &Index) -> Option<Inconclusive> {
    let blind: Vec<&str> = NAMED
        .iter()
        .map(|named| named.field)
        .filter(|field| !index.analyses_text(field))
        .collect();
    (!blind.is_empty()).then(|| without_analytics(place, &blind))
}

fn is_cut(place: &LogstoreRef, rows: usize) -> Option<Inconclusive> {
    (rows >= ROWS).then(|| {
        Inconclusive::new(
            Reason::TooManyRecords,
            format!(
                "requests in logstore {} name more identities than the {ROWS} that the operator reads. The latest are known; older ones \
                 may be missing. Look back fewer days.",
                place.logstore
            ),
        )
    })
}

fn without_analytics(place: &LogstoreRef, fields: &[&str]) -> Inconclusive {
    Inconclusive::new(
        Reason::FieldNotIndexed,
        format!(
            "the index of logstore {} has no analytics for {}. Enable analytics for it in the SLS console. SLS applies this only to records \
             written after that.",
            place.logstore,
            fields.join(", ")
        ),
    )
}

fn unreadable(place: &LogstoreRef, why: &str) -> Inconclusive {
    Inconclusive::new(
        Reason::RecordUnreadable,
        format!(
            "a row of SLS' analysis of logstore {} cannot be read: {why}.",
            place.logstore
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;

    /// The query over a log with all three fields. The conformance run and the simulator's tests ask it.
    const QUERY: &str = include_str!("../../../e2e/conformance/last-seen.sls");

    fn index(without_index: &[&str], without_analytics: &[&str]) -> Index {
        let keys = NAMED.iter().map(|named| named.field.to_owned());
        Index {
            full_text: true,
            keys: keys.filter(|key| !without_index.contains(&key.as_str())).collect(),
            json_texts: BTreeMap::new(),
            other_types: BTreeMap::new(),
            without_analytics: without_analytics.iter().map(|field| (*field).to_owned()).collect(),
            changed_at: None,
        }
    }

    fn row(own: &str, borrowed: &str, authorized: &str, latest: &str) -> Row {
        let fields = [
            ("own_uid", own),
            ("borrowed_uid", borrowed),
            ("authorized_uid", authorized),
            ("latest", latest),
        ];
        fields.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_query_is_the_one_that_the_official_sdk_asks_in_the_conformance_run() {
        let query = query(&index(&[], &[])).unwrap();
        assert_eq!(query, QUERY.trim_end());
        assert_eq!(
            query.matches('|').count(),
            1,
            "what is behind a second one would be another statement"
        );
    }

    #[test]
    fn a_field_without_analytics_is_left_out_of_the_query_and_leaves_a_doubt() {
        let place = LogstoreRef {
            project: "p".into(),
            logstore: "audit-c1".into(),
        };
        let blind = |index: &Index| is_blind(&place, index).map(|doubt| (doubt.reason, doubt.message));
        assert_eq!(blind(&index(&[], &[])), None);
        let partly = index(&[], &[AUTHORIZATION]);
        let query_of = query(&partly).unwrap();
        assert!(
            !query_of.contains(AUTHORIZATION) && query_of.contains(IMPERSONATED),
            "{query_of}"
        );
        let (reason, message) = blind(&partly).unwrap();
        assert_eq!(reason, Reason::FieldNotIndexed);
        assert!(
            message.contains(&format!("no analytics for {AUTHORIZATION}.")),
            "{message}"
        );

        let unsearchable = query(&index(&[IMPERSONATED], &[])).unwrap();
        assert!(
            unsearchable.starts_with("* | "),
            "a field without an index must not be named: {unsearchable}"
        );
        assert!(!unsearchable.contains(IMPERSONATED), "{unsearchable}");
        assert_eq!(query(&index(&[], &[USERNAME])), None);
        assert_eq!(query(&index(&[USERNAME], &[])), None);
    }

    #[test]
    fn everybody_whom_a_request_names_is_seen_by_it_and_the_latest_counts() {
        let seen = read(&[
            row("null", "null", "null", "9000"),
            row("100", "null", "100", "3000"),
            row("100", "null", "null", "5000"),
            row("200", "300", "300", "4000"),
            row("null", "null", "300", "1000"),
            row("99999999999999999999", "", "null", "7"),
        ]);
        let largest = "99999999999999999999".parse().unwrap();
        let expected = [(uid(100), 5000), (uid(200), 4000), (uid(300), 4000), (largest, 7)];
        assert_eq!(seen, Ok(expected.map(|(uid, time)| (uid, at(time))).into()));
    }

    #[test]
    fn null_is_read_in_all_its_forms() {
        for own in [Some(Value::Null), Some("".into()), Some("null".into()), None] {
            let mut row = row("x", "null", "100", "5");
            match own {
                Some(own) => row.insert("own_uid".into(), own),
                None => row.remove("own_uid"),
            };
            assert_eq!(read(&[row.clone()]), Ok([(uid(100), at(5))].into()), "{row:?}");
        }
        let mut number = row("100", "null", "null", "");
        number.insert("latest".into(), 5.into());
        assert_eq!(read(&[number]), Ok([(uid(100), at(5))].into()));
        assert_eq!(read(&[Row::new()]), Ok(BTreeMap::new()), "a row of nobody");
        assert_eq!(read(&[]), Ok(BTreeMap::new()));
    }

    #[test]
    fn one_row_that_cannot_be_read_spoils_the_answer() {
        let good = row("100", "null", "null", "5");
        for bad in [
            row("100'; DROP", "null", "null", "5"),
            row("\"100\"", "null", "null", "5"),
            row("0100", "null", "null", "5"),
            row("100-17", "null", "null", "5"),
            row("200", "null", "x", "5"),
            row("200", "null", "null", "null"),
            row("200", "null", "null", "5.5"),
            row("200", "null", "null", "99999999999999999"),
            Row::from([("own_uid".to_owned(), 200.into()), ("latest".to_owned(), "5".into())]),
            Row::from([("own_uid".to_owned(), "200".into())]),
        ] {
            let read = read(&[good.clone(), bad.clone()]);
            assert!(read.as_ref().is_err_and(|why| why.len() < 80), "{bad:?}: {read:?}");
        }
    }

    #[test]
    fn a_cut_answer_is_never_taken_for_all() {
        let place = LogstoreRef {
            project: "p".into(),
            logstore: "audit-c1".into(),
        };
        assert_eq!(is_cut(&place, ROWS - 1), None);
        for rows in [ROWS, ROWS + 1] {
            let doubt = is_cut(&place, rows).unwrap();
            assert_eq!(doubt.reason, Reason::TooManyRecords);
            assert!(doubt.message.contains("50000"), "{}", doubt.message);
        }
        let many: Vec<Row> = (1..=10_000).map(|n| row(&n.to_string(), "null", "null", "5")).collect();
        assert_eq!(read(&many).map(|seen| seen.len()), Ok(10_000));
    }
}

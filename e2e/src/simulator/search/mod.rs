//! SLS's query language over audit records: tokens, not substrings.
//!
//! Values are cut into words at the index's delimiters, compared without regard to case. `-` and `.` are not delimiters,
//! so `259083957089437690-1700000000` is one word that a search for `259083957089437690` does not find, whereas
//! `system:node:x` is three. [source: SLS, "configure indexes" and "search syntax"]

mod compile;
mod parse;
mod query;
pub(crate) mod sql;
pub(crate) mod words;

pub(crate) use compile::Test;
pub(crate) use query::Query;
pub use query::QueryError;
pub(crate) use words::{DELIMITERS, Entry, Words};

use super::world::{Index, Record};

/// The two parts of `<search> | <analysis>`: what is before the first `|` outside quotation marks, and what is behind it.
pub(crate) fn split(query: &str) -> (&str, Option<&str>) {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in query.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '|' if !quoted => return (&query[..at], Some(&query[at + 1..])),
            _ => {}
        }
    }
    (query, None)
}

/// Reads a query, and checks it against the index.
pub(crate) fn parse(text: &str, index: &Index) -> Result<Query, QueryError> {
    let query = parse::parse(text)?;
    check(&query, index)?;
    Ok(query)
}

fn check(query: &Query, index: &Index) -> Result<(), QueryError> {
    match query {
        Query::All | Query::Term { field: None, .. } => Ok(()),
        // SLS indexes its reserved fields by itself.
        Query::Term { field: Some(field), .. } if field.starts_with("__") || index.keys.contains(field) => Ok(()),
        Query::Term { field: Some(field), .. } => Err(QueryError::NotIndexed(field.clone())),
        Query::And(all) | Query::Or(all) => all.iter().try_for_each(|one| check(one, index)),
        Query::Not(inner) => check(inner, index),
    }
}

/// Which of `records` the query finds; for tests of queries.
pub fn find<'a>(query: &str, records: &'a [Record], index: &Index) -> Result<Vec<&'a Record>, QueryError> {
    let query = parse(query, index)?;
    let mut words = Words::default();
    let entries: Vec<Entry> = records.iter().map(|record| words.entry(record)).collect();
    let test = Test::compile(&query, index, &words, &entries);
    Ok(records
        .iter()
        .zip(&entries)
        .filter(|(record, entry)| test.matches(record, entry))
        .map(|(record, _)| record)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "259083957089437690";

    fn records() -> Vec<Record> {
        vec![
            Record::by(UID).set("auditID", "bare"),
            Record::by(&format!("{UID}-1700000000")).set("auditID", "suffixed"),
            Record::by("system:node:cn-hangzhou.192.0.2.20").set("auditID", "node"),
            Record::from_console(UID).set("auditID", "console"),
            Record::by("kubernetes-admin")
                .requesting(
                    "delete",
                    "clusterrolebindings",
                    "",
                    &format!("{UID}-clusterrolebinding"),
                )
                .set("auditID", "about"),
        ]
    }

    fn found(query: &str, index: &Index) -> Result<String, QueryError> {
        let records = records();
        let ids: Vec<&str> = find(query, &records, index)?
            .iter()
            .filter_map(|r| r.get("auditID"))
            .collect();
        Ok(ids.join(" "))
    }

    #[test]
    fn queries_find_words_as_sls_does() {
        for (query, expected) in [
            ("", "bare suffixed node console about"),
            ("*", "bare suffixed node console about"),
            (r#"user.username: "259083957089437690""#, "bare"),
            ("user.username: 259083957089437690", "bare"),
            ("user.username:259083957089437690", "bare"),
            (r#"user.username: "259083957089437690-1700000000""#, "suffixed"),
            ("user.username: 1700000000", ""),
            ("user.username: 259083957089437690*", "bare suffixed"),
            ("user.username: 259083957089437690-17?0000000", "suffixed"),
            // Full text: the console's request names the user in the reason as a word of its own; the record about the
            // user's binding only within a longer word.
            ("259083957089437690", "bare console"),
            (r#""259083957089437690""#, "bare console"),
            ("259083957089437690-clusterrolebinding", "console about"),
            ("user.username: node", "node"),
            ("user.username: NODE", "node"),
            (r#"user.username: "system:node""#, "node"),
            (r#"user.username: "node:system""#, "node"),
            (r#"user.username: #"node:system""#, ""),
            (r#"user.username: #"system:node""#, "node"),
            ("not user.username: node", "bare suffixed console about"),
            ("verb: get not user.username: node", "bare suffixed console"),
            (
                "verb: get and not user.username: node and not user.username: kubernetes-admin",
                "bare suffixed",
            ),
            (
                "user.username: node or verb: delete and user.username: kubernetes-admin",
                "node about",
            ),
            (
                "(user.username: node or verb: delete) and user.username: kubernetes-admin",
                "about",
            ),
            ("user.username: node OR verb: delete", "node about"),
            (
                r#"annotations.authorization.k8s.io/reason: "259083957089437690""#,
                "console",
            ),
            ("objectRef.namespace: *", "bare suffixed node console"),
            ("kubectl linux", "bare suffixed node console about"),
            ("kubectl/v1.33.0", "bare suffixed node console about"),
        ] {
            assert_eq!(found(query, &Index::default()).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn queries_that_sls_refuses_are_refused() {
        let not_indexed = |field: &str| QueryError::NotIndexed(field.to_owned());
        let index = Index::default().without("impersonatedUser.username");
        for (query, expected) in [
            (
                r#"impersonatedUser.username: "1""#,
                not_indexed("impersonatedUser.username"),
            ),
            (
                r#"user.username: "1" or impersonatedUser.username: "1""#,
                not_indexed("impersonatedUser.username"),
            ),
            ("user.username: system:node:x", not_indexed("system")),
        ] {
            assert_eq!(found(query, &index), Err(expected), "{query}");
        }
        let many = vec!["a"; 31].join(" or ");
        for query in [
            "(verb: get",
            "verb:",
            "and",
            "*abc",
            "a | select 1",
            r#""open"#,
            "verb: get )",
            many.as_str(),
        ] {
            assert!(matches!(found(query, &index), Err(QueryError::Syntax(_))), "{query}");
        }
        let message = not_indexed("x").to_string();
        assert!(
            message.starts_with("key (x) is not config as key value config"),
            "{message}"
        );
    }

    #[test]
    fn a_wildcard_looks_at_a_hundred_words_only() {
        let records: Vec<Record> = (0..150)
            .map(|n| Record::by(&format!("{UID}-{}", 1_700_000_000 + n)))
            .collect();
        let found = find(&format!("user.username: {UID}*"), &records, &Index::default()).expect("a query");
        assert_eq!(found.len(), 100);
        let exact = format!("user.username: {UID}-1700000149");
        assert_eq!(
            find(&exact, &records, &Index::default()).expect("a query").len(),
            1,
            "an exact term is not sampled"
        );
    }

    #[test]
    fn without_full_text_only_indexed_fields_are_searched() {
        let index = Index {
            full_text: false,
            keys: vec!["verb".to_owned()],
            ..Index::default()
        };
        assert_eq!(found("259083957089437690", &index).as_deref(), Ok(""));
        assert_eq!(found("delete", &index).as_deref(), Ok("about"));
    }

    #[test]
    fn ten_thousand_records_are_searched_at_once() {
        let mut records = crate::simulator::world::Records::default();
        (0..10_000).for_each(|n| records.push(Record::by(&format!("user-{n}"))));
        let started = std::time::Instant::now();
        let query = parse("user.username: user-9999 or kubernetes-admin", &Index::default()).expect("a query");
        let test = Test::compile(
            &query,
            &Index::default(),
            records.words(),
            records.indexed().map(|(_, entry)| entry),
        );
        assert_eq!(
            records
                .indexed()
                .filter(|(record, entry)| test.matches(record, entry))
                .count(),
            1
        );
        // Generous: an unoptimised build on a busy machine.
        assert!(
            started.elapsed() < std::time::Duration::from_secs(1),
            "{:?}",
            started.elapsed()
        );
    }
}

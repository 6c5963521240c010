//! Everyone and everything that still uses the identity: one analytics query, for people to read. Nothing is decided by it.
//!
//! The rows of SLS hold source addresses and whole user agents. Neither leaves this module: whoever may read UserOffboardings need not
//! be an auditor. What does is the kind of client, the verb, how many addresses there are, and when.

use super::{
    audit_event::{UNKNOWN, USERNAME, Whose, client, shown},
    audit_log::AuditLog,
    search::{Asked, CONDITIONS},
};
use crate::api::{UsageRow, UsageStatus};
use alibaba_cloud::Uid;
use alibaba_cloud::sls::{LogQuery, Row};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Groups of requests that SLS is asked for.
const GROUPS: usize = 50;
/// Rows that the status shows.
const SHOWN: usize = 20;
/// Characters of a reason that are shown.
const REASON: usize = 1024;
/// How long the answer is waited for: a removal may be next.
const PATIENCE: Duration = Duration::from_secs(10);

const SOURCES: &str = "sourceIPs";
const AGENT: &str = "userAgent";
const VERB: &str = "verb";

/// Why there is no list.
pub(super) fn unavailable(why: &str) -> UsageStatus {
    UsageStatus {
        not_available: Some(why.chars().filter(|c| !c.is_control()).take(REASON).collect()),
        ..UsageStatus::default()
    }
}

/// Asks once, with no repeats for an incomplete answer.
pub(super) async fn ask(log: &AuditLog, asked: &Asked<'_>) -> UsageStatus {
    let missing: Vec<&str> = [USERNAME, SOURCES, AGENT, VERB]
        .into_iter()
        .filter(|field| !asked.index.analyses_text(field))
        .collect();
    if !missing.is_empty() {
        return unavailable(&format!(
            "the index of logstore {} has no analytics for {}. Search the log in the SLS console instead.",
            asked.place.logstore,
            missing.join(", ")
        ));
    }
    let query = LogQuery {
        from: asked.window.from,
        to: asked.until,
        query: query(&asked.terms(), asked.uid, &asked.whose.ignored),
        line: 100,
        offset: 0,
        reverse: false,
    };
    let answer = log.sls().get_logs(&asked.place.project, &asked.place.logstore, &query);
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(logs)) if logs.complete => summary(&logs.rows, &asked.whose),
        Ok(Ok(_)) => unavailable("SLS did not finish the query. The operator asks again at its next look."),
        Ok(Err(error)) => unavailable(&format!(
            "the query failed: {error}. The operator asks again at its next look."
        )),
        Err(_) => unavailable(&format!(
            "SLS did not answer the query within {} s. The operator asks again at its next look.",
            PATIENCE.as_secs()
        )),
    }
}

/// The query: a search that narrows the log down to a few records, and the analysis, which is exact. `terms` are the identity's names,
/// quoted, the UID first; of names that are not among them, the search finds those that SLS knows under the UID's start.
fn query(terms: &[String], uid: Uid, ignored: &[String]) -> String {
    // The newest names come last.
    let (first, names) = terms.split_at(terms.len().min(1));
    let newest = names
        .get(names.len().saturating_sub(CONDITIONS - 2)..)
        .unwrap_or_default();
    let starts = format!("{uid}-*");
    let search: Vec<_> = first
        .iter()
        .chain(newest)
        .chain([&starts])
        .map(|term| format!("{USERNAME}: {term}"))
        .collect();
    let others: Vec<_> = ignored
        .iter()
        .map(|name| format!("'{}'", name.replace('\'', "''")))
        .collect();
    let but = match others.is_empty() {
        true => String::new(),
        false => format!(r#" AND "{USERNAME}" NOT IN ({})"#, others.join(", ")),
    };
    format!(
        r#"{} | SELECT "{USERNAME}" AS who, "{SOURCES}" AS sources, "{AGENT}" AS agent, "{VERB}" AS action, count(*) AS requests, max(__time__) AS latest FROM log WHERE ("{USERNAME}" = '{uid}' OR "{USERNAME}" LIKE '{uid}-%'){but} GROUP BY "{USERNAME}", "{SOURCES}", "{AGENT}", "{VERB}" ORDER BY latest DESC, requests DESC LIMIT {GROUPS}"#,
        search.join(" or ")
    )
}

/// Requests of one user, with one kind of client and one verb.
#[derive(Default)]
struct Group {
    count: u64,
    sources: BTreeSet<String>,
    latest: Option<Timestamp>,
}

/// What the rows of the answer amount to.
fn summary(rows: &[Row], whose: &Whose) -> UsageStatus {
    let mut groups: BTreeMap<(String, String, String), Group> = BTreeMap::new();
    let mut sources = BTreeSet::new();
    for row in rows.iter().take(GROUPS) {
        let Some(who) = text(row, "who").filter(|who| whose.is_name(who)) else {
            continue;
        };
        let client = client(text(row, "agent").unwrap_or_default());
        let verb = text(row, "action")
            .and_then(shown)
            .unwrap_or_else(|| UNKNOWN.to_owned());
        let group = groups
            .entry((shown(who).unwrap_or_default(), client, verb))
            .or_default();
        group.count = group
            .count
            .saturating_add(number(row, "requests").and_then(|n| u64::try_from(n).ok()).unwrap_or(0));
        let latest = number(row, "latest").and_then(|second| Timestamp::from_second(second).ok());
        group.latest = group.latest.max(latest);
        if let Some(ips) = text(row, "sources") {
            let ip = first_ip(ips);
            group.sources.insert(ip.clone());
            sources.insert(ip);
        }
    }
    let total = groups
        .values()
        .fold(0_u64, |sum, group| sum.saturating_add(group.count));
    let last_seen = groups.values().filter_map(|group| group.latest).max().map(Time);
    let mut latest: Vec<UsageRow> = groups
        .into_iter()
        .map(|((user, client, verb), group)| UsageRow {
            user,
            client,
            verb,
            count: bounded(group.count),
            sources: group.sources.len() as u32,
            last_seen: group.latest.map(Time),
        })
        .collect();
    // Stable: where the times are equal, in the order of the names.
    latest.sort_by_key(|row| std::cmp::Reverse(row.last_seen.as_ref().map(|time| time.0)));
    let truncated = rows.len() >= GROUPS || latest.len() > SHOWN;
    latest.truncate(SHOWN);
    UsageStatus {
        not_available: None,
        total: bounded(total),
        sources: sources.len() as u32,
        last_seen,
        truncated,
        rows: latest,
    }
}

fn bounded(count: u64) -> u32 {
    // What the API calls an integer of 32 bits has a sign.
    u32::try_from(count).unwrap_or(u32::MAX).min(i32::MAX as u32)
}

/// A value, if there is one: SLS writes null as text.
fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    let text = row.get(column)?.as_str()?;
    (!text.is_empty() && text != "null").then_some(text)
}

fn number(row: &Row, column: &str) -> Option<i64> {
    match row.get(column)? {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

/// `sourceIPs` is a JSON array in a text.
fn first_ip(ips: &str) -> String {
    let list: Result<Vec<String>, _> = serde_json::from_str(ips);
    list.ok()
        .and_then(|l| l.into_iter().next())
        .unwrap_or_else(|| ips.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;

    fn row(who: &str, ip: &str, agent: &str, verb: &str, requests: &str, latest: &str) -> Row {
        let fields = [
            ("who", who),
            ("sources", ip),
            ("agent", agent),
            ("action", verb),
            ("requests", requests),
            ("latest", latest),
        ];
        fields.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect()
    }

    fn whose(ignored: &[&str]) -> Whose {
        Whose {
            uid: uid(100),
            ignored: ignored.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn rows_are_added_up_by_user_client_and_verb_the_latest_first() {
        let rows = [
            row(
                "100-17",
                r#"["192.0.2.1"]"#,
                "kubectl/v1.33.0 (linux/amd64)",
                "get",
                "3",
                "1000",
            ),
            row(
                "100-17",
                r#"["192.0.2.2","10.0.0.1"]"#,
                "kubectl/v1.32.0",
                "get",
                "4",
                "2000",
            ),
            row("100", r#"["192.0.2.2"]"#, "Terraform/1.9", "list", "5", "1500"),
            row("1001", r#"["192.0.2.9"]"#, "kubectl/v1", "get", "9", "3000"),
        ];
        let usage = summary(&rows, &whose(&[]));
        let seen: Vec<_> = usage
            .rows
            .iter()
            .map(|r| (r.user.as_str(), r.client.as_str(), r.verb.as_str(), r.count, r.sources))
            .collect();
        assert_eq!(
            seen,
            [("100-17", "kubectl", "get", 7, 2), ("100", "Terraform", "list", 5, 1)]
        );
        assert_eq!((usage.total, usage.sources, usage.truncated), (12, 2, false));
        assert_eq!(usage.last_seen.map(|time| time.0.as_second()), Some(2000));
    }

    #[test]
    fn neither_an_address_nor_a_whole_user_agent_is_shown() {
        let agents = [
            ("kubectl/v1.33.0 (linux/amd64) kubernetes/abc", "kubectl"),
            ("Go-http-client/2.0", "Go-http-client"),
            ("192.0.2.77/1", "unknown"),
            ("jane@example.com", "unknown"),
            ("", "unknown"),
            ("\u{7}kubectl", "unknown"),
            ("\u{202e}kubectl", "unknown"),
        ];
        for (agent, expected) in agents {
            assert_eq!(client(agent), expected, "{agent:?}");
        }
        assert_eq!(client(&"k".repeat(5000)), "unknown");
        let rows = [row("100", r#"["192.0.2.77"]"#, "curl/8 (secret-host)", "get", "1", "1")];
        let text = serde_json::to_string(&summary(&rows, &whose(&[]))).unwrap();
        for part in ["192.0.2.77", "secret-host", "/8"] {
            assert!(!text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn whatever_sls_returns_the_list_is_bounded() {
        let many: Vec<_> = (0..5000)
            .map(|i| {
                row(
                    "100",
                    "x",
                    "kubectl/v1",
                    &format!("verb\u{7}{i}{}", "v".repeat(9000)),
                    "9999999999999",
                    "5",
                )
            })
            .collect();
        let usage = summary(&many, &whose(&[]));
        assert_eq!((usage.rows.len(), usage.truncated), (SHOWN, true));
        assert_eq!(usage.total, i32::MAX as u32);
        for row in &usage.rows {
            assert!(
                row.verb.chars().count() <= 128 && !row.verb.contains(char::is_control),
                "{}",
                row.verb
            );
        }
        let nonsense = [
            row("100", "null", "null", "null", "-4", "99999999999999999"),
            Row::new(),
        ];
        let usage = summary(&nonsense, &whose(&[]));
        assert_eq!((usage.total, usage.sources, usage.last_seen), (0, 0, None));
        assert_eq!(
            (usage.rows[0].client.as_str(), usage.rows[0].verb.as_str()),
            ("unknown", "unknown")
        );
        assert!(unavailable(&"w".repeat(100_000)).not_available.unwrap().chars().count() <= REASON);
    }

    #[test]
    fn fifty_groups_may_be_some_of_more_and_twenty_rows_are_all() {
        let of = |groups: usize| -> Vec<Row> {
            (0..groups)
                .map(|i| row("100", &format!("192.0.2.{i}"), "kubectl/v1", "get", "1", "5"))
                .collect()
        };
        assert!(!summary(&of(GROUPS - 1), &whose(&[])).truncated);
        assert!(summary(&of(GROUPS), &whose(&[])).truncated);
    }

    #[test]
    fn names_that_the_spec_says_are_somebody_elses_are_left_out() {
        let rows = [row("100-alice", "x", "kubectl/v1", "get", "1", "5")];
        assert_eq!(summary(&rows, &whose(&[])).total, 1);
        assert_eq!(summary(&rows, &whose(&["100-alice"])), UsageStatus::default());
        let text = query(&[r#""100""#.into()], uid(100), &["100-o'neil".into()]);
        assert!(text.contains("NOT IN ('100-o''neil')"), "{text}");
    }

    #[test]
    fn the_search_names_the_uid_the_newest_names_and_the_start() {
        let mut terms: Vec<String> = (1000..1040).map(|i| format!("\"100-{i}\"")).collect();
        terms.insert(0, r#""100""#.into());
        let text = query(&terms, uid(100), &[]);
        let (search, analysis) = text.split_once(" | ").unwrap();
        let asked: Vec<_> = search.split(" or ").collect();
        assert_eq!(asked.len(), CONDITIONS);
        assert_eq!(
            (asked[0], asked[1]),
            (r#"user.username: "100""#, r#"user.username: "100-1022""#)
        );
        assert_eq!(asked.last(), Some(&"user.username: 100-*"));
        assert!(analysis.ends_with("LIMIT 50"), "{analysis}");
    }
}

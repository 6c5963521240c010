//! Who created a UserOffboarding, and who approved its plan? The API server knows, and tells nobody but its audit log.
//!
//! ACK's audit policy keeps the metadata alone of a request for our objects, so that neither the spec nor the name of an object whose name
//! was generated is in a record. The approval policy of the chart therefore annotates the record: with the `metadata.uid` of what was
//! created, and of what was approved, with the start of each digest. Nobody but the API server writes these, and of a trial it writes none.
//! Nothing is decided by them.

use super::{
    CLOCK_SKEW,
    audit_event::{AUTHORIZATION, IMPERSONATED, USERNAME, text, time},
    audit_log::AuditLog,
    coverage,
    window::{Inconclusive, LogstoreRef, missing_or},
};
use crate::api::Reason;
use alibaba_cloud::sls::{Index, LogQuery, Row};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// The annotations of the approval policy, as ACK's collector names them.
const REQUESTED: &str = "annotations.ack-offboarding-approval/requested";
const APPROVED: &str = "annotations.ack-offboarding-approval/approved";

const RESOURCE: &str = "objectRef.resource";
const SUBRESOURCE: &str = "objectRef.subresource";
const VERB: &str = "verb";
const CODE: &str = "responseStatus.code";

/// Rows of a page: the most that SLS returns.
const PAGE: u32 = 100;
/// Pages that are read at a time.
const PAGES: u32 = 20;
/// How long before an object was made its record may be, by another clock.
const EARLIER: i64 = 60;

/// How much later than the operator went on by an approval its record may be, by another clock.
const SKEW: SignedDuration = SignedDuration::from_secs(2);
/// Characters of a name that are shown.
const NAME: usize = 256;
/// The digits of a digest that are in a record.
const DIGITS: std::ops::Range<usize> = 7..23;

/// Who made a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    /// For whom it was made.
    pub(crate) user: String,
    /// Who was authenticated, if it is somebody else: by impersonation, or as the ACK console does it.
    pub(crate) through: Option<String>,
    pub(crate) time: Timestamp,
}

/// Who did what with which objects, as far as the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Authors {
    /// Who created an object, by its `metadata.uid`.
    requested: HashMap<String, Author>,
    /// Who approved a plan, by the object's `metadata.uid` and the first digits of the plan's digest.
    approved: HashMap<(String, String), Vec<Author>>,
}

impl Authors {
    /// Who created the object.
    pub(crate) fn requested(&self, object_uid: &str) -> Option<&Author> {
        self.requested.get(object_uid)
    }

    /// Who approved this plan of the object, by which the operator went on then: of several, the last until then. Later ones only confirmed it.
    pub(crate) fn approved(&self, object_uid: &str, digest: &str, since: Timestamp) -> Option<&Author> {
        let all = self.all_approved(object_uid, digest)?;
        let until_then = all.iter().filter(|author| is_until(author, since));
        // By a clock that is far off, all are later.
        let first = || all.iter().min_by_key(|author| author.time);
        until_then.max_by_key(|author| author.time).or_else(first)
    }

    /// Whether older records can name nobody else for it: they are read newest first.
    pub(crate) fn is_approval_settled(&self, object_uid: &str, digest: &str, since: Timestamp) -> bool {
        let all = self.all_approved(object_uid, digest);
        all.is_some_and(|all| all.iter().any(|author| is_until(author, since)))
    }

    fn all_approved(&self, object_uid: &str, digest: &str) -> Option<&Vec<Author>> {
        let digits = digest.get(DIGITS)?.to_owned();
        self.approved.get(&(object_uid.to_owned(), digits))
    }
}

fn is_until(author: &Author, since: Timestamp) -> bool {
    author.time.duration_since(since) <= SKEW
}

/// Asks the audit log who created and approved UserOffboardings from then on: once for all of them, newest first, until that `is_enough`.
/// What it does not hold (yet) is absent from the answer; of more than 2,000 requests, the oldest are.
///
/// # Errors
/// When the log cannot be asked, or does not answer completely.
pub(crate) async fn authors(
    log: &AuditLog,
    since: Timestamp,
    now: Timestamp,
    is_enough: impl Fn(&Authors) -> bool,
) -> Result<Authors, Inconclusive> {
    let place = coverage::place(log).await?;
    let LogstoreRef { project, logstore } = &place;
    let index = log.sls().get_index(project, logstore).await;
    let index = index.map_err(|error| missing_or(&place, error))?;
    let Some(query) = index.as_ref().and_then(query) else {
        return Err(Inconclusive::new(
            Reason::FieldNotIndexed,
            format!("logstore {logstore} has no index on {RESOURCE}, and no full text index."),
        ));
    };
    let (mut found, mut is_settled) = (Authors::default(), false);
    for page in 0..PAGES {
        let query = LogQuery {
            from: since.as_second() - EARLIER,
            to: now.as_second() + CLOCK_SKEW,
            query: query.clone(),
            line: PAGE,
            offset: u64::from(page) * u64::from(PAGE),
            reverse: true,
        };
        let ask = || log.sls().get_logs(project, logstore, &query);
        let asked = log.sls().until_complete(ask, |logs| logs.complete).await;
        let logs = asked.map_err(|error| missing_or(&place, error))?;
        let rows = logs
            .map_err(|_| Inconclusive::new(Reason::ResultIncomplete, "SLS did not finish the search."))?
            .rows;
        found.read(&rows);
        // SLS orders to the minute only: the next page may have a later one.
        let was_enough = std::mem::replace(&mut is_settled, is_enough(&found));
        if rows.len() < PAGE as usize || was_enough {
            break;
        }
    }
    Ok(found)
}

/// The search for writes of UserOffboardings, as narrow as the index lets it be; none if it finds none of them.
fn query(index: &Index) -> Option<String> {
    let resource = match index.finds_text(RESOURCE) {
        true => format!("{RESOURCE}: useroffboardings"),
        false if index.full_text => "useroffboardings".to_owned(),
        false => return None,
    };
    let mut query = resource;
    if index.finds_text(VERB) {
        query += &format!(" and ({VERB}: create or {VERB}: update or {VERB}: patch)");
    }
    let is_number = index.other_types.get(CODE).is_some_and(|type_| type_ == "long");
    if index.finds_text(CODE) || is_number {
        query += &format!(" and ({CODE}: 200 or {CODE}: 201)");
    }
    // The operator's own.
    if index.finds_text(SUBRESOURCE) {
        query += &format!(" not {SUBRESOURCE}: status");
    }
    Some(query)
}

impl Authors {
    fn read(&mut self, rows: &[Row]) {
        for row in rows.iter().filter(|row| was_carried_out(row)) {
            let annotation = |field| row.get(field).and_then(|value| value.as_str());
            let (requested, approved) = (annotation(REQUESTED), annotation(APPROVED));
            if requested.is_none() && approved.is_none() {
                continue;
            }
            let Some(author) = author(row) else { continue };
            if let Some(object_uid) = requested {
                self.requested.insert(object_uid.to_owned(), author.clone());
            }
            let (object_uid, digests) = approved.and_then(|text| text.split_once(' ')).unwrap_or_default();
            for digest in digests.split(',').filter(|digest| !digest.is_empty()) {
                let key = (object_uid.to_owned(), digest.to_owned());
                self.approved.entry(key).or_default().push(author.clone());
            }
        }
    }
}

/// Whether it is the record of an answer that says so.
fn was_carried_out(row: &Row) -> bool {
    let of = |field| text(row, field).unwrap_or_default();
    of("stage") == "ResponseComplete" && of(CODE).starts_with('2')
}

fn author(row: &Row) -> Option<Author> {
    let field = |field| {
        row.get(field)
            .and_then(|value| value.as_str())
            .filter(|text| !text.is_empty())
    };
    let user = field(USERNAME)?;
    let behind = field(IMPERSONATED).or_else(|| field(AUTHORIZATION).filter(|_| user == CONSOLE).and_then(allowed));
    let behind = behind.filter(|behind| *behind != user);
    Some(Author {
        user: shown(behind.unwrap_or(user)),
        through: behind.map(|_| shown(user)),
        time: received(row).or_else(|| time(row).ok())?,
    })
}

/// When the API server received it; when it was logged may be later.
fn received(row: &Row) -> Option<Timestamp> {
    row.get("requestReceivedTimestamp")?.as_str()?.parse().ok()
}

/// The user as whom the ACK console makes its requests: only the authorizer names whom they are for.
const CONSOLE: &str = "kubernetes-admin";

/// Whom an authorizer allowed it: `… to User "<name>"`, at the end.
fn allowed(reason: &str) -> Option<&str> {
    let (_, named) = reason.rsplit_once(" to User \"")?;
    named.strip_suffix('"')
}

/// A name as it can be shown: what is cut ends in an ellipsis.
fn shown(name: &str) -> String {
    let clean = name.chars().filter(|c| !c.is_control());
    match clean.clone().nth(NAME) {
        None => clean.collect(),
        Some(_) => clean.take(NAME - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(fields: &[(&str, &str)]) -> Row {
        let usual = [
            ("__time__", "1500"),
            ("stage", "ResponseComplete"),
            ("responseStatus.code", "201"),
            (USERNAME, "alice"),
        ];
        let mut row: Row = usual.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        row.extend(fields.iter().map(|(k, v)| ((*k).to_owned(), json!(v))));
        row
    }

    fn read(rows: &[Row]) -> Authors {
        let mut found = Authors::default();
        found.read(rows);
        found
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const AA: &str = "sha256:aaaaaaaaaaaaaaaa0000";
    const BB: &str = "sha256:bbbbbbbbbbbbbbbb0000";

    #[test]
    fn who_created_and_who_approved() {
        let (aa, bb) = (&AA[DIGITS], &BB[DIGITS]);
        let approves = |object: &str, digests: &[&str], user: &str, time: &str| {
            let text = format!("{object} {}", digests.join(","));
            row(&[(APPROVED, &text), (USERNAME, user), ("__time__", time), (CODE, "200")])
        };
        let found = read(&[
            row(&[(REQUESTED, "u-2"), (USERNAME, "mallory")]),
            row(&[(REQUESTED, "u-1")]),
            approves("u-1", &[aa], "resumer", "1600"),
            approves("u-1", &[bb, aa], "bob", "1500"),
            approves("u-1", &[aa], "carol", "1400"),
            approves("u-2", &[aa], "mallory", "1500"),
        ]);
        assert_eq!(found.requested("u-1").unwrap().user, "alice");
        let approver =
            |object: &str, digest: &str, since| Some(found.approved(object, digest, at(since))?.user.clone());
        assert_eq!(
            approver("u-1", AA, 1510).unwrap(),
            "bob",
            "who resumes later approved nothing"
        );
        assert_eq!(approver("u-1", AA, 1498).unwrap(), "bob", "by another clock");
        assert_eq!(approver("u-1", AA, 1450).unwrap(), "carol");
        assert_eq!(approver("u-1", AA, 100).unwrap(), "carol", "by a clock that is far off");
        assert_eq!(approver("u-1", BB, 1510).unwrap(), "bob");
        assert_eq!(approver("u-3", AA, 1510), None);
        assert!(found.is_approval_settled("u-1", AA, at(1510)) && !found.is_approval_settled("u-1", AA, at(100)));
    }

    #[test]
    fn what_was_not_carried_out_is_nobodys() {
        for field in [
            (CODE, "403"),
            (CODE, ""),
            ("stage", "RequestReceived"),
            ("__time__", "x"),
            (USERNAME, ""),
        ] {
            let found = read(&[row(&[(REQUESTED, "u-1"), (APPROVED, "u-1 aa"), field])]);
            assert_eq!(found, Authors::default(), "{field:?}");
        }
    }

    #[test]
    fn who_acts_for_somebody_is_named_too() {
        let of = |fields: &[(&str, &str)]| {
            let mut fields = fields.to_vec();
            fields.push((REQUESTED, "u-1"));
            let found = read(&[row(&fields)]);
            let author = found.requested("u-1").unwrap();
            (author.user.clone(), author.through.clone())
        };
        let to =
            |name: &str| format!("RBAC: allowed by ClusterRoleBinding \"b\" of ClusterRole \"r\" to User \"{name}\"");
        assert_eq!(of(&[(AUTHORIZATION, &to("alice"))]), ("alice".into(), None));
        assert_eq!(of(&[(IMPERSONATED, "bob")]), ("bob".into(), Some("alice".into())));
        let console = [(USERNAME, CONSOLE), (AUTHORIZATION, &*to("2590"))];
        assert_eq!(of(&console), ("2590".into(), Some(CONSOLE.into())));
        // Names of bindings are anybody's.
        let binding = "RBAC: allowed by ClusterRoleBinding \"x User \" of ClusterRole \"r\" to Group \"g\"";
        assert_eq!(
            of(&[(USERNAME, CONSOLE), (AUTHORIZATION, binding)]),
            (CONSOLE.into(), None)
        );
        assert_eq!(of(&[(AUTHORIZATION, &to("somebody"))]), ("alice".into(), None));
        let long = "x".repeat(300);
        let (shown, _) = of(&[(USERNAME, &long)]);
        assert!(shown.ends_with("x…") && shown.chars().count() == NAME, "{shown}");
    }

    #[test]
    fn the_search_names_what_is_indexed_only() {
        let index = |keys: &[&str], full_text| Index {
            full_text,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            json_texts: Default::default(),
            without_analytics: Default::default(),
            other_types: Default::default(),
            changed_at: None,
        };
        assert_eq!(query(&index(&[VERB], false)), None);
        assert_eq!(query(&index(&[], true)).as_deref(), Some("useroffboardings"));
        assert_eq!(
            query(&index(&[RESOURCE, SUBRESOURCE, VERB, CODE], true)).as_deref(),
            Some(
                "objectRef.resource: useroffboardings and (verb: create or verb: update or verb: patch) \
                 and (responseStatus.code: 200 or responseStatus.code: 201) not objectRef.subresource: status"
            )
        );
        let mut numbers = index(&[RESOURCE], false);
        numbers.other_types.insert(CODE.to_owned(), "long".to_owned());
        assert!(query(&numbers).unwrap().contains("responseStatus.code: 200"));
    }
}

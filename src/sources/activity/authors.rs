//! Who created a UserOffboarding, and who approved its plan? The API server knows, and tells nobody but its audit log.
//!
//! ACK's audit policy keeps the metadata alone of a request for our objects, so that neither the spec nor the name of an object whose name
//! was generated is in a record. The approval policy of the chart therefore annotates the record: with the `metadata.uid` of what was
//! created, and of what was approved, with the digests. Nobody but the API server writes these. Nothing is decided by them.

use super::{
    CLOCK_SKEW,
    audit_event::{AUTHORIZATION, IMPERSONATED, USERNAME, named_users, text, time},
    audit_log::AuditLog,
    coverage,
    window::{Inconclusive, LogstoreRef, missing_or},
};
use crate::api::Reason;
use alibaba_cloud::sls::{Index, LogQuery, Row};
use k8s_openapi::jiff::Timestamp;

/// The annotations of the approval policy, as ACK's collector names them.
const REQUESTED: &str = "annotations.ack-offboarding-approval/requested";
const APPROVED: &str = "annotations.ack-offboarding-approval/approved";

const RESOURCE: &str = "objectRef.resource";
const SUBRESOURCE: &str = "objectRef.subresource";
const VERB: &str = "verb";

/// Rows of a page: the most that SLS returns.
const PAGE: u32 = 100;
/// Pages that are read: people write so many UserOffboardings a day in a company of ten thousand.
const PAGES: u32 = 5;
/// How long before an object was made its record may be, by another clock, and how long after.
const EARLIER: i64 = 60;

/// Whose authors are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written<'a> {
    /// The UserOffboarding's `metadata.uid`.
    pub(crate) object_uid: &'a str,
    pub(crate) created: Timestamp,
    /// Whether it is asked who created it.
    pub(crate) request: bool,
    /// The digest of the approved plan, if it is asked who approved it.
    pub(crate) digest: Option<&'a str>,
}

/// Who made a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    /// For whom it was made.
    pub(crate) user: String,
    /// Who was authenticated, if it is somebody else: by impersonation, or as the ACK console does it.
    pub(crate) through: Option<String>,
    pub(crate) time: Timestamp,
}

/// Who did what, as far as the log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Authors {
    pub(crate) requested: Option<Author>,
    /// Of several who approved the same plan, the latest.
    pub(crate) approved: Option<Author>,
}

/// Asks the audit log. What it does not hold (yet) is absent from the answer.
///
/// # Errors
/// When the log cannot be asked, or does not answer completely.
pub(crate) async fn authors(log: &AuditLog, written: &Written<'_>, now: Timestamp) -> Result<Authors, Inconclusive> {
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
    let created = written.created.as_second();
    // The creation alone is found near its time; an approval is at any time after it, most likely lately.
    let until = now.as_second() + CLOCK_SKEW;
    let mut found = Authors::default();
    for page in 0..PAGES {
        let query = LogQuery {
            from: created - EARLIER,
            to: until,
            query: query.clone(),
            line: PAGE,
            offset: u64::from(page) * u64::from(PAGE),
            reverse: written.digest.is_some(),
        };
        let ask = || log.sls().get_logs(project, logstore, &query);
        let asked = log.sls().until_complete(ask, |logs| logs.complete).await;
        let logs = asked.map_err(|error| missing_or(&place, error))?;
        let rows = logs
            .map_err(|_| Inconclusive::new(Reason::ResultIncomplete, "SLS did not finish the search."))?
            .rows;
        found.read(&rows, written);
        let is_whole =
            found.requested.is_some() >= written.request && found.approved.is_some() >= written.digest.is_some();
        if is_whole || rows.len() < PAGE as usize {
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
    // The operator's own.
    if index.finds_text(SUBRESOURCE) {
        query += &format!(" not {SUBRESOURCE}: status");
    }
    Some(query)
}

impl Authors {
    fn read(&mut self, rows: &[Row], written: &Written<'_>) {
        for row in rows.iter().filter(|row| was_carried_out(row)) {
            let is_of = |field| {
                let mut words = row.get(field)?.as_str()?.split([' ', ',']);
                (words.next()? == written.object_uid).then_some(words)
            };
            let requests = written.request && is_of(REQUESTED).is_some();
            let approves =
                is_of(APPROVED).is_some_and(|mut digests| digests.any(|digest| Some(digest) == written.digest));
            if !requests && !approves {
                continue;
            }
            let Some(author) = author(row) else { continue };
            if approves && self.approved.as_ref().is_none_or(|known| known.time < author.time) {
                self.approved = Some(author.clone());
            }
            if requests {
                self.requested = Some(author);
            }
        }
    }
}

/// Whether it is the record of an answer that says so, and not of a trial.
fn was_carried_out(row: &Row) -> bool {
    let of = |field| text(row, field).unwrap_or_default();
    let is_trial = row
        .get("requestURI")
        .and_then(|uri| uri.as_str())
        .is_some_and(|uri| uri.contains("dryRun="));
    of("stage") == "ResponseComplete" && of("responseStatus.code").starts_with('2') && !is_trial
}

fn author(row: &Row) -> Option<Author> {
    let user = text(row, USERNAME)?;
    // An authorizer names whom it allowed, whoever that is: it is news only where it is not the one who asked.
    let reason = row
        .get(AUTHORIZATION)
        .and_then(|reason| reason.as_str())
        .unwrap_or_default();
    let behind = text(row, IMPERSONATED).or_else(|| named_users(reason).next().map(str::to_owned));
    let time = time(row).ok()?;
    Some(match behind {
        Some(behind) if behind != user => Author {
            user: behind,
            through: Some(user),
            time,
        },
        _ => Author {
            user,
            through: None,
            time,
        },
    })
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
        let written = Written {
            object_uid: "u-1",
            created: Timestamp::from_second(1400).unwrap(),
            request: true,
            digest: Some("sha256:aa"),
        };
        found.read(rows, &written);
        found
    }

    #[test]
    fn who_created_and_who_approved() {
        let found = read(&[
            row(&[(REQUESTED, "u-2"), (USERNAME, "mallory")]),
            row(&[(REQUESTED, "u-1")]),
            row(&[
                (APPROVED, "u-1 sha256:bb,sha256:aa"),
                (USERNAME, "bob"),
                ("responseStatus.code", "200"),
            ]),
            row(&[(APPROVED, "u-1 sha256:aa"), (USERNAME, "carol"), ("__time__", "1499")]),
            row(&[(APPROVED, "u-1 sha256:bb"), (USERNAME, "mallory"), ("__time__", "1600")]),
            row(&[(APPROVED, "u-2 sha256:aa"), (USERNAME, "mallory"), ("__time__", "1600")]),
        ]);
        let user = |author: Option<Author>| author.unwrap().user;
        assert_eq!(
            (user(found.requested), user(found.approved)),
            ("alice".into(), "bob".into())
        );
    }

    #[test]
    fn what_was_not_carried_out_is_nobodys() {
        for field in [
            ("responseStatus.code", "403"),
            ("responseStatus.code", ""),
            ("requestURI", "/apis/x?dryRun=All"),
            ("stage", "RequestReceived"),
            ("__time__", "x"),
            (USERNAME, ""),
        ] {
            let found = read(&[row(&[(REQUESTED, "u-1"), (APPROVED, "u-1 sha256:aa"), field])]);
            assert_eq!(found, Authors::default(), "{field:?}");
        }
    }

    #[test]
    fn who_acts_for_somebody_is_named_too() {
        let of = |fields: &[(&str, &str)]| {
            let mut fields = fields.to_vec();
            fields.push((REQUESTED, "u-1"));
            let author = read(&[row(&fields)]).requested.unwrap();
            (author.user, author.through)
        };
        let to =
            |name: &str| format!("RBAC: allowed by ClusterRoleBinding \"b\" of ClusterRole \"r\" to User \"{name}\"");
        assert_eq!(of(&[(AUTHORIZATION, &to("alice"))]), ("alice".into(), None));
        assert_eq!(of(&[(IMPERSONATED, "bob")]), ("bob".into(), Some("alice".into())));
        let console = [(USERNAME, "kubernetes-admin"), (AUTHORIZATION, &*to("2590"))];
        assert_eq!(of(&console), ("2590".into(), Some("kubernetes-admin".into())));
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
            query(&index(&[RESOURCE, SUBRESOURCE, VERB], true)).as_deref(),
            Some(
                "objectRef.resource: useroffboardings and (verb: create or verb: update or verb: patch) not objectRef.subresource: status"
            )
        );
    }
}

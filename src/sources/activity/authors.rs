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
use std::collections::HashMap;

/// The annotations of the approval policy, as ACK's collector names them.
const REQUESTED: &str = "annotations.ack-offboarding-approval/requested";
const APPROVED: &str = "annotations.ack-offboarding-approval/approved";

const RESOURCE: &str = "objectRef.resource";
const SUBRESOURCE: &str = "objectRef.subresource";
const VERB: &str = "verb";

/// Rows of a page: the most that SLS returns.
const PAGE: u32 = 100;
/// Pages that are read at a time.
const PAGES: u32 = 20;
/// How long before an object was made its record may be, by another clock.
const EARLIER: i64 = 60;

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
    /// Who approved a plan, by the object's `metadata.uid` and the plan's digest. Of several, the latest.
    approved: HashMap<(String, String), Author>,
}

impl Authors {
    /// Who created the object.
    pub(crate) fn requested(&self, object_uid: &str) -> Option<&Author> {
        self.requested.get(object_uid)
    }

    /// Who approved this plan of the object.
    pub(crate) fn approved(&self, object_uid: &str, digest: &str) -> Option<&Author> {
        self.approved.get(&(object_uid.to_owned(), digest.to_owned()))
    }
}

/// Asks the audit log who created and approved UserOffboardings from then on: once for all of them. What it does not hold (yet) is absent
/// from the answer; of more than 2,000 requests, the oldest are.
///
/// # Errors
/// When the log cannot be asked, or does not answer completely.
pub(crate) async fn authors(log: &AuditLog, since: Timestamp, now: Timestamp) -> Result<Authors, Inconclusive> {
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
    let mut found = Authors::default();
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
        if rows.len() < PAGE as usize {
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
                let known = self.approved.get(&key);
                if known.is_none_or(|known| known.time < author.time) {
                    self.approved.insert(key, author.clone());
                }
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
        found.read(rows);
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
            row(&[(APPROVED, "u-1 sha256:cc"), (USERNAME, "mallory"), ("__time__", "1600")]),
            row(&[(APPROVED, "u-2 sha256:aa"), (USERNAME, "mallory"), ("__time__", "1600")]),
        ]);
        let user = |author: Option<&Author>| author.map(|author| author.user.clone()).unwrap_or_default();
        assert_eq!(user(found.requested("u-1")), "alice");
        assert_eq!(user(found.approved("u-1", "sha256:aa")), "bob");
        assert_eq!(user(found.approved("u-1", "sha256:bb")), "bob");
        assert_eq!(found.approved("u-3", "sha256:aa"), None);
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
            let found = read(&[row(&fields)]);
            let author = found.requested("u-1").unwrap();
            (author.user.clone(), author.through.clone())
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

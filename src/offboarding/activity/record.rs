//! One record of the audit log: is it a request *of* the identity?

use super::{Window, last};
use crate::{
    rbac::subject::{self, UidKey},
    uid::Uid,
};
use k8s_openapi::jiff::Timestamp;
use std::collections::BTreeMap;

/// The field with the user that made a request.
pub const USERNAME: &str = "user.username";
/// The field with the user that the request was made as.
pub const IMPERSONATED: &str = "impersonatedUser.username";
/// The field with the authorizer's reason: requests from the ACK console arrive as `kubernetes-admin`, and only this
/// names the RAM user (ACK, "Work with cluster auditing").
pub const AUTHORIZATION: &str = "annotations.authorization.k8s.io/reason";

/// A record as SLS returns it: every value is text.
pub type Row = BTreeMap<String, String>;

/// A request of the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When it was logged; whole seconds.
    pub time: Timestamp,
    /// Its audit ID.
    pub audit_id: Option<String>,
    /// Its verb.
    pub verb: Option<String>,
    /// Where it came from.
    pub source_ip: Option<String>,
    /// Its user agent.
    pub user_agent: Option<String>,
    /// The user that was authenticated, if it is not the identity itself: somebody who impersonated it, or the ACK console.
    pub made_by: Option<String>,
    /// Whether it was somebody who impersonated it.
    pub impersonated: bool,
}

impl Hit {
    /// What was seen, as a sentence.
    pub fn describe(&self, uid: &Uid, window_days: u16) -> String {
        let part =
            |prefix: &str, value: &Option<String>| value.as_ref().map(|v| format!("{prefix}{v}")).unwrap_or_default();
        format!(
            "UID {uid} was active in the last {}: at {}{}{}{}{}.",
            last(window_days),
            self.time,
            part(", verb ", &self.verb),
            part(", from ", &self.source_ip),
            part(", with ", &self.user_agent),
            self.through()
        )
    }

    /// How it was made, if not with the identity's own credentials.
    fn through(&self) -> String {
        match &self.made_by {
            None => String::new(),
            Some(user) if self.impersonated => format!(", made by {user}, who impersonated it"),
            Some(user) => format!(", made by {user}, as requests from the ACK console are"),
        }
    }
}

/// The request that `row` is, if the identity made it, and in the window. A record about the identity (someone edits
/// its binding) is none.
pub fn hit(row: &Row, uid: UidKey, window: Window) -> Option<Hit> {
    let seconds: i64 = row.get("__time__")?.parse().ok()?;
    if !(window.from..window.to).contains(&seconds) {
        return None;
    }
    let is_name = |field: &str| {
        row.get(field)
            .is_some_and(|name| subject::uid_in_name(name) == Some(uid))
    };
    let is_authorized = || row.get(AUTHORIZATION).is_some_and(|reason| names_user(reason, uid));
    let (own, impersonated) = (is_name(USERNAME), is_name(IMPERSONATED));
    if !(own || impersonated || is_authorized()) {
        return None;
    }
    Some(Hit {
        time: Timestamp::from_second(seconds).ok()?,
        audit_id: text(row, "auditID"),
        verb: text(row, "verb"),
        source_ip: text(row, "sourceIPs").map(|ips| first_ip(&ips)),
        user_agent: text(row, "userAgent"),
        made_by: text(row, USERNAME).filter(|_| !own),
        impersonated,
    })
}

/// Whether an authorizer's reason says `User "<uid>"` or `User "<uid>-<digits>"`.
fn names_user(reason: &str, uid: UidKey) -> bool {
    let names = reason
        .split("User \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    names.into_iter().any(|name| subject::uid_in_name(name) == Some(uid))
}

/// A field, cut to what a status message can bear and freed of control characters: a user agent is anybody's text.
fn text(row: &Row, field: &str) -> Option<String> {
    let clean: String = row.get(field)?.chars().filter(|c| !c.is_control()).take(128).collect();
    (!clean.is_empty()).then_some(clean)
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

    const WINDOW: Window = Window { from: 1000, to: 2000 };

    fn row(fields: &[(&str, &str)]) -> Row {
        let mut row: Row = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        row.entry("__time__".into()).or_insert_with(|| "1500".into());
        row
    }

    #[test]
    fn only_requests_of_the_identity_count() {
        let reason =
            |name: &str| format!("RBAC: allowed by RoleBinding \"100-binding/n\" of Role \"r\" to User \"{name}\"");
        let cases = [
            (row(&[(USERNAME, "100")]), true),
            (row(&[(USERNAME, "100-1700000000")]), true),
            (row(&[(USERNAME, "1001")]), false),
            (row(&[(USERNAME, "10")]), false),
            (row(&[(USERNAME, "kubernetes-admin"), (IMPERSONATED, "100")]), true),
            (
                row(&[(USERNAME, "kubernetes-admin"), (AUTHORIZATION, &reason("100"))]),
                true,
            ),
            (
                row(&[(USERNAME, "kubernetes-admin"), (AUTHORIZATION, &reason("100-17"))]),
                true,
            ),
            (
                row(&[(USERNAME, "kubernetes-admin"), (AUTHORIZATION, &reason("1001"))]),
                false,
            ),
            (
                row(&[
                    (USERNAME, "admin"),
                    (AUTHORIZATION, &reason("admin")),
                    ("objectRef.name", "100"),
                ]),
                false,
            ),
            (row(&[(USERNAME, "admin"), ("requestURI", "/rolebindings/100")]), false),
            (row(&[(USERNAME, "100"), ("__time__", "999")]), false),
            (row(&[(USERNAME, "100"), ("__time__", "1000")]), true),
            (row(&[(USERNAME, "100"), ("__time__", "2000")]), false),
            (row(&[(USERNAME, "100"), ("__time__", "x")]), false),
        ];
        for (row, expected) in cases {
            assert_eq!(hit(&row, 100, WINDOW).is_some(), expected, "{row:?}");
        }
    }

    #[test]
    fn a_hit_says_whose_credentials_were_used() {
        let uid = "100".parse().unwrap();
        let of = |fields: &[(&str, &str)]| hit(&row(fields), 100, WINDOW).unwrap().describe(&uid, 1);
        let start = "UID 100 was active in the last day: at 1970-01-01T00:25:00Z";
        let console = "allowed to User \"100\"";
        assert_eq!(of(&[(USERNAME, "100-17"), ("verb", "")]), format!("{start}."));
        assert_eq!(
            of(&[(USERNAME, "100"), (IMPERSONATED, "other"), ("sourceIPs", "192.0.2.7")]),
            format!("{start}, from 192.0.2.7.")
        );
        assert_eq!(
            of(&[(USERNAME, "admin"), (IMPERSONATED, "100"), (AUTHORIZATION, console)]),
            format!("{start}, made by admin, who impersonated it.")
        );
        assert_eq!(
            of(&[(USERNAME, "kubernetes-admin"), (AUTHORIZATION, console)]),
            format!("{start}, made by kubernetes-admin, as requests from the ACK console are.")
        );
    }

    #[test]
    fn what_a_hit_says_is_bounded_and_clean() {
        let agent = format!("curl\n{}", "x".repeat(1000));
        let row = row(&[
            (USERNAME, "100"),
            ("sourceIPs", "[\"192.0.2.7\",\"10.0.0.1\"]"),
            ("userAgent", &agent),
            ("verb", "get"),
        ]);
        let hit = hit(&row, 100, WINDOW).unwrap();
        assert_eq!(
            (hit.source_ip.as_deref(), hit.user_agent.unwrap().len()),
            (Some("192.0.2.7"), 128)
        );
    }
}

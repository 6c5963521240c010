//! One record of the audit log: is it a request *of* the identity?

use super::window::{Window, last};
use crate::rbac::subject::{self};
use alibaba_cloud::{Uid, sls::Row};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

/// The field with the user that made a request.
pub(crate) const USERNAME: &str = "user.username";
/// The field with the user that the request was made as.
pub(crate) const IMPERSONATED: &str = "impersonatedUser.username";
/// The field with the authorizer's reason: requests from the ACK console arrive as `kubernetes-admin`, and only this
/// names the RAM user (ACK, "Work with cluster auditing").
pub(crate) const AUTHORIZATION: &str = "annotations.authorization.k8s.io/reason";

/// A request of the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When it was logged; whole seconds.
    pub time: Timestamp,
    pub audit_id: Option<String>,
    pub verb: Option<String>,
    /// The kind of client. Where it came from and the whole user agent are for those who may read the log itself.
    pub client: Option<String>,
    /// The user that was authenticated, if it is not the identity itself: somebody who impersonated it, or the ACK console.
    pub made_by: Option<String>,
    /// Whether it was somebody who impersonated it.
    pub impersonated: bool,
    /// The name under which it was made, if it is neither the UID nor ends in digits alone: not known to be a certificate's.
    pub other_name: Option<String>,
}

impl Hit {
    /// What was seen, as a sentence.
    pub fn describe(&self, uid: Uid, window_days: u16) -> String {
        let part =
            |prefix: &str, value: &Option<String>| value.as_ref().map(|v| format!("{prefix}{v}")).unwrap_or_default();
        format!(
            "UID {uid} was active in the last {}: at {}{}{}{}{}.",
            last(window_days),
            self.time,
            part(", as ", &self.other_name),
            part(", verb ", &self.verb),
            part(", with ", &self.client),
            self.through()
        )
    }

    /// How it was made, if not with the identity's own credentials.
    fn through(&self) -> String {
        match &self.made_by {
            None => String::new(),
            Some(user) if self.impersonated => format!(", made by {user}, who impersonated it"),
            Some(user) => format!(", made by {user} (the ACK console makes its requests this way)"),
        }
    }
}

/// Whose requests are looked for.
#[derive(Clone, Debug)]
pub(crate) struct Whose {
    /// The identity: requests as `<uid>`, `<uid>-<digits>`, and `<uid>-<anything else>` are its own.
    pub uid: Uid,
    /// But not those as one of these, which the spec says are somebody else's.
    pub ignored: Vec<String>,
}

impl Whose {
    pub(super) fn is_name(&self, name: &str) -> bool {
        subject::uid_at_start(name) == Some(self.uid) && !self.ignored.iter().any(|ignored| ignored == name)
    }
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// A request of the identity, in the window.
    Hit(Box<Hit>),
    /// Something else: a record about the identity (someone edits its binding), or a request of it out of the window.
    Other,
    /// It cannot be told: why.
    Unreadable(String),
}

/// Characters of a client's name: its user agent is anybody's text.
const CLIENT: usize = 128;
/// What stands for a client or a verb that has no name.
pub(super) const UNKNOWN: &str = "unknown";

/// A time later than this (the year 5138) is no time in seconds.
const LATEST: i64 = 100_000_000_000;

/// What `row` is. Who made the request is read first, and when only if it was the identity.
pub(crate) fn read(row: &Row, whose: &Whose, window: Window) -> Reading {
    let names = match (name(row, USERNAME), name(row, IMPERSONATED), name(row, AUTHORIZATION)) {
        (Ok(user), Ok(impersonated), Ok(reason)) => (user, impersonated, reason),
        (user, impersonated, reason) => {
            let why = [user, impersonated, reason].into_iter().find_map(Result::err);
            return Reading::Unreadable(why.unwrap_or_default());
        }
    };
    let (user, impersonated, reason) = names;
    let own = user.filter(|name| whose.is_name(name));
    let borrowed = impersonated.filter(|name| whose.is_name(name));
    let authorized = || named_users(reason.unwrap_or_default()).find(|name| whose.is_name(name));
    let Some(used) = own.or(borrowed).or_else(authorized) else {
        return match user {
            Some(_) => Reading::Other,
            None => Reading::Unreadable(format!("it has no {USERNAME}")),
        };
    };
    let time = match time(row) {
        Ok(time) if !(window.from..window.to).contains(&time.as_second()) => return Reading::Other,
        Ok(time) => time,
        Err(why) => return Reading::Unreadable(why),
    };
    Reading::Hit(Box::new(Hit {
        time,
        audit_id: text(row, "auditID"),
        verb: text(row, "verb"),
        client: text(row, "userAgent").map(|agent| client(&agent)),
        made_by: text(row, USERNAME).filter(|_| own.is_none()),
        impersonated: own.is_none() && borrowed.is_some(),
        other_name: Some(used)
            .filter(|name| subject::uid_in_name(name).is_none())
            .and_then(shown),
    }))
}

/// A field that holds a name or a sentence, if it is there.
fn name<'a>(row: &'a Row, field: &str) -> Result<Option<&'a str>, String> {
    match row.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if is_structure(text) => {
            Err(format!("its {field} is a list or an object, not a name"))
        }
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its {field} is not text")),
    }
}

/// Whether a text is a list or an object in JSON.
fn is_structure(text: &str) -> bool {
    text.starts_with(['[', '{']) && serde_json::from_str::<Value>(text).is_ok()
}

/// `__time__`: whole seconds since 1970, as text or as a number.
pub(super) fn time(row: &Row) -> Result<Timestamp, String> {
    const TIME: &str = "__time__";
    let seconds = match row.get(TIME) {
        None | Some(Value::Null) => return Err(format!("it has no {TIME}")),
        Some(Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_i64(),
    };
    match seconds {
        Some(LATEST..) => Err(format!("its {TIME} is not in seconds")),
        Some(seconds) => Timestamp::from_second(seconds).map_err(|_| format!("its {TIME} is not a time")),
        None => Err(format!("its {TIME} is not a whole number of seconds")),
    }
}

/// The users that an authorizer's reason names: `… to User "<name>"`.
fn named_users(reason: &str) -> impl Iterator<Item = &str> {
    let parts = reason.split("User \"").skip(1);
    parts.filter_map(|rest| rest.split('"').next())
}

/// A field as it can be shown.
pub(super) fn text(row: &Row, field: &str) -> Option<String> {
    match row.get(field)? {
        Value::Null => None,
        Value::String(text) => shown(text),
        other => shown(&other.to_string()),
    }
}

/// Text cut to what a status message can bear and freed of control characters: a user agent is anybody's text.
pub(super) fn shown(text: &str) -> Option<String> {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(128).collect();
    (!clean.is_empty()).then_some(clean)
}

/// The kind of client: the first product of a user agent, without its version. What is not the name of a product is not shown: it may be
/// an address, or somebody's.
pub(super) fn client(agent: &str) -> String {
    let name = agent.split(['/', ' ']).next().unwrap_or_default();
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let is_product = name.starts_with(|c: char| c.is_ascii_alphabetic());
    match plain && is_product && name.len() <= CLIENT {
        true => name.to_owned(),
        false => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;

    const WINDOW: Window = Window { from: 1000, to: 2000 };

    fn row(fields: &[(&str, &str)]) -> Row {
        let mut row: Row = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).into())).collect();
        row.entry("__time__".into()).or_insert_with(|| "1500".into());
        row
    }

    fn whose(ignored: &[&str]) -> Whose {
        Whose {
            uid: uid(100),
            ignored: ignored.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn hit(row: &Row) -> Option<Hit> {
        match read(row, &whose(&[]), WINDOW) {
            Reading::Hit(hit) => Some(*hit),
            _ => None,
        }
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
            (row(&[(USERNAME, "100-c7f1a2b9")]), true),
            (row(&[(USERNAME, "100-1700000000-2")]), true),
            (row(&[(USERNAME, "admin"), (IMPERSONATED, "100-x")]), true),
            (row(&[(USERNAME, "admin"), (AUTHORIZATION, &reason("100-x"))]), true),
            (row(&[(USERNAME, "1001-x")]), false),
            (row(&[(USERNAME, "system:100")]), false),
        ];
        for (row, expected) in cases {
            let found = read(&row, &whose(&[]), WINDOW);
            assert_eq!(matches!(found, Reading::Hit(_)), expected, "{row:?}");
            assert!(!matches!(found, Reading::Unreadable(_)), "{row:?}");
        }
    }

    #[test]
    fn what_the_spec_says_is_somebody_elses_does_not_count() {
        let whose = whose(&["100-robot"]);
        let read = |name: &str| read(&row(&[(USERNAME, name)]), &whose, WINDOW);
        assert_eq!(read("100-robot"), Reading::Other);
        assert!(matches!(read("100-robot2"), Reading::Hit(_)));
    }

    #[test]
    fn a_record_that_may_be_the_identitys_and_cannot_be_read_is_no_absence() {
        use serde_json::json;
        let of = |user: Value, time: Value| {
            let fields = [(USERNAME, user), ("__time__", time)];
            let present = fields.into_iter().filter(|(_, value)| *value != json!("absent"));
            let row = present.map(|(name, value)| (name.to_owned(), value)).collect();
            read(&row, &whose(&[]), WINDOW)
        };
        for (user, time) in [
            (json!("100"), json!("absent")),
            (json!("100"), Value::Null),
            (json!("100"), json!("1500.5")),
            (json!("100"), json!(1500.5)),
            (json!("100"), json!("x")),
            (json!("100"), json!("")),
            (json!("100"), json!("1700000000000")),
            (json!("100"), json!(1_700_000_000_000_i64)),
            (json!("100"), json!(["1500"])),
            (json!(["100"]), json!("1500")),
            (json!({"name": "100"}), json!("1500")),
            (json!("[\"100\"]"), json!("1500")),
            (json!(100), json!("1500")),
            (json!("absent"), json!("1500")),
            (Value::Null, json!("1500")),
            (json!(""), json!("1500")),
        ] {
            let found = of(user.clone(), time.clone());
            assert!(matches!(found, Reading::Unreadable(_)), "{user} {time}: {found:?}");
        }
        assert!(matches!(of(json!("100"), json!(1500)), Reading::Hit(_)));
        assert_eq!(of(json!("colleague"), Value::Null), Reading::Other, "whenever it was");
    }

    #[test]
    fn a_hit_says_whose_credentials_were_used() {
        let uid = "100".parse().unwrap();
        let of = |fields: &[(&str, &str)]| hit(&row(fields)).unwrap().describe(uid, 1);
        let start = "UID 100 was active in the last day: at 1970-01-01T00:25:00Z";
        let console = "allowed to User \"100\"";
        assert_eq!(of(&[(USERNAME, "100-17"), ("verb", "")]), format!("{start}."));
        assert_eq!(of(&[(USERNAME, "100-c7f1")]), format!("{start}, as 100-c7f1."));
        assert_eq!(
            of(&[(USERNAME, "100"), (IMPERSONATED, "other"), ("sourceIPs", "192.0.2.7")]),
            format!("{start}.")
        );
        assert_eq!(
            of(&[(USERNAME, "admin"), (IMPERSONATED, "100"), (AUTHORIZATION, console)]),
            format!("{start}, made by admin, who impersonated it.")
        );
        assert_eq!(
            of(&[(USERNAME, "kubernetes-admin"), (AUTHORIZATION, console)]),
            format!("{start}, made by kubernetes-admin (the ACK console makes its requests this way).")
        );
    }

    #[test]
    fn what_a_hit_says_is_bounded_clean_and_no_address() {
        let agent = format!("curl\n{}", "x".repeat(1000));
        let row = row(&[
            (USERNAME, "100"),
            ("sourceIPs", "[\"192.0.2.7\",\"10.0.0.1\"]"),
            ("userAgent", &agent),
            ("verb", "get"),
        ]);
        let hit = hit(&row).unwrap();
        let said = hit.describe(uid(100), 7);
        assert!(!said.contains("192.0.2.7") && !said.contains('\n'), "{said}");
        assert_eq!(hit.client.unwrap().len(), 128);
    }
}

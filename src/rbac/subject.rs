//! Whose is this subject?
//!
//! ACK issues client certificates whose common name, and so the Kubernetes user name, is `<uid>` or
//! `<uid>-<unix seconds>`, and binds subjects of kind `User` by that name. ServiceAccounts and Groups may be named
//! with digits too: they are not the RAM user.

use alibaba_cloud::Uid;
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeSet};

/// The API group of subjects of kind `User` and `Group`.
pub(crate) const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// A subject as the API server writes it: the fields that decide whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireSubject<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) api_group: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
}

/// How a subject relates to a UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Match {
    /// Kind, API group and name say that it is the RAM identity.
    User,
    /// A user whose name is `<uid>-<something other than digits>`: ACK's page calls the suffix random, and only samples
    /// show digits. Whose it is, a person must say.
    OtherSuffix,
    /// It bears the name, but is something else: a Group or a ServiceAccount.
    NameOnly,
}

impl Match {
    /// From the strongest to the weakest.
    pub const ALL: [Match; 3] = [Match::User, Match::OtherSuffix, Match::NameOnly];
}

/// The UID in a name of the form `<uid>` or `<uid>-<digits>`.
pub(crate) fn uid_in_name(name: &str) -> Option<Uid> {
    let (uid, suffix) = name
        .split_once('-')
        .map_or((name, None), |(uid, suffix)| (uid, Some(suffix)));
    if suffix.is_some_and(|s| s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    uid.parse().ok()
}

/// The UID that a name begins with: `<uid>`, `<uid>-<digits>`, or `<uid>-<anything else>`.
pub(crate) fn uid_at_start(name: &str) -> Option<Uid> {
    let uid = name.split_once('-').map_or(name, |(uid, _)| uid);
    uid.parse().ok()
}

/// The UID that a subject bears, and whether it is the RAM identity or only shares the name.
///
/// A subject of kind `User` without `apiGroup` counts as one: the API server defaults it to the RBAC group.
pub(crate) fn classify(kind: &str, api_group: Option<&str>, name: &str) -> Option<(Uid, Match)> {
    let uid = uid_at_start(name)?;
    let is_user = kind == "User" && api_group.is_none_or(|group| group.is_empty() || group == RBAC_GROUP);
    let relation = match (is_user, uid_in_name(name)) {
        (false, _) => Match::NameOnly,
        (true, Some(_)) => Match::User,
        (true, None) => Match::OtherSuffix,
    };
    Some((uid, relation))
}

/// Whose a subject is, as seen from one offboarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The leaver's: it is removed.
    Leaver,
    /// It may be the leaver's: a person must decide.
    Undecided,
    /// It bears the UID, and stays: somebody decided so, or it is no user.
    Lookalike,
    /// Somebody else's.
    Other,
}

/// The identity that is offboarded, and which of the user names that begin with its UID are its own.
#[derive(Clone, Debug)]
pub struct Leaver {
    uid: Uid,
    include: BTreeSet<String>,
    ignore: BTreeSet<String>,
}

impl Leaver {
    /// The identity `uid`; names in `include` are its own, and those in `ignore` are not.
    pub fn new(uid: Uid, include: &[String], ignore: &[String]) -> Self {
        Leaver {
            uid,
            include: include.iter().cloned().collect(),
            ignore: ignore.iter().cloned().collect(),
        }
    }

    /// The UID whose access is to end; a name is only ever compared with it.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// The names that do not end in digits alone, and that a person called the identity's own.
    pub fn included(&self) -> impl Iterator<Item = &str> {
        let included = self.include.difference(&self.ignore);
        included
            .filter(|name| uid_at_start(name) == Some(self.uid))
            .map(String::as_str)
    }

    /// Whose a subject is. A name in both lists is undecided.
    pub fn whose(&self, kind: &str, api_group: Option<&str>, name: &str) -> Whose {
        match classify(kind, api_group, name) {
            Some((uid, _)) if uid != self.uid => Whose::Other,
            None => Whose::Other,
            Some((_, Match::User)) => Whose::Leaver,
            Some((_, Match::NameOnly)) => Whose::Lookalike,
            Some((_, Match::OtherSuffix)) => match (self.include.contains(name), self.ignore.contains(name)) {
                (true, false) => Whose::Leaver,
                (false, true) => Whose::Lookalike,
                _ => Whose::Undecided,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uid;

    #[test]
    fn kind_group_and_name_must_all_match() {
        let (uid, other) = (uid(259083957089437690), uid(2590839570894376901));
        let name = "259083957089437690";
        let stamped = "259083957089437690-1700000000";
        let cases = [
            ("User", Some(RBAC_GROUP), name, Some((uid, Match::User))),
            ("User", Some(RBAC_GROUP), stamped, Some((uid, Match::User))),
            ("User", None, name, Some((uid, Match::User))),
            ("User", Some(""), name, Some((uid, Match::User))),
            ("User", Some("other.io"), name, Some((uid, Match::NameOnly))),
            ("Group", Some(RBAC_GROUP), name, Some((uid, Match::NameOnly))),
            ("ServiceAccount", Some(""), name, Some((uid, Match::NameOnly))),
            ("ServiceAccount", None, stamped, Some((uid, Match::NameOnly))),
            ("User", Some(RBAC_GROUP), "leaver", None),
            (
                "User",
                Some(RBAC_GROUP),
                "259083957089437690-",
                Some((uid, Match::OtherSuffix)),
            ),
            (
                "User",
                Some(RBAC_GROUP),
                "259083957089437690-c7f1a2b9",
                Some((uid, Match::OtherSuffix)),
            ),
            (
                "User",
                Some(RBAC_GROUP),
                "259083957089437690-1700000000-2",
                Some((uid, Match::OtherSuffix)),
            ),
            (
                "Group",
                Some(RBAC_GROUP),
                "259083957089437690-x",
                Some((uid, Match::NameOnly)),
            ),
            (
                "User",
                Some(RBAC_GROUP),
                "2590839570894376901-x",
                Some((other, Match::OtherSuffix)),
            ),
            ("User", Some(RBAC_GROUP), "-1", None),
            ("User", Some(RBAC_GROUP), "0259083957089437690", None),
            ("User", Some(RBAC_GROUP), "system:259083957089437690", None),
        ];
        for (kind, group, name, expected) in cases {
            assert_eq!(classify(kind, group, name), expected, "{kind} {group:?} {name}");
        }
    }

    #[test]
    fn a_prefix_of_a_uid_is_another_uid() {
        assert_ne!(uid_in_name("2590839570894376901"), uid_in_name("259083957089437690"));
        assert_eq!(
            uid_in_name("99999999999999999999"),
            Some(uid(99_999_999_999_999_999_999))
        );
    }

    #[test]
    fn a_name_with_another_suffix_is_decided_by_a_person() {
        let name = "100-c7f1a2b9".to_owned();
        let one = std::slice::from_ref(&name);
        let whose = |include: &[String], ignore: &[String]| {
            Leaver::new("100".parse().unwrap(), include, ignore).whose("User", None, &name)
        };
        assert_eq!(whose(&[], &[]), Whose::Undecided);
        assert_eq!(whose(one, &[]), Whose::Leaver);
        assert_eq!(whose(&[], one), Whose::Lookalike);
        assert_eq!(whose(one, one), Whose::Undecided);
        assert_eq!(
            whose(&["100-c7f1a2b".into()], &["200-c7f1a2b9".into()]),
            Whose::Undecided
        );
        let leaver = Leaver::new(
            "100".parse().unwrap(),
            &["200".into(), "system:x".into()],
            &["100".into()],
        );
        for (kind, name, expected) in [
            ("User", "100", Whose::Leaver),
            ("User", "100-17", Whose::Leaver),
            ("User", "200", Whose::Other),
            ("User", "system:x", Whose::Other),
            ("Group", "100", Whose::Lookalike),
            ("Group", "100-x", Whose::Lookalike),
        ] {
            assert_eq!(leaver.whose(kind, None, name), expected, "{kind} {name}");
        }
    }
}

//! Whose is this subject?
//!
//! ACK issues client certificates whose common name, and so the Kubernetes user name, is `<uid>` or
//! `<uid>-<unix seconds>`, and binds subjects of kind `User` by that name. ServiceAccounts and Groups may be named
//! with digits too: they are not the RAM user.

use crate::uid::Uid;

/// The API group of subjects of kind `User` and `Group`.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// A UID as a number: what the index is keyed by. 20 digits do not fit in 64 bits.
pub type UidKey = u128;

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

/// The UID in a name of the form `<uid>` or `<uid>-<digits>`.
pub fn uid_in_name(name: &str) -> Option<UidKey> {
    let (uid, suffix) = name
        .split_once('-')
        .map_or((name, None), |(uid, suffix)| (uid, Some(suffix)));
    if suffix.is_some_and(|s| s.is_empty() || !s.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    uid.parse::<Uid>().ok().map(|uid| key(&uid))
}

/// The UID that a name begins with: `<uid>`, `<uid>-<digits>`, or `<uid>-<anything else>`.
pub fn uid_at_start(name: &str) -> Option<UidKey> {
    let uid = name.split_once('-').map_or(name, |(uid, _)| uid);
    uid.parse::<Uid>().ok().map(|uid| key(&uid))
}

/// The number that a UID is.
pub fn key(uid: &Uid) -> UidKey {
    uid.as_str()
        .bytes()
        .fold(0, |number, digit| number * 10 + UidKey::from(digit - b'0'))
}

/// The UID that a subject bears, and whether it is the RAM identity or only shares the name.
///
/// A subject of kind `User` without `apiGroup` counts as one: the API server defaults it to the RBAC group.
pub fn classify(kind: &str, api_group: Option<&str>, name: &str) -> Option<(UidKey, Match)> {
    let uid = uid_at_start(name)?;
    let is_user = kind == "User" && api_group.is_none_or(|group| group.is_empty() || group == RBAC_GROUP);
    let relation = match (is_user, uid_in_name(name)) {
        (false, _) => Match::NameOnly,
        (true, Some(_)) => Match::User,
        (true, None) => Match::OtherSuffix,
    };
    Some((uid, relation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_group_and_name_must_all_match() {
        let uid = 259083957089437690;
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
                Some((2590839570894376901, Match::OtherSuffix)),
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
        assert_eq!(uid_in_name("99999999999999999999"), Some(99_999_999_999_999_999_999));
    }
}

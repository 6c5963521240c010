//! The UID of a RAM user or the ID of a RAM role.

use std::{fmt, str::FromStr};

/// A RAM user's UID or a RAM role's ID: a decimal number without leading zero, of 1 to 20 digits.
///
/// Kept as text, as every API of Alibaba Cloud sends it, and as Kubernetes sees it in the name of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(String);

/// The text is not a UID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a UID: expected 1 to 20 decimal digits without a leading zero")]
pub struct InvalidUid(String);

impl Uid {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Uid {
    type Err = InvalidUid;

    fn from_str(text: &str) -> Result<Self, InvalidUid> {
        let decimal = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if decimal && !text.starts_with('0') {
            Ok(Uid(text.to_owned()))
        } else {
            Err(InvalidUid(text.to_owned()))
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_numbers_are_uids() {
        for good in [
            "1",
            "259083957089437690",
            "18446744073709551615",
            "99999999999999999999",
        ] {
            assert_eq!(good.parse::<Uid>().unwrap().as_str(), good);
        }
        for bad in ["", "0", "012", "1a", "-1", " 1", "1 ", "１", "999999999999999999999"] {
            assert!(bad.parse::<Uid>().is_err(), "{bad:?}");
        }
    }
}

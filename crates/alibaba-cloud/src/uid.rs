//! The UID of a RAM user or the ID of a RAM role.

use std::{fmt, str::FromStr};

/// A RAM user's UID or a RAM role's ID: a decimal number without leading zero, of 1 to 20 digits. 20 digits do not fit in 64 bits.
///
/// Every API of Alibaba Cloud sends it as text, and Kubernetes sees it so in the name of a subject. Text and number map one to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(u128);

/// The smallest number of 21 digits.
const TOO_LARGE: u128 = 100_000_000_000_000_000_000;

/// The text is not a UID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a UID: expected 1 to 20 decimal digits without a leading zero")]
pub struct InvalidUid(String);

impl FromStr for Uid {
    type Err = InvalidUid;

    fn from_str(text: &str) -> Result<Self, InvalidUid> {
        let invalid = || InvalidUid(text.to_owned());
        // `u128` would also take a sign and leading zeros.
        if !text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('0') {
            return Err(invalid());
        }
        text.parse::<u128>()
            .ok()
            .and_then(|number| Uid::try_from(number).ok())
            .ok_or_else(invalid)
    }
}

impl TryFrom<u128> for Uid {
    type Error = InvalidUid;

    fn try_from(number: u128) -> Result<Self, InvalidUid> {
        match number {
            1..TOO_LARGE => Ok(Uid(number)),
            _ => Err(InvalidUid(number.to_string())),
        }
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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
            assert_eq!(good.parse::<Uid>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "0",
            "012",
            "1a",
            "-1",
            " 1",
            "1 ",
            "１",
            "999999999999999999999",
            "+1",
            "340282366920938463463374607431768211457",
        ] {
            assert!(bad.parse::<Uid>().is_err(), "{bad:?}");
        }
    }
}

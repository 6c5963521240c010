//! What the unit tests of several modules need.

use alibaba_cloud::Uid;

pub(crate) fn uid(number: u128) -> Uid {
    Uid::try_from(number).unwrap()
}

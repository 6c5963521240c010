//! The error codes that the services are known to answer: what each means, what kind of failure it is, and where the fact is from.
//!
//! A code without a row is unknown, and is treated as such: only its HTTP status counts. To add a code, add a row to `table.rs`.

mod table;

pub use table::CODES;

use super::{
    remedy::Remedy,
    service::{ErrorKind, Service},
};
use std::time::Duration;

/// What is known of one error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The services that answer it.
    pub services: &'static [Service],
    /// The code, verbatim; with `*` at its start or end, all codes that end or begin so. A whole code comes before a pattern, and a longer
    /// pattern before a shorter one.
    pub code: &'static str,
    /// The HTTP status that it comes with, as far as that is known. Nothing depends on it.
    pub status: Option<u16>,
    /// Decides how the call's error is classified, whatever its status.
    pub kind: ErrorKind,
    /// How long to wait before the next try, where the service gives no hint.
    pub pause: Option<Duration>,
    /// What it means, as a clause without a full stop.
    pub meaning: &'static str,
    /// What a person has to look at.
    pub remedy: Remedy,
    /// Where this is from: a help page, an SDK, or less.
    pub source: &'static str,
}

impl Code {
    fn matches(&self, code: &str) -> bool {
        match (self.code.strip_suffix('*'), self.code.strip_prefix('*')) {
            (Some(start), _) => code.starts_with(start),
            (_, Some(end)) => code.ends_with(end),
            (None, None) => code == self.code,
        }
    }
}

/// What is known of a service's code; none of an unknown one.
pub(crate) fn find(service: Service, code: &str) -> Option<&'static Code> {
    let of_service = CODES.iter().filter(|known| known.services.contains(&service));
    let matching = of_service.filter(|known| known.matches(code));
    // A whole code has no star, and is as long as what it matches.
    matching.max_by_key(|known| known.code.trim_matches('*').len() * 2 + usize::from(!known.code.contains('*')))
}

#[cfg(test)]
mod tests;

//! The cloud clients over the wire, against small servers that answer from a script.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod answers;
mod clusters;
mod credentials;
mod listings;
mod paging;
mod person;
mod retries;
mod secrets;
mod server;
mod sls;

//! `kubectl ack-offboard fleet`: the real binary over several real API servers, some of which do not answer, and a simulated account.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod account;
mod bar;
mod contexts;
mod direct;
mod interrupted;
mod secrets;
mod start;
mod support;

//! `kubectl ack-offboard backups` and `restore`: the real plugin against what the real operator stored, after each kind of change since.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod changes;
mod forged;
mod rights;
mod support;

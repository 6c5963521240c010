//! A simulator of the Alibaba Cloud operations that the operator calls, for the tests and the demo.
//!
//! It serves them over http and https on loopback, verifies every signature with code of its own, keeps what the cloud
//! knows in one plain [`World`], and can be told to misbehave ([`Fault`]). Error codes that no public page gives begin
//! with `Simulated.`, so that nobody takes them for facts.
//!
//! ```text
//!  client ──http/https──▶ server ─▶ dispatch ─▶ sign | oidc ─▶ faults ─▶ services::{sts, ims, ram, cs, sls} ─▶ World
//!                                      │                                              │
//!                                      ▼                                              ├─▶ search (SLS query language)
//!                                    calls                                            └─▶ purge ─▶ the real API server
//!
//!  kube-apiserver's audit file ─▶ audit ─▶ the cluster's logstore in World
//! ```

mod audit;
mod calls;
mod dispatch;
mod faults;
mod handle;
mod message;
mod oidc;
mod pages;
mod purge;
mod route;
pub mod search;
mod server;
mod services;
mod sign;
mod tls;
pub mod world;

pub use calls::{Call, Operation, Service};
pub use faults::{Fault, FaultKind, Hint, Throttle};
pub use handle::{Options, Simulator};
pub use pages::PageFault;
pub use world::{Record, World};

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in unix seconds.
pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}

/// `unix` seconds as `2026-01-02T03:04:05Z`.
pub(crate) fn rfc3339(unix: i64) -> String {
    k8s_openapi::jiff::Timestamp::from_second(unix)
        .unwrap_or_default()
        .to_string()
}

/// A test that panics while it holds the lock must not take the whole simulator with it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `bytes` random bytes in hexadecimal.
pub(crate) fn random_hex(bytes: usize) -> String {
    use ring::rand::SecureRandom;
    let mut buffer = vec![0; bytes];
    // The operating system's generator does not fail on the platforms that this runs on; zeroes would only make names collide.
    let _ = ring::rand::SystemRandom::new().fill(&mut buffer);
    hex::encode(buffer)
}

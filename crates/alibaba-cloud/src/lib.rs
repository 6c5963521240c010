#![doc = include_str!("../README.md")]
//!
//! # How it is built
//!
//! ```text
//! sts ims ram ack sls      one module a service: typed calls, paging, what "not found" means
//!          │
//!     call, client         one request: signed, sent, retried, its answer judged (error, classify, codes, remedy, answer)
//!      ┌───┴────┬───────────┐
//! credentials  sign     transport
//!  one source  acs3,sls4  one request, bounded in time and size
//! ```
//!
//! Secrets stay out of URLs, errors and `Debug` outputs.

pub mod ack;
mod answer;
mod budget;
mod call;
mod classify;
mod client;
mod cloud;
pub mod codes;
mod credentials;
mod endpoint;
mod endpoints;
mod environment;
pub mod error;
mod hosts;
pub mod ims;
mod invalid;
mod observer;
pub mod ram;
mod remedy;
mod service;
mod settings;
pub mod sign;
pub mod sls;
pub mod sts;
mod timeouts;
mod transport;
mod uid;

pub use client::CredentialsState;
pub use cloud::Cloud;
pub use credentials::CredentialsSource;
pub use endpoint::InvalidEndpoint;
pub use endpoints::{EndpointOverrides, Network};
pub use error::{ApiError, ErrorKind, Service};
pub use observer::{CallObserver, Try};
pub use remedy::Remedy;
pub use settings::{CALLS_PER_MINUTE, CloudSettings, Environment, SettingsError, Timeouts};
pub use transport::chain;
pub use uid::{InvalidUid, Uid};

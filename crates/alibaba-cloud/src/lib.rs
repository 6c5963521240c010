#![doc = include_str!("../README.md")]
//!
//! # How it is built
//!
//! ```text
//! sts ims ram ack sls      one file a service: typed calls, paging, what "not found" means
//!          │
//!        pages             lists: whole, or an error
//!          │
//!     call, client         one request: signed, sent, retried, its answer judged (error, classify, codes, answer)
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
pub mod credentials;
pub mod endpoints;
mod environment;
pub mod error;
mod hosts;
pub mod ims;
mod invalid;
pub mod observer;
mod pages;
mod patience;
pub mod ram;
mod service;
pub mod settings;
pub mod sign;
pub mod sls;
pub mod sts;
mod timeouts;
mod transport;
pub mod uid;

pub use client::CredentialsState;
pub use cloud::Cloud;
pub use credentials::CredentialsSource;
pub use endpoints::{EndpointOverrides, Endpoints, Network};
pub use error::{ApiError, ErrorKind, Service};
pub use observer::CallObserver;
pub use settings::{CALLS_PER_MINUTE, CloudSettings, Environment, SettingsError, Timeouts};
pub use transport::chain;
pub use uid::{InvalidUid, Uid};

//! What can be asked, and how sure an answer is:
//!
//! ```text
//! Account      whose credentials are these, who is this UID          STS, IMS, RAM
//! AckCluster   its kubeconfig, its creator, was it active            CS, SLS (activity)
//! Bindings     what is it bound to, by a read known to be current    the API server, the index
//! Backups      what was stored                                       the API server
//! ```
//!
//! Nothing here changes anything, and nothing here decides. A question that is not answered is an error of its own, and never an absence.

pub(crate) mod account;
pub(crate) mod ack_cluster;
pub(crate) mod activity;
pub(crate) mod advice;
pub(crate) mod backups;
pub(crate) mod bindings;
mod cached;
pub(crate) mod identity;
pub(crate) mod profile;
pub(crate) mod query_error;

pub(crate) use account::Account;
pub(crate) use ack_cluster::AckCluster;
pub(crate) use backups::Backups;
pub(crate) use bindings::Bindings;
pub(crate) use query_error::QueryError;

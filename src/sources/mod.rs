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

pub mod account;
pub mod ack_cluster;
pub mod activity;
pub mod backups;
pub mod bindings;
mod cached;
pub mod identity;
pub mod query_error;

pub use account::Account;
pub use ack_cluster::AckCluster;
pub use backups::Backups;
pub use bindings::Bindings;
pub use query_error::QueryError;

//! A verb in many clusters, side by side.
//!
//! ```text
//! select    which clusters: contexts, or the account's        issuer   kubeconfigs from ACK, in memory
//! member    one of them, and how to connect to it      <──────┘
//! crew      asks them: so many at a time, each with a deadline; what came of each goes into
//! result    the one model, which is shown by table and live, kept by file, and rendered by report
//! ```

pub(crate) mod crew;
pub(crate) mod file;
pub(crate) mod issuer;
pub(crate) mod live;
pub(crate) mod member;
pub(crate) mod report;
pub(crate) mod result;
pub(crate) mod select;
pub(crate) mod table;

//! RBAC bindings: whose a subject is, the index of who is bound where, the barrier that proves the index current, and
//! the format of backups. Knows nothing of Alibaba Cloud.

pub(crate) mod appearances;
pub mod backup;
pub(crate) mod barrier;
pub(crate) mod barrier_bindings;
pub(crate) mod binding;
pub(crate) mod by_hand;
mod crowd;
pub(crate) mod effects;
pub(crate) mod index;
pub(crate) mod list;
pub(crate) mod owner;
pub(crate) mod permit;
pub(crate) mod slim;
pub(crate) mod subject;
pub(crate) mod watch;

pub use binding::{BindingKey, BindingKind, LiveBinding};
pub use effects::fetch;
pub use subject::{Leaver, Match};

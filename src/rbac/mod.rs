//! RBAC bindings: whose a subject is, the index of who is bound where, the barrier that proves the index current, and
//! the format of backups. Knows nothing of Alibaba Cloud.

pub mod appearances;
pub mod backup;
pub mod barrier;
pub mod barrier_bindings;
pub mod binding;
pub mod by_hand;
pub mod crowd;
pub mod effects;
pub mod index;
pub mod list;
pub mod owner;
pub mod permit;
pub mod slim;
pub mod subject;
pub mod watch;

pub use binding::{BindingKey, BindingKind, LiveBinding};
pub use subject::Match;

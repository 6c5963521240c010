//! Gives back what an offboarding took: out of verified backups, into bindings as they are now, with the rights of whoever asks.
//!
//! ```text
//! verify      a ConfigMap is a backup, whole, of this namespace          no I/O
//! newest      of each binding, the state that comes back                 no I/O
//! plan        what that means for the binding as it is now               no I/O
//! undo        which UserOffboardings would take it away again            no I/O
//! Restorer    reads, plans, asks the API server by dry run, writes       the API server
//! ```
//!
//! Nothing is overwritten: a binding that is gone is created, one that is there gets the subjects that it lacks, and whatever others
//! changed since stays. Every write is one that the API server accepted as a dry run a moment before, and is bound to the
//! resourceVersion that was looked at.
//!
//! What is not brought back: `ownerReferences` and `finalizers`. The garbage collector would delete a binding whose owner is gone,
//! and a finalizer would wait for a controller that does not know of it; the owner, if it still exists, adopts or makes its own.

mod outcome;
mod plan;
mod restorer;
mod subject;
mod undo;
mod verify;
mod wanted;

pub use outcome::{Outcome, Restored};
pub use plan::{NamespaceNow, Plan, plan};
pub use restorer::Restorer;
pub use subject::Subject;
pub use undo::{Undo, undo};
pub use verify::{Chosen, Verified, newest, verify};
pub use wanted::Wanted;

pub use crate::sources::backups::Backups;
pub use alibaba_cloud::Uid;

#[cfg(test)]
mod tests;

//! Who is told of what is done, for metrics: whoever counts depends on those that do, and never the reverse.

use crate::api::BindingAction;
use std::{fmt, time::Duration};

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At the object's end, or at a hold: the status says which. Also where there was nothing to report: it is gone, or another leads.
    Reported,
    /// The object could not be read, or its status not be written.
    Failed,
}

/// Is told of what the parts of the operator do. It must not block.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A reconcile has ended, well or not, after this long.
    fn reconciled(&self, outcome: Outcome, took: Duration);

    /// A binding was deleted, or the leaver's subjects were removed from it.
    fn binding_removed(&self, action: BindingAction);

    /// A backup was stored and read back.
    fn backed_up(&self);

    /// A read was made current by the barrier.
    fn barrier_passed(&self, took: Duration);

    /// The barrier failed, and all bindings were listed instead.
    fn barrier_failed(&self);

    /// How far the index is behind the API server was measured; `None` if it cannot be.
    fn index_lag(&self, lag: Option<Duration>);
}

/// Tells nobody: for tests, and for a look that is not counted.
impl Observer for () {
    fn reconciled(&self, _: Outcome, _: Duration) {}

    fn binding_removed(&self, _: BindingAction) {}

    fn backed_up(&self) {}

    fn barrier_passed(&self, _: Duration) {}

    fn barrier_failed(&self) {}

    fn index_lag(&self, _: Option<Duration>) {}
}

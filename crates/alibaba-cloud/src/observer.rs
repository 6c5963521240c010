//! Who is told of each call, for metrics say.

use crate::error::{ApiError, Service};
use std::{fmt, time::Duration};

/// One try of a call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// Whom the request went to.
    pub service: Service,
    /// The operation, as the API's page calls it.
    pub operation: &'static str,
    /// Why it failed, if it did.
    pub error: Option<&'a ApiError>,
    /// From the request to the last byte of its answer.
    pub took: Duration,
}

/// Is told of each call. Nothing waits for it but the call itself: it must not block.
pub trait CallObserver: fmt::Debug + Send + Sync {
    /// A try has ended.
    fn tried(&self, one: &Try<'_>);

    /// A call that failed is to be tried again.
    fn retried(&self, service: Service, operation: &'static str);

    /// There were no credentials to sign a call with.
    fn has_no_credentials(&self);
}

/// Nobody.
impl CallObserver for () {
    fn tried(&self, _: &Try<'_>) {}

    fn retried(&self, _: Service, _: &'static str) {}

    fn has_no_credentials(&self) {}
}

//! A verb in many clusters, side by side.

pub(crate) mod result;

//! What the demo, the end-to-end tests and the benchmarks share.

pub mod cluster;
pub mod demo;
mod follow;
pub mod proxy;
pub mod scale;
pub mod simulator;
pub mod situations;
pub mod stage;

//! What the demo, the end-to-end tests and the benchmarks share.

pub mod cluster;
pub mod demo;
mod follow;
pub mod in_cluster;
pub mod node;
pub mod proxy;
pub mod refusals;
pub mod scale;
mod screen;
pub mod simulator;
pub mod situations;
pub mod stage;

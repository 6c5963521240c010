//! The kubectl plugin as people use it: the real binary, a real API server with real roles, the real operator, a cloud that verifies signatures.

mod approve;
mod complete;
mod explain;
mod plan;
mod refused;
mod restore;
mod scan;
mod start;
mod status;
mod support;
mod tasks;
mod terminal;
mod version;

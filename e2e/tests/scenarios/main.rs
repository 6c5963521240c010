//! The operator's main job, over the wire: the real binary, a real API server, a cloud that verifies signatures.

mod activity;
mod bindings;
mod certificates;
mod cloud;
mod credentials;
mod identities;
mod obstacles;
mod restarts;
mod secrets;
mod settings;
mod sight;
mod support;

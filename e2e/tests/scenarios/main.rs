//! The operator's main job, over the wire: the real binary, a real API server, a cloud that verifies signatures.

mod activity;
mod afterwards;
mod bindings;
mod certificates;
mod cloud;
mod credentials;
mod doctor;
mod doubt;
mod edits;
mod evidence;
mod gitops;
mod identities;
mod leadership;
mod limits;
mod logs;
mod metrics;
mod names;
mod obstacles;
mod privileges;
mod restarts;
mod secrets;
mod settings;
mod sight;
mod strictest;
mod support;
mod waiting;

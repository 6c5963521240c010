//! Process plumbing: settings, clients of the API server, who leads, health, and the controller that calls
//! [`crate::offboarding`].

pub mod clients;
pub mod controller;
pub mod health;
pub mod lease;
pub mod metrics;
#[cfg(test)]
mod reference;
pub mod settings;
pub mod state_metrics;

//! Process plumbing: settings, clients of the API server, who leads, health, and the controllers that call
//! [`crate::offboarding`].

pub mod clients;
mod controller;
pub mod health;
pub mod lease;
pub mod metrics;
mod offboardings;
#[cfg(test)]
mod reference;
pub mod settings;
pub mod start;
pub mod state_metrics;

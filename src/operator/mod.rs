//! Process plumbing: settings, clients of the API server, who leads, health, and the controller that calls
//! [`crate::offboarding`].

pub(crate) mod clients;
mod controller;
mod health;
mod lease;
mod metrics;
#[cfg(test)]
mod reference;
pub(crate) mod settings;
mod state_metrics;

pub use clients::REQUEST_TIMEOUT;
pub use controller::run;
pub use settings::RunArgs;

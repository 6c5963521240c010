//! Process plumbing: settings, clients of the API server, who leads, health, and the controllers that call
//! [`crate::offboarding`].

pub(crate) mod clients;
mod controller;
mod health;
mod lease;
mod metrics;
mod offboardings;
#[cfg(test)]
mod reference;
pub(crate) mod settings;
mod start;
mod state_metrics;

pub use clients::REQUEST_TIMEOUT;
pub use settings::RunArgs;
pub use start::run;

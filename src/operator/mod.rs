//! Process plumbing: settings, clients of the API server, the controller that calls [`crate::offboarding`].

pub mod clients;
pub mod controller;
#[cfg(test)]
mod reference;
pub mod settings;

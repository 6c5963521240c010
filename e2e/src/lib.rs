//! What the demo, the end-to-end tests and the benchmarks share.

pub mod access;
pub mod cluster;
pub mod demo;
pub mod env;
mod follow;
pub mod go;
pub mod in_cluster;
pub mod node;
pub mod observer;
pub mod plugin;
pub mod proxy;
pub mod refusals;
pub mod scale;
mod screen;
pub mod simulator;
pub mod situations;
pub mod states;

/// Writes a report as a line of JSON.
fn write_report(report: &impl serde::Serialize, path: &std::path::Path) -> anyhow::Result<()> {
    use anyhow::Context;
    let json = serde_json::to_string(report)?;
    std::fs::write(path, json + "\n").with_context(|| format!("cannot write the report {}", path.display()))
}

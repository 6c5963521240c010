//! The operator where its users run it: `cargo in-cluster`, `cargo in-cluster -- --report FILE`.

use std::process::ExitCode;

use ack_offboarding_e2e::in_cluster::{self, Options};
use clap::Parser;

fn main() -> ExitCode {
    match in_cluster::run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nThe run broke off: {error:#}");
            ExitCode::FAILURE
        }
    }
}

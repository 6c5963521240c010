//! The demo: `cargo demo`, `cargo demo -- --keep`, `cargo demo -- --report FILE`.

use std::process::ExitCode;

use ack_offboarding_e2e::demo::{self, Options};
use clap::Parser;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("The demo cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(demo::play(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nThe demo broke off: {error:#}");
            ExitCode::FAILURE
        }
    }
}

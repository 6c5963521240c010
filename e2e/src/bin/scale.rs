//! The benchmark: `cargo scale -- --bindings 100000 --report FILE`.

use std::process::ExitCode;

use ack_offboarding_e2e::scale::{self, Options};
use clap::Parser;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("The benchmark cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(scale::measure(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("The benchmark broke off: {error:#}");
            ExitCode::FAILURE
        }
    }
}

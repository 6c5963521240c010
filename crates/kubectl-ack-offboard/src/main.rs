//! `kubectl ack-offboard`: parses the command line and dispatches; nothing else.

mod ask;
mod cli;
mod cluster;
mod exit;
mod interrupt;
mod offboarding;
mod output;
mod stored;
mod verbs;

use clap::Parser;
use cli::Cli;
use exit::Exit;
use interrupt::Interrupt;
use std::process::ExitCode;

fn main() -> ExitCode {
    let exit = match Cli::try_parse() {
        Ok(cli) => work(cli),
        Err(error) => {
            // Help and the version are data, and end well; what cannot be parsed is a wrong usage, which clap would end with 2.
            let _ = error.print();
            match error.use_stderr() {
                true => Exit::Usage,
                false => Exit::Done,
            }
        }
    };
    exit.into()
}

#[tokio::main]
async fn work(cli: Cli) -> Exit {
    // The only one in the tree; an earlier installation would be this one as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = verbs::run(cli, Interrupt::listen()).await;
    outcome.unwrap_or_else(|failure| {
        output::error(&failure.message);
        failure.exit
    })
}

//! `kubectl ack-offboard`: parses the command line and dispatches; nothing else.

mod ask;
mod candidates;
mod change;
mod cli;
mod cloud;
mod cluster;
mod complete;
mod dry_run;
mod exit;
mod fleet;
mod follow;
mod interrupt;
mod offboarding;
mod output;
mod plan;
mod reasons;
mod stored;
mod values;
mod verbs;

use clap::Parser;
use cli::Cli;
use exit::Exit;
use interrupt::Interrupt;
use std::process::ExitCode;

fn main() -> ExitCode {
    // The only one in the tree; an earlier installation would be this one as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut words = std::env::args_os();
    if words.next().is_some_and(|program| complete::is_asked(&program)) {
        complete::answer(words);
        return ExitCode::SUCCESS;
    }
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

fn work(cli: Cli) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&format!("cannot start: {error}"));
            return Exit::Failed;
        }
    };
    let outcome = runtime.block_on(async { verbs::run(cli, Interrupt::listen()).await });
    // A question that nobody answered any more is not waited for.
    runtime.shutdown_background();
    outcome.unwrap_or_else(|failure| {
        output::error(&failure.message);
        failure.exit
    })
}

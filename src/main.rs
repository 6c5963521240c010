//! Parses the command line and dispatches; nothing else.

use ack_offboarding_operator::{
    api, doctor,
    operator::{self, RunArgs},
};
use clap::{Parser, Subcommand, ValueEnum};
use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};
use tracing_subscriber::EnvFilter;

/// Offboards RAM users and roles from an Alibaba Cloud ACK cluster.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,

    /// The log format.
    #[arg(long, env = "ACK_OFFBOARDING_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the operator.
    Run(Box<RunArgs>),
    /// Checks everything that `run` needs without changing anything, and says how to fix what is wrong. Exits with 0 if nothing is wrong.
    Doctor {
        #[command(flatten)]
        args: Box<RunArgs>,
        /// The output format.
        #[arg(short, long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Prints the CustomResourceDefinition.
    Crd,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// For log collectors.
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Verb::Crd = cli.verb {
        return print_crd();
    }
    // What doctor finds is in its table, and in a pod's log that is all there should be.
    if !matches!(cli.verb, Verb::Doctor { .. }) {
        start_logging(cli.log_format);
    }
    // The only one in the tree; an earlier installation would be this one as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.verb {
        Verb::Crd => print_crd(),
        Verb::Doctor { args, output } => examine(&args, output).await,
        Verb::Run(args) => match operator::run(&args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}

async fn examine(args: &RunArgs, output: Output) -> ExitCode {
    let report = doctor::examine(args).await;
    let text = match output {
        Output::Table => Ok(report.to_string()),
        Output::Json => report.json(),
    };
    match text {
        Ok(text) => {
            if !print(&format!("{text}\n")) {
                return ExitCode::FAILURE;
            }
        }
        Err(error) => {
            eprintln!("cannot write the report as JSON: {error}");
            return ExitCode::FAILURE;
        }
    }
    match report.is_sound() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn print_crd() -> ExitCode {
    match api::crd_yaml() {
        Ok(yaml) => match print(&yaml) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("cannot write the CRD as YAML: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints to standard output, and says whether it could. Whoever reads it may have stopped to, as `head` does: that is no failure.
fn print(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("cannot write to standard output: {error}");
            false
        }
        _ => true,
    }
}

/// Logs to standard error; `RUST_LOG` takes the place of the default. kube logs every 5xx as an error of its own: the
/// reconcile that it belongs to says more.
fn start_logging(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube_client=off,kube_runtime=warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

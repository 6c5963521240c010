//! Parses the command line and dispatches; nothing else.

use ack_offboarding_operator::{
    api,
    operator::{controller, settings::RunArgs},
};
use clap::{Parser, Subcommand, ValueEnum};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Offboards RAM users and roles from an Alibaba Cloud ACK cluster.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,

    /// How to write the log.
    #[arg(long, env = "ACK_OFFBOARDING_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    log_format: LogFormat,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the operator.
    Run(Box<RunArgs>),
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

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Verb::Crd = cli.verb {
        return print_crd();
    }
    start_logging(cli.log_format);
    // The only one in the tree; an earlier installation would be this one as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.verb {
        Verb::Crd => print_crd(),
        Verb::Run(args) => match controller::run(&args).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        },
    }
}

fn print_crd() -> ExitCode {
    match api::crd_yaml() {
        Ok(yaml) => {
            print!("{yaml}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("the CRD cannot be written as YAML: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error; `RUST_LOG` says more than the default. kube logs every 5xx as an error of its own: the
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

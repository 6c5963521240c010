//! `kubectl ack-offboard`: parses the command line and dispatches; nothing else.

use clap::{Parser, Subcommand};

/// Works with ack-offboarding-operator: offboards RAM users and roles from ACK clusters.
#[derive(Parser)]
#[command(name = "kubectl ack-offboard", bin_name = "kubectl ack-offboard", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints the version of this plugin, and of the API that it speaks.
    Version,
}

fn main() {
    match Cli::parse().verb {
        Verb::Version => println!(
            "kubectl ack-offboard {}, for {}",
            env!("CARGO_PKG_VERSION"),
            ack_offboarding_operator::api::API_VERSION
        ),
    }
}

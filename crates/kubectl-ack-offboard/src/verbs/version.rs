//! `version`: what is installed, and whether it fits.

use crate::{
    cli::{Connection, VersionArgs},
    exit::{Exit, Outcome},
    output::{self, Shown},
};
use serde::Serialize;

/// Prints it.
///
/// # Errors
/// When the cluster cannot be asked.
pub(crate) async fn run(_connection: &Connection, args: &VersionArgs) -> Outcome {
    let versions = Versions {
        plugin: env!("CARGO_PKG_VERSION"),
        api: ack_offboarding_operator::api::API_VERSION,
    };
    output::show(args.output.output, &versions)?;
    Ok(Exit::Done)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    plugin: &'static str,
    api: &'static str,
}

impl Shown for Versions {
    const KIND: &'static str = "Version";

    fn text(&self, _wide: bool) -> String {
        format!("kubectl ack-offboard {}, for {}", self.plugin, self.api)
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

//! Alibaba Cloud, asked as whoever runs the plugin.

use crate::{
    cli::CloudArgs,
    exit::{Exit, Failure},
};
use alibaba_cloud::{Cloud, CloudSettings, CredentialsSource, EndpointOverrides, person::PersonOptions};
use std::sync::Arc;

/// The clients. Asks nothing yet.
///
/// # Errors
/// When there are no credentials, or no region is known.
pub(crate) async fn connect(args: &CloudArgs) -> Result<Cloud, Failure> {
    let options = PersonOptions {
        profile: args.profile.clone(),
        profile_file: args.profile_file.clone(),
        ignore_env: args.ignore_env_credentials,
        ..PersonOptions::of_process()
    };
    // It reads files.
    let resolved = tokio::task::spawn_blocking(move || options.resolve()).await;
    let resolved = resolved.map_err(|error| Failure::new(format!("cannot read the credentials: {error}")))?;
    let person = resolved.map_err(Failure::new)?;
    let region = args.region.clone().or_else(|| person.region().map(str::to_owned));
    let Some(region) = region else {
        return Err(Failure::usage(
            "your Alibaba Cloud credentials name no region. Name one whose endpoints are to be asked: --region=cn-hangzhou",
        ));
    };
    let mut settings = CloudSettings::new(region);
    settings.user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned();
    settings.session_name = env!("CARGO_PKG_NAME").to_owned();
    settings.network = args.network;
    settings.endpoints = EndpointOverrides {
        sts: args.sts_endpoint.clone(),
        ack: args.cs_endpoint.clone(),
        ..EndpointOverrides::default()
    };
    settings.credentials = CredentialsSource::Person(person);
    Cloud::connect(&settings, Arc::new(())).map_err(|error| Failure {
        exit: Exit::Usage,
        ..Failure::new(error)
    })
}

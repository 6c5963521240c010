//! Alibaba Cloud, asked as whoever runs the plugin.

use crate::{
    cli::{CloudArgs, PersonArgs},
    exit::{Exit, Failure},
};
use alibaba_cloud::{
    Cloud, CloudSettings, CredentialsSource, EndpointOverrides, Network,
    person::{PersonOptions, PersonSource},
};
use std::sync::Arc;

/// The person's credentials: which source, and what it asks for. Asks nothing yet.
///
/// # Errors
/// When there are none, or the first source that exists cannot be used.
pub(crate) async fn person(args: &PersonArgs) -> Result<PersonSource, Failure> {
    let options = PersonOptions {
        profile: args.profile.clone(),
        profile_file: args.profile_file.clone(),
        ignore_env: args.ignore_env_credentials,
        ..PersonOptions::of_process()
    };
    // It reads files.
    let resolved = tokio::task::spawn_blocking(move || options.resolve()).await;
    let resolved = resolved.map_err(|error| Failure::new(format!("cannot read the credentials: {error}")))?;
    resolved.map_err(Failure::new)
}

/// The same person's clients for another region.
///
/// # Errors
/// When there can be no such region.
pub(crate) fn in_region(cloud: &Cloud, args: &CloudArgs, region: &str) -> Result<Cloud, Failure> {
    let made = cloud.in_region(region, network(args), &endpoints(args));
    made.map_err(Failure::new)
}

fn network(args: &CloudArgs) -> Network {
    args.network.unwrap_or(Network::Public)
}

fn endpoints(args: &CloudArgs) -> EndpointOverrides {
    EndpointOverrides {
        sts: args.sts_endpoint.clone(),
        ims: args.ims_endpoint.clone(),
        ram: args.ram_endpoint.clone(),
        ack: args.cs_endpoint.clone(),
        sls: args.sls_endpoint.clone(),
    }
}

/// The clients. Asks nothing yet.
///
/// # Errors
/// When there are no credentials, or no region is known.
pub(crate) async fn connect(args: &CloudArgs) -> Result<Cloud, Failure> {
    let person = person(&args.person).await?;
    let region = args.region.clone().or_else(|| person.region().map(str::to_owned));
    let Some(region) = region else {
        return Err(Failure::usage(
            "your Alibaba Cloud credentials name no region. Name one whose endpoints are to be asked: --region=cn-hangzhou",
        ));
    };
    let mut settings = CloudSettings::new(region);
    settings.user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned();
    settings.session_name = env!("CARGO_PKG_NAME").to_owned();
    settings.network = network(args);
    settings.endpoints = endpoints(args);
    settings.credentials = CredentialsSource::Person(person);
    Cloud::connect(&settings, Arc::new(())).map_err(|error| Failure {
        exit: Exit::Usage,
        ..Failure::new(error)
    })
}

//! Whose credentials the calls are signed with: one source, chosen once.
//!
//! Never a chain: a source that fails is reported, and nothing else is tried. (A broken RRSA set-up would otherwise
//! silently become the node's role.) The sources themselves are those of `reqsign-aliyun-oss`.

mod cache;
mod exchange;
mod profile;
mod provider;
mod source;

use reqsign_aliyun_oss::{
    AssumeRoleWithOidcCredentialProvider, ConfigFileCredentialProvider, EcsRamRoleCredentialProvider,
    EnvCredentialProvider,
};
use reqsign_core::Context;

pub(crate) use cache::Credentials;
use exchange::{Exchange, Files};
use profile::PROFILE;
use provider::{Nothing, Provider};
pub use source::CredentialsSource;

use super::{
    endpoint::Endpoint,
    environment::Environment,
    error::{ASSUME_ROLE, LOCAL},
    invalid::SettingsError,
    timeouts::Timeouts,
    transport::Transport,
};

const ROLE_ARN: &str = "ALIBABA_CLOUD_ROLE_ARN";
const PROVIDER_ARN: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
const TOKEN_FILE: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE";
const SESSION_NAME: &str = "ALIBABA_CLOUD_ROLE_SESSION_NAME";
const KEY_ID: &str = "ALIBABA_CLOUD_ACCESS_KEY_ID";
const KEY_SECRET: &str = "ALIBABA_CLOUD_ACCESS_KEY_SECRET";

/// Chooses the source, and checks that what it needs is there.
pub(crate) fn connect(
    source: &CredentialsSource,
    environment: &Environment,
    session_name: &str,
    transport: Transport,
    sts: Endpoint,
    timeouts: &Timeouts,
) -> Result<Credentials, SettingsError> {
    let provider = choose(source, environment, session_name, &sts)?;
    let mut environment = environment.clone();
    if matches!(source, CredentialsSource::Profile { name: Some(_) }) {
        // The provider would let the variable win over the explicit setting.
        environment = environment.without(PROFILE);
    }
    let context = Context::new()
        .with_file_read(Files)
        .with_http_send(Exchange::new(transport, sts, timeouts.attempt))
        .with_env(environment);
    Ok(Credentials::new(provider, context))
}

fn choose(
    source: &CredentialsSource,
    environment: &Environment,
    session_name: &str,
    sts: &Endpoint,
) -> Result<Provider, SettingsError> {
    match source {
        CredentialsSource::Auto => {
            // One of these two alone is a broken RRSA set-up, not a wish for static keys.
            if environment.get(PROVIDER_ARN).or(environment.get(TOKEN_FILE)).is_some() {
                choose(&CredentialsSource::Rrsa, environment, session_name, sts)
            } else if environment.get(KEY_ID).is_some() {
                choose(&CredentialsSource::Env, environment, session_name, sts)
            } else {
                Err(SettingsError::Credentials(format!(
                    "set {ROLE_ARN}, {PROVIDER_ARN} and {TOKEN_FILE} (RRSA), or {KEY_ID} and {KEY_SECRET}"
                )))
            }
        }
        CredentialsSource::Rrsa => {
            let [role, provider, file] = required(environment, "RRSA", [ROLE_ARN, PROVIDER_ARN, TOKEN_FILE])?;
            let session = environment.get(SESSION_NAME).unwrap_or(session_name);
            let oidc = AssumeRoleWithOidcCredentialProvider::new()
                .with_role_arn(role)
                .with_oidc_provider_arn(provider)
                .with_oidc_token_file(file)
                .with_role_session_name(session)
                .with_sts_endpoint(sts.url());
            Ok(Provider {
                operation: ASSUME_ROLE,
                target: role.to_owned(),
                nothing: Nothing::Known("RRSA provided no credentials"),
                temporary: true,
                provider: Box::new(oidc),
            })
        }
        CredentialsSource::Env => {
            required(environment, "the credentials source env", [KEY_ID, KEY_SECRET])?;
            Ok(Provider {
                operation: LOCAL,
                target: "from the environment".into(),
                nothing: Nothing::Known("set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
                temporary: false,
                provider: Box::new(EnvCredentialProvider::new()),
            })
        }
        CredentialsSource::Profile { name } => {
            let file = ConfigFileCredentialProvider::new();
            Ok(Provider {
                operation: LOCAL,
                target: name.as_ref().map_or("the current CLI profile".to_owned(), |name| {
                    format!("CLI profile {name}")
                }),
                nothing: Nothing::Profile(name.clone()),
                temporary: false,
                provider: Box::new(name.iter().fold(file, |file, name| file.with_profile(name))),
            })
        }
        CredentialsSource::EcsRole { name } => {
            let ecs = EcsRamRoleCredentialProvider::new();
            Ok(Provider {
                operation: LOCAL,
                target: "RAM role of the ECS instance".into(),
                nothing: Nothing::Known("ALIBABA_CLOUD_ECS_METADATA_DISABLED is set"),
                temporary: true,
                provider: Box::new(name.iter().fold(ecs, |ecs, name| ecs.with_role_name(name))),
            })
        }
    }
}

fn required<'a, const N: usize>(
    environment: &'a Environment,
    what: &str,
    names: [&'static str; N],
) -> Result<[&'a str; N], SettingsError> {
    let missing: Vec<&str> = names
        .iter()
        .filter(|name| environment.get(name).is_none())
        .copied()
        .collect();
    if missing.is_empty() {
        Ok(names.map(|name| environment.get(name).unwrap_or_default()))
    } else {
        Err(SettingsError::Credentials(format!(
            "{what} needs {}, which is not set",
            missing.join(" and ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(source: CredentialsSource, set: &[&str]) -> Result<String, String> {
        let environment = set.iter().map(|name| (name.to_string(), "value")).collect();
        let sts = Endpoint::parse("STS endpoint", "https://sts.invalid").unwrap();
        let provider = choose(&source, &environment, "session", &sts).map_err(|error| error.to_string())?;
        Ok(format!("{} ({})", provider.operation, provider.target))
    }

    #[test]
    fn one_source_is_chosen_and_never_another() {
        let rrsa = &[ROLE_ARN, PROVIDER_ARN, TOKEN_FILE];
        let keys = &[KEY_ID, KEY_SECRET];
        let both = [&rrsa[..], keys].concat();
        assert_eq!(
            chosen(CredentialsSource::Auto, &both).unwrap(),
            "AssumeRoleWithOIDC (value)"
        );
        assert_eq!(
            chosen(CredentialsSource::Env, &both).unwrap(),
            "credentials (from the environment)"
        );
        assert_eq!(
            chosen(CredentialsSource::Auto, keys).unwrap(),
            "credentials (from the environment)"
        );
        for (source, set, missing) in [
            (CredentialsSource::Auto, &[][..], "ALIBABA_CLOUD_ROLE_ARN"),
            (
                CredentialsSource::Auto,
                &[PROVIDER_ARN, TOKEN_FILE, KEY_ID, KEY_SECRET],
                "RRSA needs ALIBABA_CLOUD_ROLE_ARN,",
            ),
            (CredentialsSource::Auto, &[KEY_ID], "ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
            (CredentialsSource::Rrsa, keys, "ALIBABA_CLOUD_OIDC_TOKEN_FILE"),
            (CredentialsSource::Env, rrsa, "ALIBABA_CLOUD_ACCESS_KEY_ID"),
        ] {
            let error = chosen(source, set).unwrap_err();
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn sources_have_names() {
        assert_eq!("rrsa".parse(), Ok(CredentialsSource::Rrsa));
        assert_eq!(
            "Profile:Audit".parse(),
            Ok(CredentialsSource::Profile {
                name: Some("Audit".into())
            })
        );
        assert_eq!("EcsRole".parse(), Ok(CredentialsSource::EcsRole { name: None }));
        assert!("rrsa:x".parse::<CredentialsSource>().is_err());
        assert!("".parse::<CredentialsSource>().is_err());
    }
}

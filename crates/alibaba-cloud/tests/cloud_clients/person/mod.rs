//! A person's credentials: real files in a temporary home, against services on loopback.

mod failures;
mod modes;
mod programs;
mod refusals;
mod sources;

use std::{fs, path::PathBuf, time::Duration};

use alibaba_cloud::{
    ApiError, CloudSettings, CredentialsSource,
    person::{PersonError, PersonOptions, PersonSource, Variables},
    sts::CallerIdentity,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{SECRET, Server, TOKEN, assert_clean, assert_clean_error, connect};

/// A time far in the future, in seconds since 1970; and one long ago.
pub(crate) const LATER: i64 = 32_472_144_000;
pub(crate) const LONG_AGO: i64 = 1_600_000_000;

/// A home directory, empty at first.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Home(tempfile::tempdir().unwrap())
    }

    /// A home whose config.json has these profiles, the first being the current one.
    pub(crate) fn with(profiles: Value) -> Self {
        let home = Home::new();
        home.write(
            ".aliyun/config.json",
            json!({"current": profiles[0]["name"], "profiles": profiles, "meta_path": ""}).to_string(),
        );
        home
    }

    /// A home whose ini file says this.
    pub(crate) fn ini(text: &str) -> Self {
        let home = Home::new();
        home.write(".alibabacloud/credentials", text);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn options(&self) -> PersonOptions {
        PersonOptions {
            profile: None,
            profile_file: None,
            ignore_env: false,
            home: Some(self.0.path().to_owned()),
            variables: Variables::default(),
            external_limit: Duration::from_secs(60),
        }
    }

    pub(crate) fn profile(&self, name: &str) -> PersonOptions {
        PersonOptions {
            profile: Some(name.to_owned()),
            ..self.options()
        }
    }

    /// What is said of the home's current profile when it cannot be used, without where the home is.
    pub(crate) fn refused(&self) -> String {
        self.refused_with(&self.options())
    }

    pub(crate) fn refused_with(&self, options: &PersonOptions) -> String {
        refused(options).replace(self.0.path().to_str().unwrap(), "~")
    }
}

pub(crate) fn refused(options: &PersonOptions) -> String {
    let error: PersonError = options.resolve().unwrap_err();
    let text = error.to_string();
    assert_clean(&format!("{text} {error:?} {error:#?}"));
    assert!(
        text.len() < 900 && !text.contains(|letter: char| letter.is_control()),
        "{text}"
    );
    text
}

pub(crate) fn resolved(options: &PersonOptions) -> PersonSource {
    let source = options.resolve().unwrap();
    assert_clean(&format!("{source:?} {source:#?} {options:?} {}", source.described()));
    source
}

pub(crate) fn settings(server: &Server, options: &PersonOptions) -> CloudSettings {
    let settings = CloudSettings {
        credentials: CredentialsSource::Person(resolved(options)),
        session_name: "a-person".to_owned(),
        ..server.settings()
    };
    assert_clean(&format!("{settings:?} {:?}", connect(&settings)));
    settings
}

/// Asks the server who we are, with a person's credentials.
pub(crate) async fn ask(server: &Server, options: &PersonOptions) -> Result<CallerIdentity, ApiError> {
    let outcome = connect(&settings(server, options)).sts.get_caller_identity().await;
    if let Err(error) = &outcome {
        assert_clean_error(error);
    }
    outcome
}

/// What is said when credentials cannot be fetched; each try of the call gets an answer from the script.
pub(crate) async fn failed(server: &Server, options: &PersonOptions) -> String {
    ask(server, options).await.unwrap_err().to_string()
}

/// A profile with a key that lasts.
pub(crate) fn ak(name: &str) -> Value {
    json!({"name": name, "mode": "AK", "access_key_id": format!("key-of-{name}"), "access_key_secret": SECRET, "region_id": "cn-hangzhou"})
}

/// Settings with their values.
pub(crate) fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name, *value)).collect()
}

/// Keys in the environment.
pub(crate) fn key_variables() -> Variables {
    variables(&[
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "key-of-env"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET),
    ])
}

/// Temporary credentials in a profile.
pub(crate) fn with_token(mut profile: Value, expires: i64) -> Value {
    profile["access_key_id"] = json!("key-of-session");
    profile["access_key_secret"] = json!(SECRET);
    profile["sts_token"] = json!(TOKEN);
    profile["sts_expiration"] = json!(expires);
    profile
}

/// Uses, and fails to use, the sources that deal with the most secrets.
pub(crate) async fn speak_of_nothing() {
    let server = Server::start([
        modes::exchanged("k", crate::credentials::FAR),
        crate::credentials::caller(),
        crate::server::reply(403, format!(r#"{{"Code":"{SECRET}","Message":"{TOKEN}"}}"#)),
    ])
    .await;
    let home = Home::with(json!([
        modes::sso(&server, LATER),
        {"name": "program", "mode": "External", "process_command": format!("sh -c 'echo {SECRET}; echo {SECRET} >&2'")},
    ]));
    ask(&server, &home.options()).await.unwrap();
    failed(&server, &home.options()).await;
    failed(&server, &home.profile("program")).await;
}

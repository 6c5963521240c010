//! Credentials for a person at a terminal: what the aliyun CLI, the SDKs and ack-ram-tool would use.
//!
//! The first source that exists is used. If it fails, that is the error: no other is tried, since that could be another identity.
//!
//! ```text
//! mod          which source: the environment, ~/.aliyun/config.json, ~/.alibabacloud/credentials
//! environment  variables with their aliases          config_json, ini ── document, fields
//!      └──────────────── plan ────────────────────────────┘   what it asks for, checked without the network
//!                          │
//!                        source     asked each time: wire (STS, CloudSSO, metadata, an address), external (a program)
//! ```
//!
//! All of it is text of strangers: sizes are bounded, names are bounded and made legible, and no error, `Debug` output or log holds a secret or
//! what a program printed.

mod config_json;
mod described;
mod document;
mod environment;
mod error;
mod external;
mod fields;
mod ini;
mod mode;
mod plan;
mod problem;
mod received;
mod source;
mod variables;
mod wire;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use described::{Described, SourceKind};
pub use error::PersonError;
use fields::Dialect;
pub use mode::Mode;
use plan::variable;
pub use problem::Problem;
use source::Origin;
pub use source::PersonSource;
pub use variables::Variables;
use variables::{CREDENTIALS_FILE, IGNORE_PROFILE, PROFILE, PROFILE_PATH};
pub(in crate::credentials) use wire::Wire;

/// How long a program may take to print credentials.
const EXTERNAL_LIMIT: Duration = Duration::from_secs(60);

/// How a person's credentials are chosen.
#[derive(Clone, Debug)]
pub struct PersonOptions {
    /// `--profile`: also leaves the environment's credentials out, as nobody names a profile to use something else.
    pub profile: Option<String>,
    /// `--profile-file`: `.json` is a configuration of the aliyun CLI, anything else an ini file. Nothing else is looked at.
    pub profile_file: Option<PathBuf>,
    /// `--ignore-env-credentials`.
    pub ignore_env: bool,
    /// The home directory, for `.aliyun/config.json` and `.alibabacloud/credentials`.
    pub home: Option<PathBuf>,
    /// The environment.
    pub variables: Variables,
    /// How long a program of mode `External` may take. 60 s.
    pub external_limit: Duration,
}

impl PersonOptions {
    /// No flags, the process's environment and home directory.
    pub fn of_process() -> Self {
        PersonOptions {
            profile: None,
            profile_file: None,
            ignore_env: false,
            home: std::env::home_dir().filter(|home| !home.as_os_str().is_empty()),
            variables: Variables::of_process(),
            external_limit: EXTERNAL_LIMIT,
        }
    }

    /// Chooses the source, reads it, and checks what can be checked without the network or another program. Reads files: small ones, but it blocks.
    ///
    /// # Errors
    /// When no source exists, or the first that exists cannot be used.
    pub fn resolve(&self) -> Result<PersonSource, PersonError> {
        if let Some(file) = &self.profile_file {
            return self.of_file(dialect(file), file);
        }
        if !self.ignore_env && self.profile.is_none() {
            if let Some((mut described, planned)) = environment::find(&self.variables) {
                described.mode = planned.mode;
                return self.source(described, Origin::Environment);
            }
            if let Some((_, file)) = self.variables.first(CREDENTIALS_FILE) {
                return self.of_file(Dialect::Ini, Path::new(file));
            }
        }
        let home = |file: &str| self.home.as_ref().map(|home| home.join(file));
        let mut looked = Vec::new();
        if let Some((_, file)) = self.variables.first(PROFILE_PATH) {
            return self.of_file(Dialect::Json, Path::new(file));
        }
        let json = home(".aliyun/config.json").filter(|_| !self.variables.is_on(IGNORE_PROFILE));
        for (dialect, file) in [(Dialect::Json, json), (Dialect::Ini, home(".alibabacloud/credentials"))] {
            let Some(file) = file else { continue };
            if document::exists(&file) {
                return self.of_file(dialect, &file);
            }
            looked.push(file);
        }
        Err(PersonError::None { looked })
    }

    fn of_file(&self, dialect: Dialect, file: &Path) -> Result<PersonSource, PersonError> {
        let kind = match dialect {
            Dialect::Json => SourceKind::ConfigJson,
            Dialect::Ini => SourceKind::Ini,
        };
        let mut described = Described::file(kind, file.to_owned());
        let profile = source::load(dialect, file).and_then(|document| {
            let named = match &self.profile {
                Some(profile) => Some(profile.clone()),
                None => variable(self.variables.first(PROFILE))?.or(document.current),
            };
            Ok(named.unwrap_or_else(|| "default".to_owned()))
        });
        match profile {
            Ok(profile) => {
                described.profile = Some(profile.clone());
                self.source(described, Origin::File(dialect, file.to_owned(), profile))
            }
            Err(problem) => Err(PersonError::Unusable {
                described: Box::new(described),
                problem,
            }),
        }
    }

    fn source(&self, mut described: Described, origin: Origin) -> Result<PersonSource, PersonError> {
        let planned = origin.plan(&self.variables);
        described.mode = planned.mode;
        match planned.plan {
            Ok(_) => Ok(PersonSource::new(
                described,
                planned.region,
                origin,
                self.variables.clone(),
                self.external_limit,
            )),
            Err(problem) => Err(PersonError::Unusable {
                described: Box::new(described),
                problem,
            }),
        }
    }
}

fn dialect(file: &Path) -> Dialect {
    match file.extension().and_then(OsStr::to_str) {
        Some(extension) if extension.eq_ignore_ascii_case("json") => Dialect::Json,
        _ => Dialect::Ini,
    }
}

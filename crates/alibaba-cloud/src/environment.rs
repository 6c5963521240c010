//! The variables that credentials are made of.

use reqsign_core::{Env, OsEnv};
use std::{collections::HashMap, fmt, path::PathBuf};

/// The variables named `ALIBABA_CLOUD_*` that are not empty, and the home directory. `Debug` shows no value.
#[derive(Clone, Default)]
pub struct Environment {
    variables: HashMap<String, String>,
    home: Option<PathBuf>,
}

impl Environment {
    /// A copy of the process's environment.
    pub(crate) fn of_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Environment {
            home: OsEnv.home_dir(),
            ..variables.collect()
        }
    }

    /// The value of a variable, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    /// Without a home directory.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        let kept =
            pairs.filter(|(name, value): &(String, String)| name.starts_with("ALIBABA_CLOUD_") && !value.is_empty());
        Environment {
            variables: kept.collect(),
            home: None,
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&String> = self.variables.keys().collect();
        names.sort();
        f.debug_tuple("Environment").field(&names).finish()
    }
}

impl Env for Environment {
    fn var(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn vars(&self) -> HashMap<String, String> {
        self.variables.clone()
    }

    fn home_dir(&self) -> Option<PathBuf> {
        self.home.clone()
    }
}

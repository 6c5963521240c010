//! The settings of one profile, of whatever file.

use serde_json::{Map, Value};

use super::problem::Problem;

/// The longest value. Security tokens have one or two thousand characters.
pub(super) const VALUE_LIMIT: usize = 16 << 10;

/// How a file calls its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The aliyun CLI's `config.json`.
    Json,
    /// An ini file.
    Ini,
}

/// The settings of one profile, asked for by their names in `config.json`. Has no `Debug`: the values are secrets.
pub(super) struct Fields {
    pub(super) dialect: Dialect,
    values: Map<String, Value>,
}

impl Fields {
    pub(super) fn new(dialect: Dialect, values: Map<String, Value>) -> Self {
        Fields { dialect, values }
    }

    /// The setting's name in this file.
    pub(super) fn name(&self, name: &'static str) -> &'static str {
        match (self.dialect, name) {
            (Dialect::Json, name) => name,
            (Dialect::Ini, "mode") => "type",
            (Dialect::Ini, "ram_role_arn") => "role_arn",
            (Dialect::Ini, "ram_session_name") => "role_session_name",
            (Dialect::Ini, "ram_role_name") => "role_name",
            (Dialect::Ini, "oidc_token_file") => "oidc_token_file_path",
            (Dialect::Ini, name) => name,
        }
    }

    /// A text, if there is one that is not empty.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Problem> {
        let name = self.name(name);
        match self.values.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => clean(name, text),
            Some(_) => Err(Problem::Invalid(name.to_owned(), "it is not text")),
        }
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &'static str) -> Result<String, Problem> {
        self.text(name)?
            .ok_or_else(|| Problem::Lacks(self.name(name).to_owned()))
    }

    /// A number, also one written as text, as in ini files. Zero counts as nothing: so does the CLI.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<i64>, Problem> {
        let name = self.name(name);
        let number = match self.values.get(name) {
            None | Some(Value::Null) => Some(0),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) if text.trim().is_empty() => Some(0),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number {
            Some(0) => Ok(None),
            Some(number) => Ok(Some(number)),
            None => Err(Problem::Invalid(name.to_owned(), "it is not a whole number")),
        }
    }
}

/// A value without the white space around it; none if nothing is left.
pub(super) fn clean(name: &str, text: &str) -> Result<Option<String>, Problem> {
    let text = text.trim();
    let wrong = |why| Err(Problem::Invalid(name.to_owned(), why));
    match text {
        "" => Ok(None),
        _ if text.len() > VALUE_LIMIT => wrong("it is longer than any such value"),
        _ if text.chars().any(char::is_control) => wrong("it contains a control character"),
        _ => Ok(Some(text.to_owned())),
    }
}

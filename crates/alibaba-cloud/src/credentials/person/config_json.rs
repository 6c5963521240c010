//! The aliyun CLI's `~/.aliyun/config.json`.

use serde_json::{Map, Value};

use super::{document::Document, fields::Dialect, problem::Problem};

/// Reads the file. Only the profile that is asked for must make sense: the others are nobody's business.
pub(super) fn parse(text: &str) -> Result<Document, Problem> {
    // Notepad's mark.
    let text = text.trim_start_matches('\u{feff}');
    // The error's own words could quote the file.
    let file: Value = serde_json::from_str(text).map_err(|error| Problem::NotJson(error.line(), error.column()))?;
    let Value::Object(mut file) = file else {
        return Err(Problem::NotAConfiguration);
    };
    let profiles = match file.remove("profiles") {
        Some(Value::Array(profiles)) => profiles,
        _ => return Err(Problem::NotAConfiguration),
    };
    let named = |profile: Value| match profile {
        Value::Object(values) => Some((name(&values)?, values)),
        _ => None,
    };
    let current = match file.remove("current") {
        Some(Value::String(current)) if !current.is_empty() => Some(current),
        _ => None,
    };
    Ok(Document {
        dialect: Dialect::Json,
        current,
        profiles: profiles.into_iter().filter_map(named).collect(),
    })
}

fn name(values: &Map<String, Value>) -> Option<String> {
    values.get("name").and_then(Value::as_str).map(str::to_owned)
}

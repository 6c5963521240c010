//! Ini files, as `~/.alibabacloud/credentials`.

use ini::{Ini, ParseOption};
use serde_json::{Map, Value};

use super::{document::Document, fields::Dialect, problem::Problem};

/// Reads the file: one section a profile, comments after `#` and `;` at the beginning of a line.
pub(super) fn parse(text: &str) -> Result<Document, Problem> {
    let options = ParseOption {
        // `process_command` has quotes and backslashes of its own.
        enabled_quote: false,
        enabled_escape: false,
        ..ParseOption::default()
    };
    // The error's own words could quote the file.
    let file = Ini::load_from_str_opt(text.trim_start_matches('\u{feff}'), options)
        .map_err(|error| Problem::NotIni(error.line))?;
    let profiles = file.iter().filter_map(|(section, values)| {
        let values: Map<String, Value> = values
            .iter()
            .map(|(name, value)| (name.to_owned(), Value::from(unquoted(value))))
            .collect();
        Some((section?.to_owned(), values))
    });
    Ok(Document {
        dialect: Dialect::Ini,
        current: None,
        profiles: profiles.collect(),
    })
}

/// A value without the quotes around the whole of it.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    for quote in ['"', '\''] {
        let inner = value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner.filter(|inner| !inner.contains(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_a_whole_value_are_no_part_of_it() {
        for (value, expected) in [
            (r#""a b""#, "a b"),
            ("'a'", "a"),
            ("a", "a"),
            (r#""/opt/my tool" --x "y""#, r#""/opt/my tool" --x "y""#),
            (r"C:\tools\sso.exe", r"C:\tools\sso.exe"),
            ("\"", "\""),
        ] {
            let file = parse(&format!("# c\n; c\n[p]\nprocess_command = {value}\n")).unwrap();
            let fields = file.profile("p").unwrap();
            assert_eq!(fields.text("process_command").unwrap().unwrap(), expected);
        }
    }
}

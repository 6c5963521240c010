//! A page in one file: it loads nothing, and works without its script, which only sorts and filters.

use super::{missing, view::View};
use base64::{Engine, engine::general_purpose::STANDARD};
use minijinja::{AutoEscape, Environment, Value, context};
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page.
///
/// # Errors
/// When the template does not fit the view.
pub(super) fn render(view: &View) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // Everything is text, but what is marked as safe: the style and the script, which are ours.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.add_template("page", PAGE)?;
    environment.get_template("page")?.render(context! {
        view => Value::from_serialize(view),
        missing => Value::from_serialize(missing::of(&view.clusters)),
        style => STYLE,
        script => SCRIPT,
        // Nothing else runs, and nothing is loaded, whatever a name or a message says.
        policy => format!("default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'", hash(STYLE), hash(SCRIPT)),
    })
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

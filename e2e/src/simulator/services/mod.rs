//! The operations, a file a service. Each is a function of the request, who sent it, and the [`World`](super::World).

pub(super) mod cs;
pub(super) mod ims;
pub(super) mod ram;
pub(super) mod sls;
pub(super) mod sts;

use std::collections::BTreeMap;

use super::message::Refusal;
use super::pages;

/// The parameters of an RPC request.
pub(super) type Parameters = BTreeMap<String, String>;

/// A parameter that must be there.
fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Refusal> {
    parameters
        .get(name)
        .map(String::as_str)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| {
            Refusal::new(
                400,
                "Simulated.MissingParameter",
                format!("the parameter {name} is missing"),
            )
        })
}

/// One page of a list of RAM or IMS. `sizes` are the default and the largest.
fn page(
    parameters: &Parameters,
    plural: &str,
    singular: &str,
    (default, largest): (usize, usize),
    all: Vec<serde_json::Value>,
) -> Result<serde_json::Value, Refusal> {
    let size = number(
        parameters.get("MaxItems").map(String::as_str),
        "MaxItems",
        default,
        1..=largest,
    )?;
    let start = match parameters.get("Marker").filter(|marker| !marker.is_empty()) {
        None => 0,
        Some(marker) => pages::start(marker).ok_or_else(|| {
            let message = format!("the marker was not given out here: {marker}");
            Refusal::new(400, "Simulated.InvalidMarker", message)
        })?,
    };
    let end = (start + size).min(all.len());
    let items = all.get(start.min(end)..end).unwrap_or(&[]);
    let mut answer = serde_json::json!({"IsTruncated": end < all.len(), plural: {singular: items}});
    if end < all.len() {
        answer["Marker"] = pages::marker(end).into();
    }
    Ok(answer)
}

/// Tags in the form of RAM and IMS.
fn tags(tags: &BTreeMap<String, String>) -> serde_json::Value {
    let tag = |(key, value): (&String, &String)| serde_json::json!({"TagKey": key, "TagValue": value});
    serde_json::json!({"Tag": tags.iter().map(tag).collect::<Vec<_>>()})
}

/// A number parameter within limits, or its default.
fn number(
    text: Option<&str>,
    name: &str,
    default: usize,
    limits: std::ops::RangeInclusive<usize>,
) -> Result<usize, Refusal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(default);
    };
    text.parse()
        .ok()
        .filter(|number| limits.contains(number))
        .ok_or_else(|| {
            let message = format!(
                "the parameter {name} must be from {} to {}, not {text}",
                limits.start(),
                limits.end()
            );
            Refusal::new(400, "Simulated.InvalidParameter", message)
        })
}

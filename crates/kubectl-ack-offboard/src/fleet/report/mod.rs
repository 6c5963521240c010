//! Reports for the audit file: markdown, CSV and a page, all of one [view](view::View); JSON is the report file itself.
//!
//! Names and messages in a report were chosen by whoever may write to a cluster: each format escapes all of them.

mod csv;
mod html;
mod markdown;
mod missing;
#[cfg(test)]
mod tests;
mod view;

use super::result::FleetReport;
use crate::{exit::Failure, output};
use view::View;

/// The formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ReportFormat {
    /// For a wiki or a ticket.
    Markdown,
    /// For scripts: the report file.
    Json,
    /// For a spreadsheet.
    Csv,
    /// A page for people, in one file.
    Html,
}

/// The report in this format.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn render(report: &FleetReport, format: ReportFormat) -> Result<String, Failure> {
    let unwritten = |error: &dyn std::fmt::Display| Failure::new(format!("cannot write the report: {error}"));
    match format {
        ReportFormat::Markdown => Ok(markdown::render(&View::of(report))),
        ReportFormat::Json => output::json(report),
        ReportFormat::Csv => csv::render(&View::of(report)).map_err(|error| unwritten(&error)),
        ReportFormat::Html => html::render(&View::of(report)).map_err(|error| unwritten(&error)),
    }
}

//! CSV: one table, with a row for each cluster, each identity in a cluster, and each offboarding. `row` says which.

use super::view::View;
use csv::{Terminator, WriterBuilder};

/// The columns. What a row does not have is empty.
pub(super) const HEADER: [&str; 24] = [
    "row",
    "cluster",
    "cluster_id",
    "region",
    "ended",
    "scanned_at",
    "took_ms",
    "kubeconfigs_issued",
    "gaps",
    "uid",
    "type",
    "name",
    "state",
    "access",
    "bindings",
    "kubeconfig",
    "last_seen",
    "where",
    "offboarding",
    "planned",
    "removed",
    "digest",
    "reason",
    "message",
];

/// The table.
///
/// # Errors
/// When a row cannot be written.
pub(super) fn render(view: &View) -> Result<String, csv::Error> {
    let mut table = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new());
    table.write_record(HEADER)?;
    let mut write = |cells: &[(&str, String)]| {
        let cell = |column: &&str| {
            cells
                .iter()
                .find(|(name, _)| name == column)
                .map_or("", |(_, text)| text.as_str())
        };
        table.write_record(HEADER.iter().map(|column| inert(cell(column))))
    };
    for cluster in &view.clusters {
        let gaps = cluster.gaps.iter().map(|gap| gap.words());
        write(&[
            ("row", "cluster".to_owned()),
            ("cluster", cluster.name.clone()),
            ("cluster_id", cluster.id.clone()),
            ("region", cluster.region.clone()),
            ("ended", cluster.ended.clone()),
            ("scanned_at", cluster.scanned_at.clone()),
            ("took_ms", cluster.took_ms.to_string()),
            ("kubeconfigs_issued", cluster.kubeconfigs_issued.to_string()),
            ("gaps", gaps.collect::<Vec<_>>().join("; ")),
            ("kubeconfig", cluster.kubeconfig.clone()),
            ("message", cluster.message.clone()),
        ])?;
    }
    for identity in &view.identities {
        let places = view.clusters.iter().zip(&identity.cells);
        for (cluster, place) in places.filter(|(_, place)| !place.access.is_empty()) {
            write(&[
                ("row", "access".to_owned()),
                ("cluster", cluster.name.clone()),
                ("uid", identity.uid.clone()),
                ("type", identity.type_.clone()),
                ("name", identity.name.clone()),
                ("state", identity.state.to_owned()),
                ("access", place.access.to_owned()),
                ("bindings", place.bindings.to_string()),
                ("kubeconfig", place.kubeconfig.to_owned()),
                ("last_seen", identity.last_seen.clone()),
                ("where", place.places.join(", ")),
                ("offboarding", place.offboarding.clone()),
                ("message", place.note.clone()),
            ])?;
        }
    }
    for row in &view.offboardings {
        write(&[
            ("row", "offboarding".to_owned()),
            ("cluster", row.cluster.clone()),
            ("uid", row.uid.clone()),
            ("name", row.identity.clone()),
            ("state", row.state.clone()),
            ("offboarding", row.name.clone()),
            ("planned", row.planned.clone()),
            ("removed", row.removed.to_string()),
            ("digest", row.digest.clone()),
            ("reason", row.reason.clone()),
            ("message", row.message.clone()),
        ])?;
    }
    let bytes = table
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A cell that no spreadsheet takes for a formula: some look behind spaces, and know the wide signs of East Asian text as well.
fn inert(text: &str) -> String {
    let begins = text.trim_start();
    match begins.starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

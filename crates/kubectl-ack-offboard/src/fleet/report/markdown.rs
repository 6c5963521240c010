//! Markdown, as wikis and tickets show it.

use super::{
    missing,
    view::{Place, View},
};
use std::fmt::Write;

/// The report.
pub(super) fn render(view: &View) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = write(&mut text, view);
    text
}

fn write(text: &mut String, view: &View) -> std::fmt::Result {
    let summary = &view.summary;
    writeln!(text, "# {}: {} clusters\n", plain(&view.heading), summary.clusters)?;
    writeln!(
        text,
        "`{}`, {}, plugin {}\n",
        code(&view.title),
        view.made_at,
        plain(&view.plugin)
    )?;
    if summary.scanned > 0 {
        writeln!(
            text,
            "- **{} gone and still with access**, {} of them cluster-admin somewhere; {} with access that nothing deals with",
            summary.gone, summary.gone_admins, summary.gone_left
        )?;
        writeln!(text, "- {} identities shown", summary.identities)?;
        if summary.unknown > 0 {
            writeln!(
                text,
                "- **{} of which nobody knows whether they exist**",
                summary.unknown
            )?;
        }
    }
    if view.is_of_access {
        let seen = match summary.scanned {
            0 => "**nobody knows who has access: no cluster was scanned**".to_owned(),
            all if all == summary.clusters => "every cluster was scanned".to_owned(),
            some => format!(
                "**{some} of {} clusters were scanned**: the counts are of these",
                summary.clusters
            ),
        };
        writeln!(text, "- {seen}")?;
    }
    writeln!(
        text,
        "- clusters: {} done, {} held, {} failed, {} not covered",
        summary.done, summary.held, summary.failed, summary.not_covered
    )?;

    let missing = missing::of(&view.clusters);
    if !missing.is_empty() {
        writeln!(text, "\n## What is not in this report\n")?;
        for one in missing {
            writeln!(text, "- **{}**: {}", plain(&one.of), plain(&one.what))?;
        }
    }

    writeln!(text, "\n## Clusters\n")?;
    row(
        text,
        [
            "Cluster",
            "ID",
            "Region",
            "Ended",
            "Scanned",
            "Found",
            "Kubeconfig of the UID",
            "Message",
        ]
        .map(str::to_owned),
    )?;
    rule(text, 8)?;
    for cluster in &view.clusters {
        let ended = if cluster.is_missing || cluster.is_held {
            format!("**{}**", cluster.ended)
        } else {
            cluster.ended.clone()
        };
        row(
            text,
            [
                plain(&cluster.name),
                plain(&cluster.id),
                plain(&cluster.region),
                ended,
                cluster.scanned_at.clone(),
                cluster.findings.to_string(),
                plain(&cluster.kubeconfig),
                plain(&cluster.message),
            ],
        )?;
    }

    if !view.identities.is_empty() {
        writeln!(text, "\n## Identities by clusters\n")?;
        let fixed = ["UID", "Type", "Name", "State", "Access", "Last seen"].map(str::to_owned);
        let names = view.clusters.iter().map(|cluster| plain(&cluster.name));
        row(text, fixed.into_iter().chain(names))?;
        rule(text, 6 + view.clusters.len())?;
        for identity in &view.identities {
            let state = if identity.is_gone {
                format!("**{}**", identity.state)
            } else {
                identity.state.to_owned()
            };
            let fixed = [
                plain(&identity.uid),
                plain(&identity.type_),
                plain(&identity.name),
                state,
                identity.access.to_owned(),
                identity.last_seen.clone(),
            ];
            row(text, fixed.into_iter().chain(identity.cells.iter().map(cell)))?;
        }
        writeln!(text, "\n`?`: not known. `–`: looked, and found nothing.")?;
    }

    if !view.offboardings.is_empty() {
        writeln!(text, "\n## Offboardings\n")?;
        row(
            text,
            [
                "Cluster", "Name", "UID", "Identity", "State", "Planned", "Removed", "Digest", "Reason", "Message",
            ]
            .map(str::to_owned),
        )?;
        rule(text, 10)?;
        for offboarding in &view.offboardings {
            row(
                text,
                [
                    plain(&offboarding.cluster),
                    plain(&offboarding.name),
                    plain(&offboarding.uid),
                    plain(&offboarding.identity),
                    plain(&offboarding.state),
                    offboarding.planned.clone(),
                    offboarding.removed.to_string(),
                    plain(&offboarding.digest),
                    plain(&offboarding.reason),
                    plain(&offboarding.message),
                ],
            )?;
        }
    }
    Ok(())
}

/// What an identity has in a cluster.
fn cell(place: &Place) -> String {
    if place.access.is_empty() {
        return if place.is_known { "–" } else { "?" }.to_owned();
    }
    let mut text = place.access.to_owned();
    if place.bindings > 0 {
        text += &format!(" ({})", place.bindings);
    }
    if !place.places.is_empty() {
        text += &format!("; {}", plain(&place.places.join(", ")));
    }
    if !place.kubeconfig.is_empty() {
        text += &format!(", kubeconfig {}", place.kubeconfig);
    }
    if !place.offboarding.is_empty() {
        text += &format!(", offboarding {}", plain(&place.offboarding));
    }
    text
}

fn row(text: &mut String, cells: impl IntoIterator<Item = String>) -> std::fmt::Result {
    let cells: Vec<_> = cells.into_iter().collect();
    writeln!(text, "| {} |", cells.join(" | "))
}

fn rule(text: &mut String, columns: usize) -> std::fmt::Result {
    writeln!(text, "|{}", "---|".repeat(columns))
}

/// Text in which nothing is taken for markdown, HTML, or the end of a cell.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            // An address becomes a link without any mark, and `@name` calls somebody.
            ':' => plain += "&#58;",
            '@' => plain += "&#64;",
            '<' => plain += "&lt;",
            '>' => plain += "&gt;",
            '&' => plain += "&amp;",
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' | '$' => plain.extend(['\\', c]),
            c => plain.push(c),
        }
    }
    plain.replace("www.", "www&#46;")
}

/// Text between backticks.
fn code(text: &str) -> String {
    text.replace(['`', '|'], "'")
}

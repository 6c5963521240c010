//! Compares the table of flags in `docs/flags.md` with the command line.

use super::settings::RunArgs;
use clap::Args;
use std::collections::BTreeMap;

#[test]
fn the_page_lists_every_flag_with_its_variable_default_and_help() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/flags.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `--"));
    let listed: BTreeMap<_, _> = rows
        .map(|line| {
            let cells: Vec<_> = line
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().trim_start_matches('`').trim_end_matches('`'))
                .collect();
            (cells[0].to_owned(), [cells[1], cells[2], cells[3]].map(str::to_owned))
        })
        .collect();
    let command = RunArgs::augment_args(clap::Command::new("run"));
    let flags: BTreeMap<_, _> = command
        .get_arguments()
        .map(|flag| {
            let defaults: Vec<_> = flag.get_default_values().iter().map(|d| d.to_string_lossy()).collect();
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
            let variable = flag.get_env().unwrap_or_default().to_string_lossy().into_owned();
            (
                format!("--{}", flag.get_long().unwrap_or_default()),
                [variable, defaults.join(","), help],
            )
        })
        .collect();
    assert_eq!(listed, flags);
}

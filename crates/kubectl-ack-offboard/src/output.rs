//! What is printed, and where: data on standard output, everything else on standard error; colour only where somebody sees it.

use crate::exit::{Exit, Failure, Outcome};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::MultiProgress;
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use std::{
    fmt,
    io::{BufWriter, ErrorKind, IsTerminal, Write},
    sync::LazyLock,
};

/// `apiVersion` of everything that is printed as JSON or YAML.
pub(crate) const API_VERSION: &str = "cli.ack-offboarding.io/v1";

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with a wide terminal.
    Wide,
    /// For scripts.
    Json,
    /// For scripts.
    Yaml,
    /// Only the names, as `kubectl get -o name` prints them.
    Name,
}

/// What a verb prints.
pub(crate) trait Shown: Serialize {
    /// `kind` of it as JSON.
    const KIND: &'static str;

    /// For people.
    fn text(&self, wide: bool) -> String;

    /// The names of the objects in it, as `useroffboarding.ack-offboarding.io/NAME`.
    fn names(&self) -> Vec<String>;
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, T> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// The lines at the bottom of a terminal that change while many clusters are asked. What is said meanwhile appears above them.
pub(crate) static LINES: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Data as a JSON document.
///
/// # Errors
/// When it cannot be written as one.
pub(crate) fn json<T: Shown>(body: &T) -> Result<String, Failure> {
    let document = Document {
        api_version: API_VERSION,
        kind: T::KIND,
        body,
    };
    serde_json::to_string_pretty(&document).map_err(|error| Failure::new(format!("cannot write the result: {error}")))
}

/// Prints data to standard output.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn show<T: Shown>(format: Format, body: &T) -> Result<(), Failure> {
    let document = Document {
        api_version: API_VERSION,
        kind: T::KIND,
        body,
    };
    let impossible = |error: &dyn fmt::Display| Failure::new(format!("cannot write the result: {error}"));
    let text = match format {
        Format::Table => body.text(false),
        Format::Wide => body.text(true),
        Format::Json => return print_json(&document),
        Format::Yaml => serde_saphyr::to_string(&document).map_err(|error| impossible(&error))?,
        Format::Name => body
            .names()
            .iter()
            .map(|name| clean(name))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    print(&text)
}

/// Prints JSON as it is made: there may be more of it than fits in memory twice.
fn print_json(document: &impl Serialize) -> Result<(), Failure> {
    let mut out = BufWriter::new(anstream::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, document).map_err(std::io::Error::from);
    printed(written.and_then(|()| writeln!(out)).and_then(|()| out.flush()))
}

/// Prints text to standard output, with one line end at its end; nothing if it is empty.
///
/// # Errors
/// When it cannot be written. Whoever reads it may have stopped to, as `head` does: that is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() {
        return Ok(());
    }
    let mut out = anstream::stdout().lock();
    printed(writeln!(out, "{text}").and_then(|()| out.flush()))
}

fn printed(written: std::io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// As [`print`], for a verb that ends with it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn finish(text: &str, exit: Exit) -> Outcome {
    print(text).map(|()| exit)
}

/// Says something on standard error.
pub(crate) fn note(text: impl fmt::Display) {
    LINES.suspend(|| {
        let _ = writeln!(anstream::stderr(), "{text}");
    });
}

/// Says on standard error what a person should know though it goes on.
pub(crate) fn warn(text: impl fmt::Display) {
    note(format_args!("{} {text}", Paint::Warning.on("warning:")));
}

/// Says on standard error why it ends.
pub(crate) fn error(text: &str) {
    note(format_args!("{} {text}", Paint::Bad.on("error:")));
}

/// Whether somebody sees standard error, so that a line may change.
pub(crate) fn is_live() -> bool {
    std::io::stderr().is_terminal()
}

/// Whether there is somebody to ask: standard input and standard error are terminals.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && is_live()
}

/// What a colour says. Nothing is said by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// As it should be.
    Good,
    /// Work goes on.
    Busy,
    /// It waits, or somebody should know.
    Warning,
    /// A person must do something.
    Bad,
    /// What may be skipped.
    Faint,
    /// A heading, or what it is about.
    Strong,
}

impl Paint {
    /// The text in this colour. The stream that it is written to takes the colour out where nobody would see it.
    pub(crate) fn on(self, text: impl fmt::Display) -> String {
        let style = match self {
            Paint::Good => AnsiColor::Green.on_default(),
            Paint::Busy => AnsiColor::Cyan.on_default(),
            Paint::Warning => AnsiColor::Yellow.on_default(),
            Paint::Bad => AnsiColor::Red.on_default(),
            Paint::Faint => Style::new().dimmed(),
            Paint::Strong => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// A table in kubectl's looks: no lines, three spaces between columns.
pub(crate) fn table<H, R>(header: H, rows: impl IntoIterator<Item = R>) -> String
where
    H: IntoIterator<Item = &'static str>,
    R: IntoIterator<Item = Cell>,
{
    let header: Vec<_> = header.into_iter().map(str::to_owned).collect();
    let rows: Vec<Vec<Cell>> = rows.into_iter().map(|row| row.into_iter().collect()).collect();
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(&header);
    for row in &rows {
        table.add_row(row.iter().map(|cell| cell.text.as_str()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    // The colours come last: they have no width. A line is one row, as no cell has a line end.
    let lines = table.to_string();
    let mut lines = lines.lines();
    let first = lines.next().unwrap_or_default().trim_end().to_owned();
    let painted = rows.iter().zip(lines).map(|(row, line)| paint(row, line.trim_end()));
    std::iter::once(first).chain(painted).collect::<Vec<_>>().join("\n")
}

/// Colours the cells in a line, which are in it in their order.
fn paint(row: &[Cell], line: &str) -> String {
    let (mut done, mut rest) = (String::new(), line);
    for cell in row {
        let Some((before, after)) = rest.split_once(cell.text.as_str()).filter(|_| !cell.text.is_empty()) else {
            continue;
        };
        done.push_str(before);
        match cell.paint {
            Some(paint) => done.push_str(&paint.on(&cell.text)),
            None => done.push_str(&cell.text),
        }
        rest = after;
    }
    done + rest
}

/// A cell of a table: one line.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// With a colour.
    pub(crate) fn painted(text: impl fmt::Display, paint: Paint) -> Self {
        let paint = Some(paint);
        Cell {
            paint,
            ..Cell::from(text.to_string())
        }
    }
}

impl From<String> for Cell {
    /// Control characters, line ends too, become spaces: what was written by others is never obeyed by a terminal.
    fn from(text: String) -> Self {
        let text = clean(&text).trim().to_owned();
        Cell {
            text: if text.is_empty() { "-".to_owned() } else { text },
            paint: None,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Option<String>> for Cell {
    /// `-` where there is nothing.
    fn from(text: Option<String>) -> Self {
        text.unwrap_or_default().into()
    }
}

/// Text from elsewhere, without what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_steering(c) { ' ' } else { c }).collect()
}

/// Whether it moves the cursor, ends the line, changes the direction of text, or cannot be seen: names with these look like other names.
fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{061c}')
}

/// How long ago it was, as kubectl says it: `45s`, `12m`, `3h`, `8d`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_and_without_colours() {
        let rows = [
            [
                Cell::from("a"),
                Cell::painted("Offboarded", Paint::Good),
                Cell::from(""),
            ],
            [
                Cell::from("longer"),
                Cell::painted("Forbidden", Paint::Bad),
                Cell::from("x"),
            ],
        ];
        let text = table(["NAME", "STATE", "AGE"], rows);
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain,
            "NAME     STATE        AGE\na        Offboarded   -\nlonger   Forbidden    x"
        );
        assert!(text.contains("\u{1b}[31mForbidden\u{1b}[0m"), "{text:?}");
    }

    #[test]
    fn a_terminal_obeys_nobody_else() {
        assert_eq!(Cell::from("a\u{1b}[2Jb\nc").text, "a [2Jb c");
        assert_eq!(clean("admin\u{202e}nimda\u{200b}\u{feff}\u{2066}x"), "admin nimda   x");
    }

    #[test]
    fn an_age_has_one_unit() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let ago = |seconds: i64| age(Timestamp::from_second(1_000_000 - seconds).unwrap(), now);
        let ages = [-5, 5, 119, 120, 7_199, 7_200, 172_799, 172_800].map(ago);
        assert_eq!(ages, ["0s", "5s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }
}

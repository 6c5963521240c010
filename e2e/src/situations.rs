//! The page `docs/situations.md`, made of the scenarios: a test's name is the situation, its doc comment is what the
//! operator does, and its snapshots are what the person sees.

use anyhow::{Context, ensure};
use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
};
use syn::visit::Visit;

/// The groups of rows: the file of the scenarios, and the heading.
const GROUPS: &[(&str, &str)] = &[
    ("identities", "Who the UID is"),
    ("activity", "Whether they are still active"),
    ("doubt", "When their activity is unknown"),
    ("evidence", "When the log cannot be searched for them"),
    ("waiting", "Waiting and deciding"),
    ("usage", "What is told before anything is removed"),
    ("strictest", "Several objects, and budgets"),
    ("names", "Names that begin with the UID"),
    ("bindings", "What is removed"),
    ("obstacles", "What stands in the way"),
    ("edits", "Somebody changes a binding meanwhile"),
    ("limits", "Large, crowded, and lost"),
    ("attacks_backups", "Backups are deleted"),
    ("attacks_names", "A name that is no text"),
    ("policies", "An admission policy is missing"),
    ("cloud", "The cloud does not answer as it should"),
    ("certificates", "What ACK says of the kubeconfig"),
    ("afterwards", "After the end"),
    ("returns", "Something comes back"),
    ("restarts", "The operator is killed"),
];

const INTRODUCTION: &str = "\
# Situations

What the operator does in each, and what `kubectl describe` shows then. Every row is a test that brings the situation about,
with a real API server and a simulated cloud, and compares what is shown with what stands here: this page is made of those
tests (`cargo situations`). `Ready` and the conditions that tell more than it are shown; `Reconciling`, `Stalled` and
`Offboarded` follow from them ([api.md](api.md) has all). Words in capitals, as TIME, stand for what differs each time.
";

/// A test of the scenarios, as the page shows it.
#[derive(Debug)]
struct Scenario {
    name: String,
    does: String,
    moments: Vec<Moment>,
}

/// What is seen at one moment of a test.
#[derive(Debug)]
struct Moment {
    name: String,
    text: String,
}

/// The suffix of the file of a snapshot: the moment, in letters, digits and hyphens.
pub fn suffix(moment: &str) -> String {
    let words = moment
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// The page.
///
/// # Errors
/// When a scenario has snapshots and no doc comment, a snapshot is missing or belongs to no test, or a file cannot be read.
pub fn page() -> anyhow::Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut unused: BTreeSet<PathBuf> = BTreeSet::new();
    for entry in std::fs::read_dir(folder.join("snapshots"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "snap") {
            unused.insert(path);
        }
    }
    let mut page = INTRODUCTION.to_owned();
    for (module, heading) in GROUPS {
        let scenarios = scenarios(&folder, module, &mut unused)?;
        if scenarios.is_empty() {
            continue;
        }
        let _ = write!(
            page,
            "\n## {heading}\n\n| Situation | What the operator does | What the person sees |\n|---|---|---|\n"
        );
        for scenario in scenarios {
            let seen = seen(&scenario.moments);
            let _ = writeln!(
                page,
                "| {} | {} | {seen} |",
                situation(&scenario.name),
                cell(&scenario.does)
            );
        }
    }
    ensure!(unused.is_empty(), "snapshots of no scenario: {unused:#?}");
    Ok(page)
}

/// The scenarios with snapshots in a module, in its order.
fn scenarios(folder: &Path, module: &str, unused: &mut BTreeSet<PathBuf>) -> anyhow::Result<Vec<Scenario>> {
    let source = folder.join(format!("{module}.rs"));
    if !source.exists() {
        return Ok(Vec::new());
    }
    let file = syn::parse_file(&std::fs::read_to_string(&source)?).with_context(|| source.display().to_string())?;
    let mut found = Vec::new();
    for item in &file.items {
        let syn::Item::Fn(function) = item else { continue };
        let mut sights = Sights::default();
        sights.visit_block(&function.block);
        if sights.0.is_empty() {
            continue;
        }
        let name = function.sig.ident.to_string();
        let does = documentation(&function.attrs);
        ensure!(
            !does.is_empty(),
            "{module}::{name} shows something and says nothing: it needs a doc comment"
        );
        let mut moments = Vec::new();
        for moment in sights.0 {
            let path = folder.join(format!("snapshots/{module}.{name}@{}.snap", suffix(&moment)));
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("{module}::{name}, {moment:?}: {}", path.display()))?;
            unused.remove(&path);
            let text = text
                .splitn(3, "---\n")
                .nth(2)
                .context("a snapshot without its head")?
                .to_owned();
            moments.push(Moment { name: moment, text });
        }
        found.push(Scenario { name, does, moments });
    }
    Ok(found)
}

/// The moments that a test names in `sees!` and `sees_text!`, in its order.
#[derive(Default)]
struct Sights(Vec<String>);

impl<'ast> Visit<'ast> for Sights {
    fn visit_macro(&mut self, found: &'ast syn::Macro) {
        let is = |name| found.path.is_ident(name);
        if !is("sees") && !is("sees_text") {
            return;
        }
        let parts = found.parse_body_with(syn::punctuated::Punctuated::<syn::Expr, syn::Token![,]>::parse_terminated);
        let position = if is("sees") { 2 } else { 0 };
        if let Ok(parts) = parts
            && let Some(syn::Expr::Lit(syn::ExprLit {
                lit: syn::Lit::Str(moment),
                ..
            })) = parts.iter().nth(position)
        {
            self.0.push(moment.value());
        }
    }
}

fn documentation(attributes: &[syn::Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(syn::MetaNameValue {
            path,
            value:
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(text),
                    ..
                }),
            ..
        }) if path.is_ident("doc") => Some(text.value().trim().to_owned()),
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// `a_plan_waits` is "A plan waits".
fn situation(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

/// The moments of a test in one cell of the table.
fn seen(moments: &[Moment]) -> String {
    let mut parts = Vec::new();
    for moment in moments {
        parts.push(format!("*{}:*", cell(&moment.name)));
        let lines: Vec<&str> = moment.text.lines().filter(|line| !line.trim().is_empty()).collect();
        let is_circumstance = |line: &str| line.starts_with("# ");
        let several = lines.iter().any(|line| is_circumstance(line));
        for group in lines.chunk_by(|_, next| !is_circumstance(next)) {
            group_of_lines(group, several, &mut parts);
        }
    }
    parts.join("<br>")
}

/// What is seen at once: the message of `Ready`, and of the other conditions what it does not say already. Where there are
/// several such groups, of the others only status and reason.
fn group_of_lines(lines: &[&str], briefly: bool, parts: &mut Vec<String>) {
    let ready = lines
        .iter()
        .find_map(|line| line.strip_prefix("Ready="))
        .unwrap_or_default();
    let (state, ready_says) = ready.split_once(": ").unwrap_or((ready, ""));
    let follows = |line: &str| {
        let of_ready = line
            .strip_prefix("Offboarded=")
            .is_some_and(|state_here| state_here == state);
        of_ready || line.starts_with("Reconciling=") || line.starts_with("Stalled=")
    };
    let mut silent = Vec::new();
    for line in lines.iter().filter(|line| !follows(line)) {
        if let Some(circumstance) = line.strip_prefix("# ") {
            parts.push(format!("*{}:*", cell(circumstance)));
            continue;
        }
        match line.split_once(": ").unwrap_or((line, "")) {
            (condition, message) if condition.contains('=') => {
                let is_ready = condition.starts_with("Ready=");
                if is_ready || !(briefly || message.is_empty() || ready_says.contains(message)) {
                    parts.push(format!("`{condition}`: {}", cell(message)));
                } else {
                    silent.push(format!("`{condition}`"));
                }
            }
            _ => parts.push(cell(line)),
        }
    }
    if !silent.is_empty() {
        parts.push(silent.join(", "));
    }
}

/// Text that neither ends the cell nor is taken for markup.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('>', "&gt;")
}

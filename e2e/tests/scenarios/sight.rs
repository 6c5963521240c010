//! What a person sees at some moment of a scenario, as a text that was read once and is compared ever after.
//!
//! `sees!(env, "left", "while it waits")` compares conditions and messages with the snapshot of this test and moment,
//! in the folder `snapshots`. `docs/situations.md` is made of the tests' names, their doc comments, and these snapshots:
//! each test with one is a row there, each reason must be in one. New texts are accepted with `INSTA_UPDATE=always`, or
//! `cargo insta review`; then `cargo situations > docs/situations.md`.

use ack_offboarding_e2e::states;
use ack_offboarding_operator::api::{ConditionType, UserOffboarding, UserOffboardingStatus, conditions};
use std::{
    collections::BTreeSet,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

/// What differs from run to run, and the word that stands for it.
const VARYING: &[(&str, &str)] = &[
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DATE"),
    (r"uid [0-9a-f]{8}\b", "uid SHORT"),
    (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    // Whichever of the two deadlines comes first: of the request, or of the whole call.
    (r"operation timed out|no result after [0-9.]+m?s", "TIMEOUT"),
    (
        r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}",
        "REQUEST-ID",
    ),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"offboarding-[0-9]+-cleared-[0-9a-f]{20}", "CLEARED"),
    (r"offboarding-[0-9]+-[0-9a-f]{20}(-[0-9]+)?", "BACKUP"),
];

/// Compares what `kubectl describe` shows of an object now with the snapshot of this test and moment.
macro_rules! sees {
    ($env:expr, $name:expr, $moment:expr) => {{
        let object = $env.offboardings().get($name).await?;
        $crate::sight::record(&object)?;
        let seen = $crate::sight::describe(&object.status.unwrap_or_default());
        $crate::sight::sees_text!($moment, seen)
    }};
}

/// The same, of a text: several objects, or one under several circumstances, each under a line `# circumstance`.
macro_rules! sees_text {
    ($moment:expr, $text:expr) => {{
        fn here() {}
        $crate::sight::compare(std::any::type_name_of_val(&here), $moment, &$text)
    }};
}

pub(crate) use {sees, sees_text};

/// Keeps the object, as `kubectl get -o json` shows it, if that is asked for (`RECORD_STATES=1`), and it is the first of its state, or the
/// first with some reason in some condition.
pub(crate) fn record(object: &UserOffboarding) -> anyhow::Result<()> {
    // One scenario at a time, so that each sees what the others kept.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if std::env::var_os("RECORD_STATES").is_none() {
        return Ok(());
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let status = object.status.clone().unwrap_or_default();
    let state = states::state(&status);
    let examples = states::examples()?;
    let new_state = examples.iter().all(|(name, _)| *name != state);
    let known: BTreeSet<String> = examples
        .iter()
        .flat_map(|(_, object)| states::reasons(object))
        .collect();
    let new_reason = states::reasons(object)
        .into_iter()
        .find(|reason| !known.contains(reason));
    let name = match (new_state, new_reason) {
        (true, _) => state,
        (false, Some(reason)) => format!("{state}.{reason}"),
        (false, None) => return Ok(()),
    };
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    let mut text = serde_json::to_string_pretty(&object)?;
    text.push('\n');
    Ok(std::fs::write(states::folder().join(format!("{name}.json")), text)?)
}

/// One line a condition, Ready first: `Type=Status/Reason: message`. A message that was shown is not repeated, and
/// what has not been evaluated yet is one line.
pub(crate) fn describe(status: &UserOffboardingStatus) -> String {
    let mut text = String::new();
    let mut shown: Vec<&str> = vec![""];
    let mut pending = Vec::new();
    let first = [ConditionType::Ready];
    let rest = ConditionType::ALL.iter().filter(|type_| **type_ != first[0]);
    for type_ in first.iter().chain(rest) {
        let Some(c) = conditions::find(&status.conditions, *type_) else {
            let _ = writeln!(text, "{type_} is not set");
            continue;
        };
        if c.reason == "Pending" && c.message == "Not evaluated yet." {
            pending.push(type_.as_str());
            continue;
        }
        let _ = write!(text, "{type_}={}/{}", c.status, c.reason);
        if !shown.contains(&c.message.as_str()) {
            let _ = write!(text, ": {}", c.message);
            shown.push(&c.message);
        }
        text.push('\n');
    }
    if !pending.is_empty() {
        let _ = writeln!(text, "{}=Unknown/Pending: Not evaluated yet.", pending.join(","));
    }
    text
}

/// Compares a text with the snapshot of a test and moment. `here` is the name of a function within the test.
#[track_caller]
pub(crate) fn compare(here: &str, moment: &str, text: &str) {
    let mut path = here.split("::").filter(|part| !part.starts_with('{'));
    let (module, test) = (path.nth(1).unwrap_or_default(), path.next().unwrap_or_default());
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("snapshots");
    settings.set_snapshot_suffix(ack_offboarding_e2e::situations::suffix(moment));
    for (pattern, word) in VARYING {
        settings.add_filter(pattern, *word);
    }
    settings.bind(|| insta::assert_snapshot!(format!("{module}.{test}"), text));
}

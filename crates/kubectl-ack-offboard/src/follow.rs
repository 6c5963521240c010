//! Follows one offboarding: a line that changes where somebody sees it, else one line for each change.

use crate::{
    cluster::{Cluster, Role},
    exit::{Failure, NotCovered},
    offboarding::{self, SILENCE, State, condition},
    output::{self, Paint},
};
use ack_offboarding_operator::api::{ConditionType, Ends, UserOffboarding};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use std::{pin::pin, time::Duration};
use tokio::time::Instant;

/// What a caller makes of each state.
pub(crate) enum Seen {
    /// There is more to come.
    GoOn,
    /// This is what was waited for.
    Enough,
}

/// How long to follow.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// When to give up.
    pub(crate) deadline: Option<Duration>,
    /// Whether to give up where no operator answers.
    pub(crate) needs_operator: bool,
    /// What is told meanwhile.
    pub(crate) tells: Tells,
}

/// What is told while something is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Each change.
    Changes,
    /// That something is under way, where somebody sees it.
    Work,
    /// Nothing: many are followed at a time.
    Nothing,
}

/// Follows the object until `judge` has seen enough.
///
/// # Errors
/// When it is deleted, the deadline passes, it may not be watched, or no operator answers where one is needed.
pub(crate) async fn follow(
    cluster: &Cluster,
    name: &str,
    patience: Patience,
    mut judge: impl FnMut(&UserOffboarding) -> Result<Seen, Failure>,
) -> Result<UserOffboarding, Failure> {
    let began = Instant::now();
    let mut line = Line::new(name, patience.tells);
    let api: Api<UserOffboarding> = Api::all(cluster.patient.clone());
    let mut changes = pin!(watcher::watch_object(api, name).default_backoff());
    let mut latest: Option<UserOffboarding> = None;
    let end = patience.deadline.map(|deadline| began + deadline);
    let mut said_nothing = false;
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = until(end) => return Err(deadline(name, patience, latest.as_ref())),
            // The operator's first word comes within seconds.
            () = tokio::time::sleep(SILENCE), if !said_nothing => {
                said_nothing = true;
                if latest.as_ref().is_some_and(|object| State::of(object) == State::Unvisited) {
                    let message = offboarding::no_operator(name);
                    if patience.needs_operator {
                        return Err(Failure::new(message).because(NotCovered::NoOperator));
                    }
                    line.say(&message);
                } else if latest.as_ref().is_some_and(|object| !offboarding::is_current(object)) {
                    line.say("The operator has not looked at the latest change of the spec yet. Is it running?");
                }
                continue;
            }
        };
        let object = match change {
            Some(Ok(Some(object))) => object,
            Some(Ok(None)) => {
                return Err(match latest {
                    Some(_) => Failure::new(format!("UserOffboarding {name} was deleted.")),
                    None => not_there(name),
                });
            }
            Some(Err(error)) => {
                check(cluster, &error, name)?;
                line.say(&format!("the API server does not answer, trying again: {error}"));
                continue;
            }
            None => return Err(Failure::new("the API server ended the watch.")),
        };
        line.show(&object);
        let seen = judge(&object)?;
        latest = Some(object.clone());
        if let Seen::Enough = seen {
            return Ok(object);
        }
    }
}

/// What ends a watch for good: a refusal. Everything else is tried again.
fn check(cluster: &Cluster, error: &watcher::Error, name: &str) -> Result<(), Failure> {
    use watcher::Error;
    let status = match error {
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => error,
        Error::WatchError(status) => &kube::Error::Api(status.clone()),
        Error::NoResourceVersion => return Ok(()),
    };
    match status {
        kube::Error::Api(answer) if matches!(answer.code, 401 | 403 | 404) => {
            Err(cluster.refused(status, &format!("follow UserOffboarding {name}"), Role::Viewer))
        }
        _ => Ok(()),
    }
}

/// There is no such object.
pub(crate) fn not_there(name: &str) -> Failure {
    Failure::new(format!(
        "there is no UserOffboarding {name}. `kubectl ack-offboard status` lists what there is."
    ))
    .because(NotCovered::NoSuchObject)
}

fn deadline(name: &str, patience: Patience, latest: Option<&UserOffboarding>) -> Failure {
    let after = patience.deadline.unwrap_or_default().as_secs();
    let stands = match latest {
        Some(object) if State::of(object) == State::Unvisited => offboarding::no_operator(name),
        // The operator's message was told.
        Some(object) if matches!(patience.tells, Tells::Changes) => {
            format!("UserOffboarding {name} is {}.", State::of(object).word())
        }
        Some(object) => {
            let ready = condition(object, ConditionType::Ready);
            let message = ready.map(|ready| output::clean(&ready.message)).unwrap_or_default();
            format!("UserOffboarding {name} is {}: {message}", State::of(object).word())
        }
        None => format!("UserOffboarding {name} could not be read"),
    };
    let failure = Failure::deadline(format!(
        "{after} s have passed. {stands} What to do: kubectl ack-offboard explain {name}"
    ));
    match latest.is_some_and(|object| State::of(object) == State::Unvisited) {
        true => failure.because(NotCovered::NoOperator),
        false => failure,
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Whether this state is held: a person must act, or somebody asked for it.
pub(crate) fn is_held(state: &State) -> bool {
    matches!(state.ends(), Some(Ends::Person | Ends::Asked))
}

/// The line on standard error.
struct Line {
    bar: Option<ProgressBar>,
    name: String,
    shown: Option<(String, String)>,
    tells: Tells,
}

impl Line {
    fn new(name: &str, tells: Tells) -> Self {
        let bar = (output::is_live() && tells != Tells::Nothing).then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_message(format!("{name}: waiting for the operator"));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Line {
            bar,
            name: name.to_owned(),
            shown: None,
            tells,
        }
    }

    /// A line that stays.
    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(text)),
            None if self.tells == Tells::Nothing => {}
            None => output::note(text),
        }
    }

    fn show(&mut self, object: &UserOffboarding) {
        let state = State::of(object);
        let message = condition(object, ConditionType::Ready).map(|ready| output::clean(&ready.message));
        let now = (state.word().to_owned(), message.unwrap_or_default());
        if self.tells != Tells::Changes || self.shown.as_ref() == Some(&now) || state == State::Unvisited {
            return;
        }
        let paint = state.ends().map_or(Paint::Strong, offboarding::paint);
        let at = Timestamp::now().strftime("%H:%M:%S").to_string();
        let text = format!("{} {}: {}", paint.on(&now.0), self.name, now.1);
        self.say(&format!("{} {text}", Paint::Faint.on(at)));
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {}", self.name, now.0));
        }
        self.shown = Some(now);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

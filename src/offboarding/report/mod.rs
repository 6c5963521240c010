//! Step 9: says what was seen and done, in the status and by events.

mod findings;
mod kubeconfig;
mod progress;

pub(super) use findings::complete;

use super::{
    events,
    outcome::{Blocked, Done, Interrupted},
    run::Run,
    shells::Waiting,
};
use crate::{
    api::{
        ConditionStatus as Is, ConditionType as Condition, Ends, KubeconfigPolicy, OperatorStatus, Reason,
        UserOffboarding, UserOffboardingStatus, conditions,
    },
    clock::Clock,
    rbac::appearances::Appearances,
    status_writer::{Adopt, NotWritten, StatusWriter},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use std::borrow::Cow;

/// The longest message of a condition, in characters.
const MESSAGE_LIMIT: usize = 4096;

/// The status of one object, while it is being written.
pub(super) struct Report {
    writer: StatusWriter<UserOffboarding>,
    status: UserOffboardingStatus,
    clock: Clock,
    now: Timestamp,
    /// Whether a run was begun in this look.
    has_begun: bool,
    newest_backup: Option<Timestamp>,
    /// The backups that the status listed when this look began.
    listed: Vec<String>,
    /// What no longer names anybody and waits for its finalizers, once that is known.
    waiting: Option<Vec<Waiting>>,
    /// What began to bear the UID since the proof that came before ACK's purge.
    appearances: Option<Appearances>,
}

impl Report {
    /// Begins with what was reported before. Conditions that are missing are `Unknown/Pending`.
    pub(super) fn begin(object: UserOffboarding, clock: Clock, namespace: &str) -> Self {
        let writer = StatusWriter::new(object);
        let mut report = Report {
            status: writer.written().clone(),
            writer,
            now: clock.now(),
            clock,
            has_begun: false,
            newest_backup: None,
            listed: Vec::new(),
            waiting: None,
            appearances: None,
        };
        if let Some(backup) = &report.status.backup {
            report.listed = backup.config_maps.clone();
        }
        report.status.observed_generation = report.object().metadata.generation;
        report.status.operator = Some(OperatorStatus {
            namespace: namespace.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        for type_ in Condition::ALL {
            if conditions::find(&report.status.conditions, *type_).is_none() {
                report.set(*type_, Is::Unknown, Reason::Pending, "Not evaluated yet.");
            }
        }
        report
    }

    /// Sets one condition. Its message is cut at [`MESSAGE_LIMIT`]: parts of it are other people's text.
    pub(super) fn set(&mut self, type_: Condition, status: Is, reason: Reason, message: &str) {
        let message = &cut(&legible(message), MESSAGE_LIMIT);
        let generation = self.object().metadata.generation;
        conditions::set(
            &mut self.status.conditions,
            type_,
            status,
            reason,
            message,
            generation,
            self.now,
        );
    }

    pub(super) fn finish(&mut self, outcome: Result<&Done, &Blocked>) {
        match outcome {
            Ok(done) => self.done(done),
            Err(blocked) => self.held(blocked),
        }
    }

    fn done(&mut self, done: &Done) {
        let Done { reason, message } = done;
        if *reason == Reason::DryRunComplete {
            self.set(Condition::Approved, Is::False, Reason::DryRun, message);
            self.set(Condition::Offboarded, Is::False, *reason, message);
        } else {
            let was_complete = conditions::find(&self.writer.written().conditions, Condition::Offboarded)
                .is_some_and(|c| c.status == "True");
            let newer =
                later(self.status.started_at.as_ref(), self.status.completed_at.as_ref()) || self.purge_requested();
            if !was_complete || newer {
                // Not before anything of this run, whichever node's clock that was written by.
                let own = [self.status.started_at.as_ref(), self.status.purge_requested_at.as_ref()];
                let latest = own.into_iter().flatten().map(|t| t.0).chain(self.newest_backup).max();
                self.status.completed_at = Some(Time(latest.map_or(self.clock.now(), |t| t.max(self.clock.now()))));
            }
            self.status.waiting_since = None;
            self.status.clearance = None;
            if let Some(kubeconfig) = &mut self.status.kubeconfig {
                kubeconfig.reissued_at = None;
            }
            let verified = if *reason == Reason::Offboarded {
                Reason::Verified
            } else {
                *reason
            };
            self.set(Condition::Offboarded, Is::True, verified, message);
            self.set(
                Condition::AccessReturned,
                Is::False,
                Reason::None,
                "No access has returned since the offboarding completed.",
            );
        }
        self.status.unfinished_since = None;
        self.set(Condition::Ready, Is::True, *reason, message);
        self.set(Condition::Reconciling, Is::False, *reason, "");
        self.set(Condition::Stalled, Is::False, Reason::None, "");
    }

    fn held(&mut self, blocked: &Blocked) {
        let Blocked {
            reason, message, about, ..
        } = blocked;
        let stalled = blocked.is_stalled();
        if let Some((condition, is, reason)) = about {
            self.set(*condition, *is, *reason, message);
            self.bindings_remain(*condition);
        }
        if *reason == Reason::WaitingForInactivity && self.status.waiting_since.is_none() {
            self.status.waiting_since = Some(Time(self.now));
        }
        // Waiting on request is no trouble; neither is what has just begun.
        let is_asked = reason.ends() == Some(Ends::Asked);
        if is_asked {
            self.status.unfinished_since = None;
        } else if self.status.unfinished_since.is_none() {
            self.status.unfinished_since = Some(Time(self.now));
        }
        if *reason == Reason::Suspended {
            // Somebody stopped it: that is not the wait that the spec limits.
            self.status.waiting_since = None;
        }
        self.set(Condition::Ready, Is::False, *reason, message);
        self.set(Condition::Offboarded, Is::False, *reason, message);
        let (reconciling, stuck) = if stalled {
            (Is::False, Is::True)
        } else {
            (Is::True, Is::False)
        };
        self.set(
            Condition::Reconciling,
            reconciling,
            *reason,
            if stalled { "" } else { message },
        );
        let stalled_reason = if stalled { *reason } else { Reason::None };
        self.set(
            Condition::Stalled,
            stuck,
            stalled_reason,
            if stalled { message } else { "" },
        );
    }

    /// Says of the later steps what a hold about this condition means for them, whatever an earlier look said.
    fn bindings_remain(&mut self, about: Condition) {
        let holds = |type_| conditions::find(&self.status.conditions, type_).is_some_and(|c| c.status == "True");
        let not_stored = about == Condition::BackedUp && !holds(Condition::BindingsRemoved);
        let is_purged = holds(Condition::KubeconfigPurged);
        if not_stored {
            let why = "Bindings name the UID. Each is backed up before it is removed.";
            self.set(Condition::BindingsRemoved, Is::Unknown, Reason::Pending, why);
        }
        if (not_stored || about == Condition::BindingsRemoved)
            && !is_purged
            && self.object().spec.kubeconfig == KubeconfigPolicy::Purge
        {
            let why = "Bindings are left: the operator does not request ACK's purge, because it would remove them without a \
             check.";
            self.set(Condition::KubeconfigPurged, Is::False, Reason::BindingsRemain, why);
        }
    }

    /// Writes the status, if it says anything new, and publishes an event for each transition.
    ///
    /// # Errors
    /// [`Interrupted::Superseded`] if the object is no longer the observed one, or another process may lead.
    pub(super) async fn write(&mut self, run: &Run) -> Result<(), Interrupted> {
        let written = self
            .writer
            .write(&run.client, &self.status, || run.leadership.permit_report());
        let written = written.await;
        self.status.adopt(self.writer.written());
        match written {
            Ok(None) => Ok(()),
            Ok(Some(before)) => {
                // Somebody only looks at a plan: that is no event in the life of an offboarding.
                if !self.object().is_plan() {
                    events::publish(&run.client, self.clock.now(), self.object(), &before, &self.status);
                }
                Ok(())
            }
            Err(NotWritten::Superseded | NotWritten::NotPermitted) => Err(Interrupted::Superseded),
            Err(NotWritten::Api(error)) => Err(error.into()),
        }
    }

    pub(super) fn object(&self) -> &UserOffboarding {
        self.writer.object()
    }
}

/// `text` as a terminal can show it: what other people wrote may hold characters that would steer it.
fn legible(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n';
    if !text.contains(steers) {
        return text.into();
    }
    text.chars()
        .fold(String::new(), |mut legible, c| {
            match steers(c) {
                true => legible.extend(c.escape_unicode()),
                false => legible.push(c),
            }
            legible
        })
        .into()
}

/// `text`, if it is longer than `limit` characters without its end.
fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Whether `a` is set and later than `b`, or `b` is not set.
fn later(a: Option<&Time>, b: Option<&Time>) -> bool {
    a.is_some_and(|a| b.is_none_or(|b| a.0 > b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_spelled_out() {
        assert_eq!(legible("RoleBinding a\u{1b}[2J/b"), "RoleBinding a\\u{1b}[2J/b");
        assert!(matches!(legible("two\nlines, né"), Cow::Borrowed(_)));
    }
}

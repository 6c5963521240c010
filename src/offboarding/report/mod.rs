//! Step 9: says what was seen and done, in the status and by events.

mod findings;
mod kubeconfig;
mod progress;

pub use findings::complete;

use super::{
    context::Context,
    events,
    outcome::{Blocked, Done, Interrupted},
    shells::Waiting,
};
use crate::{
    api::{
        ConditionStatus as Is, ConditionType as Condition, Ends, KubeconfigPolicy, Reason, UserOffboarding,
        UserOffboardingStatus, conditions,
    },
    rbac::appearances::Appearances,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::borrow::Cow;

/// The field manager of the status.
const MANAGER: &str = "ack-offboarding-operator";

/// How often a status write is tried again after an edit that changed neither uid nor generation.
const WRITE_ATTEMPTS: u32 = 5;

/// The longest message of a condition, in characters.
const MESSAGE_LIMIT: usize = 4096;

/// The status of one object, while it is being written.
pub struct Report {
    /// The object that was observed.
    pub object: UserOffboarding,
    written: UserOffboardingStatus,
    status: UserOffboardingStatus,
    now: Timestamp,
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
    pub fn begin(object: UserOffboarding) -> Self {
        let written = object.status.clone().unwrap_or_default();
        let mut report = Report {
            object,
            status: written.clone(),
            written,
            now: Timestamp::now(),
            newest_backup: None,
            listed: Vec::new(),
            waiting: None,
            appearances: None,
        };
        if let Some(backup) = &report.status.backup {
            report.listed = backup.config_maps.clone();
        }
        report.status.observed_generation = report.object.metadata.generation;
        for type_ in Condition::ALL {
            if conditions::find(&report.status.conditions, *type_).is_none() {
                report.set(*type_, Is::Unknown, Reason::Pending, "Not evaluated yet.");
            }
        }
        report
    }

    /// Sets one condition. Its message is cut at [`MESSAGE_LIMIT`]: parts of it are other people's text.
    pub fn set(&mut self, type_: Condition, status: Is, reason: Reason, message: &str) {
        let message = &cut(&legible(message), MESSAGE_LIMIT);
        let generation = self.object.metadata.generation;
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

    /// Sums up.
    pub fn finish(&mut self, outcome: Result<&Done, &Blocked>) {
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
            let was_complete =
                conditions::find(&self.written.conditions, Condition::Offboarded).is_some_and(|c| c.status == "True");
            let newer =
                later(self.status.started_at.as_ref(), self.status.completed_at.as_ref()) || self.purge_requested();
            if !was_complete || newer {
                // Not before anything of this run, whichever node's clock that was written by.
                let own = [self.status.started_at.as_ref(), self.status.purge_requested_at.as_ref()];
                let latest = own.into_iter().flatten().map(|t| t.0).chain(self.newest_backup).max();
                self.status.completed_at = Some(Time(latest.map_or(Timestamp::now(), |t| t.max(Timestamp::now()))));
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
            && self.object.spec.kubeconfig == KubeconfigPolicy::Purge
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
    pub async fn write(&mut self, ctx: &Context) -> Result<(), Interrupted> {
        if self.status == self.written {
            return Ok(());
        }
        let api: Api<UserOffboarding> = Api::all(ctx.client.clone());
        let name = self.object.name_any();
        for _ in 0..WRITE_ATTEMPTS {
            // With the resourceVersion: by name alone it would land on another object that has taken the name.
            let patch = json!({
                "apiVersion": UserOffboarding::api_version(&()),
                "kind": UserOffboarding::kind(&()),
                "metadata": {
                    "name": name,
                    "uid": self.object.metadata.uid,
                    "resourceVersion": self.object.metadata.resource_version,
                },
                "status": self.status,
            });
            let params = PatchParams::apply(MANAGER).force();
            let _in_hand = ctx.permit_report()?;
            match api.patch_status(&name, &params, &Patch::Apply(&patch)).await {
                Ok(written) => {
                    self.object.metadata.resource_version = written.metadata.resource_version;
                    events::publish(ctx, &self.object, &self.written, &self.status);
                    self.written = self.status.clone();
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => self.refresh(&api).await?,
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(Interrupted::Superseded),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Interrupted::Superseded)
    }

    /// Someone wrote to the object. If it is the same one, with the same spec, and still with the status that was
    /// written last, only the resourceVersion changes. Read in one piece: two reads could be of two objects.
    async fn refresh(&mut self, api: &Api<UserOffboarding>) -> Result<(), Interrupted> {
        let live = api
            .get_opt(&self.object.name_any())
            .await?
            .ok_or(Interrupted::Superseded)?;
        // As they are stored: times lose their fractions there.
        let stored = |status: &UserOffboardingStatus| serde_json::to_value(status).ok();
        let same = live.metadata.uid == self.object.metadata.uid
            && live.metadata.generation == self.object.metadata.generation
            && live.metadata.deletion_timestamp.is_none()
            && stored(&live.status.unwrap_or_default()) == stored(&self.written);
        if !same {
            return Err(Interrupted::Superseded);
        }
        self.object.metadata.resource_version = live.metadata.resource_version;
        Ok(())
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

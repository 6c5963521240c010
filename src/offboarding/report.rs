//! Step 9: says what was seen and done, in the status and by events.

use super::{
    activity::Activity,
    context::Context,
    decide::Go,
    events,
    hold::{Done, Hold, Stop},
    identity::Identity,
    observe::{self, Facts, is_left},
    plan::{Plan, bindings},
    purge::{Purge, RESTORABLE_FOR},
    record::Record,
};
use crate::{
    api::{
        ActivityState, BackupStatus, CertState, ConditionStatus as Is, ConditionType as Condition, IdentityState,
        IdentityStatus, KubeconfigStatus, Reason, RemovedStatus, ResolvedIdentityType, UserOffboarding,
        UserOffboardingStatus, conditions,
    },
    rbac::subject,
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use std::time::Duration;

/// The field manager of the status.
const MANAGER: &str = "ack-offboarding-operator";

/// How often a status write is tried again after an edit that changed neither uid nor generation.
const WRITE_ATTEMPTS: u32 = 5;

/// The status of one object, while it is being written.
pub struct Report {
    /// The object that was observed.
    pub object: UserOffboarding,
    written: UserOffboardingStatus,
    status: UserOffboardingStatus,
    now: Timestamp,
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
        };
        report.status.observed_generation = report.object.metadata.generation;
        for type_ in Condition::ALL {
            if conditions::find(&report.status.conditions, *type_).is_none() {
                report.set(*type_, Is::Unknown, Reason::Pending, "Not evaluated yet.");
            }
        }
        report
    }

    /// Sets one condition.
    pub fn set(&mut self, type_: Condition, status: Is, reason: Reason, message: &str) {
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

    /// Says what was found, before anything is judged.
    pub fn observed(&mut self, facts: &Facts) {
        let is_root = facts.uid.as_str() == facts.cluster_account;
        self.status.identity = match &facts.identity {
            _ if is_root => Some(IdentityStatus {
                type_: ResolvedIdentityType::RootAccount,
                name: None,
                state: IdentityState::Exists,
                deleted_at: None,
            }),
            Ok(identity) => Some(identity.to_status()),
            Err(_) => self.status.identity.take(),
        };
        if let Ok(state) = facts.kubeconfig {
            self.kubeconfig(state);
        }
        let returned = match facts.bindings.first() {
            Some(binding) => Some((Reason::BindingFound, format!("{} names the UID again.", binding.key))),
            None if facts.kubeconfig_left() => Some((
                Reason::KubeconfigReissued,
                "ACK reports a kubeconfig for the UID again.".to_owned(),
            )),
            None => None,
        };
        if self.status.completed_at.is_none() {
            self.set(
                Condition::AccessReturned,
                Is::False,
                Reason::None,
                "The offboarding has not come to its end yet.",
            );
        } else if let (Some((reason, message)), false) = (returned, facts.in_progress()) {
            self.set(Condition::AccessReturned, Is::True, reason, &message);
        }
    }

    /// Says who the UID is, once nothing speaks against it.
    pub fn identified(&mut self, facts: &Facts) {
        let uid = &facts.uid;
        let held = !facts.bindings.is_empty() || facts.kubeconfig_left() || !facts.record.is_empty();
        let (is, reason, message) = match &facts.identity {
            Ok(Identity::User { name }) => (Is::True, Reason::RamUser, format!("UID {uid} is RAM user {name}.")),
            Ok(Identity::Role { name }) => (
                Is::True,
                Reason::RamRole,
                format!("UID {uid} is RAM role {name}: everyone who assumes it loses access to this cluster."),
            ),
            Ok(Identity::Recycled { name, .. }) => (
                Is::True,
                Reason::InRecycleBin,
                format!("UID {uid} was RAM user {name}, who is in RAM's recycle bin and can be restored there."),
            ),
            Ok(Identity::Nowhere { .. }) if held => (
                Is::True,
                Reason::DeletedFromRam,
                format!("RAM does not know UID {uid} any more; it held access to this cluster."),
            ),
            Ok(Identity::Nowhere { .. }) if facts.kubeconfig.is_ok() => (
                Is::False,
                Reason::NothingFound,
                format!(
                    "Nobody knows UID {uid}, and it holds nothing in this cluster. If that is unexpected, check the UID."
                ),
            ),
            Ok(Identity::Nowhere { .. }) | Err(_) => (
                Is::Unknown,
                Reason::LookupFailed,
                format!("It could not be found out whether UID {uid} held anything here."),
            ),
        };
        self.set(Condition::IdentityResolved, is, reason, &message);
    }

    /// Says what would be removed. In the course of a run, and after it, the plan stays what it was when the run began,
    /// unless it holds something new: what is left of it is no plan of its own.
    pub fn planned(&mut self, plan: &Plan, facts: &Facts) {
        let held = facts.record.fingerprints();
        let rest = (facts.in_progress() || plan.items.is_empty())
            && !held.is_empty()
            && plan.items.iter().all(|item| held.contains(item.fingerprint.as_str()));
        if !rest || self.status.plan.is_none() {
            self.status.plan = Some(plan.to_status());
        }
    }

    /// Says what the audit log says.
    pub fn activity(&mut self, activity: &Activity, facts: &Facts) {
        let mut message = activity.message.clone();
        let deleted = matches!(facts.identity, Ok(Identity::Nowhere { .. } | Identity::Recycled { .. }));
        if deleted && activity.state == ActivityState::Active {
            message.push_str(
                " RAM says that this identity is deleted: somebody else holds its kubeconfig. Treat this as an incident.",
            );
        }
        let is = match activity.state {
            ActivityState::Inactive => Is::True,
            ActivityState::Active => Is::False,
            ActivityState::Unknown => Is::Unknown,
        };
        self.set(Condition::Inactive, is, activity.reason, &message);
        self.status.activity = Some(activity.to_status());
    }

    /// Says why the run may go on, and that it does.
    pub fn started(&mut self, go: Go, plan: &Plan, in_progress: bool) {
        let why = match go.reason {
            Reason::PlanApproved => "A person approved the plan.",
            Reason::OverrideActive => "The identity is active, and the spec says to proceed (whenActive).",
            Reason::OverrideUnknown => {
                "Nobody can tell whether the identity is active, and the spec says to proceed (whenUnknown)."
            }
            Reason::WaitExpired => "The longest wait that the spec allows is over (waitAtMostDays).",
            _ => "The plan needs no approval.",
        };
        self.set(Condition::Approved, Is::True, go.reason, why);
        let progress = format!("The operator is about to {}.", plan.summary());
        self.set(Condition::Ready, Is::False, Reason::InProgress, &progress);
        self.set(Condition::Offboarded, Is::False, Reason::InProgress, &progress);
        self.set(Condition::Reconciling, Is::True, Reason::InProgress, &progress);
        self.set(Condition::Stalled, Is::False, Reason::None, "");
        if !in_progress || self.status.started_at.is_none() {
            self.status.started_at = Some(Time(self.now));
        }
        self.status.waiting_since = None;
    }

    /// Says where the backups are.
    pub fn backed_up(&mut self, record: &Record, ctx: &Context) {
        if record.is_empty() {
            return self.set(
                Condition::BackedUp,
                Is::True,
                Reason::NothingToBackUp,
                "No binding names the UID.",
            );
        }
        let stored = record.bindings();
        let maps: Vec<_> = record
            .parts
            .iter()
            .map(|p| format!("{}/{}", ctx.settings.namespace, p.config_map))
            .collect();
        let message = format!(
            "{} stored and read back, in {} of namespace {}.",
            bindings(stored as usize),
            if maps.len() == 1 {
                "a ConfigMap".to_owned()
            } else {
                format!("{} ConfigMaps", maps.len())
            },
            ctx.settings.namespace
        );
        self.set(Condition::BackedUp, Is::True, Reason::Stored, &message);
        self.status.backup = Some(BackupStatus {
            config_maps: maps,
            bindings: stored,
        });
    }

    /// Says that no binding names the UID.
    pub fn bindings_removed(&mut self, record: &Record) {
        let (reason, message) = match record.bindings() {
            0 => (Reason::NothingToRemove, "No binding names the UID.".to_owned()),
            n => (
                Reason::Removed,
                format!(
                    "{} removed; a read that is known to be current found none left.",
                    bindings(n as usize)
                ),
            ),
        };
        self.set(Condition::BindingsRemoved, Is::True, reason, &message);
    }

    /// Says what ACK says of the kubeconfig.
    pub fn kubeconfig(&mut self, state: CertState) {
        let known = self.status.kubeconfig.take();
        let (purged_at, restorable_until) = known.map(|k| (k.purged_at, k.restorable_until)).unwrap_or_default();
        self.status.kubeconfig = Some(KubeconfigStatus {
            state,
            purged_at,
            restorable_until,
        });
    }

    /// Notes, before the call, that ACK is asked to purge.
    pub fn purge_requested_now(&mut self) {
        self.status.purge_requested_at = Some(Time(self.now.max(Timestamp::now())));
    }

    /// Whether ACK was asked to purge in this run.
    pub fn purge_requested(&self) -> bool {
        later(
            self.status.purge_requested_at.as_ref(),
            self.status.completed_at.as_ref(),
        )
    }

    /// Notes that ACK accepted the purge.
    pub fn purge_accepted_now(&mut self) {
        if let Some(kubeconfig) = &mut self.status.kubeconfig {
            let now = Timestamp::now();
            kubeconfig.purged_at = Some(Time(now));
            kubeconfig.restorable_until = now.checked_add(RESTORABLE_FOR).ok().map(Time);
        }
    }

    /// Whether ACK accepted the purge in this run, and so lately that it may still be at it.
    pub fn purge_accepted_within(&self, time: Duration) -> bool {
        let Some(accepted) = self.status.kubeconfig.as_ref().and_then(|k| k.purged_at.as_ref()) else {
            return false;
        };
        later(Some(accepted), self.status.completed_at.as_ref())
            && self.now.duration_since(accepted.0).unsigned_abs() < time
    }

    /// Says how the kubeconfig's purge ended.
    pub fn purged(&mut self, purge: Purge) {
        let (reason, message) = match purge {
            Purge::Kept => (
                Reason::Kept,
                "The spec keeps the kubeconfig: it still authenticates, and is authorized for nothing by RBAC.",
            ),
            Purge::NothingToPurge => (
                Reason::NothingToPurge,
                "ACK knows of no kubeconfig of the UID for this cluster.",
            ),
            Purge::Accepted => (
                Reason::Purged,
                "ACK purged the kubeconfig, and reports none; it can be restored in ACK for 30 days.",
            ),
        };
        if purge == Purge::Accepted
            && !self.purge_accepted_within(Duration::MAX)
            && let Some(requested) = self.status.purge_requested_at.clone()
        {
            // The answer was lost, and ACK had carried it out.
            if let Some(kubeconfig) = &mut self.status.kubeconfig {
                kubeconfig.restorable_until = requested.0.checked_add(RESTORABLE_FOR).ok().map(Time);
                kubeconfig.purged_at = Some(requested);
            }
        }
        self.set(Condition::KubeconfigPurged, Is::True, reason, message);
    }

    /// Counts what is gone.
    pub async fn count(&mut self, ctx: &Context, facts: &Facts) -> Result<(), Stop> {
        let mut counts = RemovedStatus::default();
        if !facts.record.is_empty() {
            let (found, lookalikes) = observe::bindings(ctx, subject::key(&facts.uid)).await?;
            let gone = facts.record.counts(&found, &lookalikes);
            (counts.deleted, counts.subjects_removed, counts.by_ack) =
                (gone.deleted, gone.subjects_removed, gone.by_ack);
            if !facts.in_progress()
                && let Some(before) = &facts.status.removed
            {
                // What else happens to bindings that were kept, after the end, is not ACK's doing.
                counts.by_ack = before.by_ack;
            }
            self.backed_up_so_far(&facts.record, ctx);
        }
        counts.total = counts.deleted + counts.subjects_removed + counts.by_ack;
        self.status.removed = Some(counts);
        Ok(())
    }

    /// A backup that stands is reported, also while something else is in the way.
    fn backed_up_so_far(&mut self, record: &Record, ctx: &Context) {
        let failed =
            conditions::find(&self.status.conditions, Condition::BackedUp).is_some_and(|c| c.status == "False");
        if !failed {
            self.backed_up(record, ctx);
        }
    }

    /// Sums up.
    pub fn finish(&mut self, outcome: Result<&Done, &Hold>) {
        match outcome {
            Ok(done) => self.done(done),
            Err(hold) => self.held(hold),
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
                self.status.completed_at = Some(Time(Timestamp::now()));
            }
            self.status.waiting_since = None;
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
                "No access returned since the end.",
            );
        }
        self.set(Condition::Ready, Is::True, *reason, message);
        self.set(Condition::Reconciling, Is::False, *reason, "");
        self.set(Condition::Stalled, Is::False, Reason::None, "");
    }

    fn held(&mut self, hold: &Hold) {
        let Hold {
            reason,
            message,
            about,
            stalled,
            ..
        } = hold;
        if let Some((condition, is, reason)) = about {
            self.set(*condition, *is, *reason, message);
            if *condition == Condition::BindingsRemoved {
                let why = "Bindings are left: ACK is not asked, as its purge would remove them without a check.";
                self.set(Condition::KubeconfigPurged, Is::False, Reason::BindingsRemain, why);
            }
        }
        if *reason == Reason::WaitingForInactivity && self.status.waiting_since.is_none() {
            self.status.waiting_since = Some(Time(self.now));
        }
        self.set(Condition::Ready, Is::False, *reason, message);
        self.set(Condition::Offboarded, Is::False, *reason, message);
        let (reconciling, stuck) = if *stalled {
            (Is::False, Is::True)
        } else {
            (Is::True, Is::False)
        };
        self.set(
            Condition::Reconciling,
            reconciling,
            *reason,
            if *stalled { "" } else { message },
        );
        let stalled_reason = if *stalled { *reason } else { Reason::None };
        self.set(
            Condition::Stalled,
            stuck,
            stalled_reason,
            if *stalled { message } else { "" },
        );
    }

    /// Writes the status, if it says anything new, and publishes an event for each transition.
    ///
    /// # Errors
    /// [`Stop::Superseded`] if the object is not the observed one any more.
    pub async fn write(&mut self, ctx: &Context) -> Result<(), Stop> {
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
                "metadata": { "name": name, "resourceVersion": self.object.metadata.resource_version },
                "status": self.status,
            });
            let params = PatchParams::apply(MANAGER).force();
            match api.patch_status(&name, &params, &Patch::Apply(&patch)).await {
                Ok(written) => {
                    self.object.metadata.resource_version = written.metadata.resource_version;
                    events::publish(ctx, &self.object, &self.written, &self.status);
                    self.written = self.status.clone();
                    return Ok(());
                }
                Err(kube::Error::Api(status)) if status.is_conflict() => self.refresh(ctx, &api).await?,
                Err(kube::Error::Api(status)) if status.is_not_found() => return Err(Stop::Superseded),
                Err(error) => return Err(error.into()),
            }
        }
        Err(Stop::Superseded)
    }

    /// Someone wrote to the object: if it was neither the spec nor another object, only the resourceVersion changes.
    async fn refresh(&mut self, ctx: &Context, api: &Api<UserOffboarding>) -> Result<(), Stop> {
        ctx.still_wanted(&self.object).await?;
        let live = api.get_metadata(&self.object.name_any()).await?;
        self.object.metadata.resource_version = live.metadata.resource_version;
        Ok(())
    }

    /// The last status that was written.
    pub fn written(&self) -> &UserOffboardingStatus {
        &self.written
    }
}

/// Whether `a` is set and later than `b`, or `b` is not set.
fn later(a: Option<&Time>, b: Option<&Time>) -> bool {
    a.is_some_and(|a| b.is_none_or(|b| a.0 > b.0))
}

/// What a dry run found.
pub fn dry_run(facts: &Facts, plan: &Plan) -> Done {
    let kubeconfig = match &facts.kubeconfig {
        Ok(state) if facts.kubeconfig_left() => format!(", and have ACK purge the kubeconfig ({state:?})"),
        Err(trouble) => format!("; the state of the kubeconfig is not known ({})", trouble.message),
        Ok(_) => String::new(),
    };
    let message = format!(
        "A dry run: nothing was changed. Carried out, it would {}{kubeconfig}.",
        plan.summary()
    );
    Done {
        reason: Reason::DryRunComplete,
        message,
    }
}

/// What the end of a run says.
pub fn complete(facts: &Facts) -> Done {
    let uid = &facts.uid;
    let purged = facts.status.kubeconfig.as_ref().is_some_and(|k| k.purged_at.is_some());
    if facts.record.is_empty() && !purged && facts.kubeconfig.as_ref().is_ok_and(|state| !is_left(*state)) {
        let message =
            format!("UID {uid} holds nothing in this cluster: no binding names it, and ACK knows of no kubeconfig.");
        return Done {
            reason: Reason::NothingToRemove,
            message,
        };
    }
    let kubeconfig = match facts.spec.kubeconfig {
        crate::api::KubeconfigPolicy::Purge => "ACK reports no kubeconfig for it",
        crate::api::KubeconfigPolicy::Keep => "its kubeconfig was kept, as the spec says",
    };
    let message = format!("No binding names UID {uid} any more, and {kubeconfig}.");
    Done {
        reason: Reason::Offboarded,
        message,
    }
}

//! What was found, planned, and read in the audit log.

use super::Report;
use crate::{
    api::{
        ActivityState, ConditionStatus as Is, ConditionType as Condition, IdentityState, IdentityStatus,
        KubeconfigPolicy, LastKnownIdentity, Reason, ResolvedIdentityType, conditions,
    },
    offboarding::{
        consequences::Consequences,
        elsewhere::Elsewhere,
        facts::Facts,
        outcome::{Blocked, Done},
        plan::is_to_change,
        plan::{Item, Plan},
    },
    sources::{activity::Answer, identity::Identity},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

impl Report {
    /// Says what was found, before anything is judged.
    pub(crate) fn observed(&mut self, facts: &Facts) {
        let is_root = facts.cluster_account.parse() == Ok(facts.uid);
        self.status.identity = match &facts.identity {
            _ if is_root => Some(IdentityStatus {
                type_: ResolvedIdentityType::RootAccount,
                name: None,
                state: IdentityState::Exists,
                deleted_at: None,
                last_known: None,
                returned_at: None,
            }),
            Ok(identity) => {
                let gone = matches!(identity, Identity::Nowhere { .. });
                Some(IdentityStatus {
                    last_known: facts
                        .last_known
                        .clone()
                        .filter(|_| gone)
                        .map(|(type_, name)| LastKnownIdentity { type_, name }),
                    returned_at: facts.returned_at.map(Time),
                    ..identity.to_status()
                })
            }
            Err(_) => self.status.identity.take(),
        };
        if let Ok(state) = facts.kubeconfig {
            self.kubeconfig(state);
        }
        self.status.undecided_names = facts
            .undecided
            .iter()
            .map(|(_, name)| name.chars().filter(|c| !c.is_control()).take(256).collect())
            .take(20)
            .collect();
        if facts.cleared.run().is_none() {
            // Void: the identity came back, say.
            self.status.clearance = None;
        }
        // What an earlier run said of them holds no more.
        if !facts.bindings.is_empty() {
            self.no_longer(Condition::BindingsRemoved, "Bindings name the UID.");
        }
        if facts.kubeconfig_left() {
            self.no_longer(Condition::KubeconfigPurged, "ACK reports a kubeconfig of the UID.");
        }
        if self.status.completed_at.is_none() {
            let message = "Not applicable yet: the offboarding is not complete.";
            self.set(Condition::AccessReturned, Is::False, Reason::None, message);
        } else if let Some((reason, what)) = facts.returned() {
            if let (Reason::KubeconfigReissued, Some(kubeconfig)) = (reason, &mut self.status.kubeconfig) {
                kubeconfig.reissued_at.get_or_insert(Time(facts.now));
            }
            self.set(
                Condition::AccessReturned,
                Is::True,
                reason,
                &format!("UID {}: {what}.", facts.uid),
            );
        }
    }

    fn no_longer(&mut self, type_: Condition, message: &str) {
        if conditions::find(&self.status.conditions, type_).is_some_and(|c| c.status == "True") {
            self.set(type_, Is::Unknown, Reason::Pending, message);
        }
    }

    /// Says that the removal waits: what kept an earlier attempt from its end may be gone by now.
    pub(crate) fn removal_waits(&mut self, facts: &Facts) {
        if conditions::find(&self.status.conditions, Condition::BindingsRemoved).is_some_and(|c| c.status == "False") {
            let message = match facts.bindings.is_empty() {
                true => "The operator found no binding that names the UID, but has not verified this yet.",
                false => "Bindings name the UID.",
            };
            self.set(Condition::BindingsRemoved, Is::Unknown, Reason::Pending, message);
        }
    }

    /// Says who the UID is, once nothing speaks against it.
    pub(crate) fn identified(&mut self, facts: &Facts) {
        let uid = facts.uid;
        let kubeconfig = facts.kubeconfig.as_ref().is_ok_and(|state| state.is_left());
        let held = !facts.bindings.is_empty() || kubeconfig || facts.did_something();
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
                format!("UID {uid} was RAM user {name}. The user is in RAM's recycle bin and can be restored there."),
            ),
            // A guard holds it before this.
            Ok(Identity::Both { user, role }) => (
                Is::False,
                Reason::AmbiguousIdentity,
                format!("UID {uid} belongs to both RAM user {user} and RAM role {role}."),
            ),
            Ok(Identity::Nowhere { .. }) if held => (
                Is::True,
                Reason::DeletedFromRam,
                format!("UID {uid} is no longer known to RAM. It had access to this cluster."),
            ),
            Ok(Identity::Nowhere { .. }) if facts.kubeconfig.is_ok() => (
                Is::False,
                Reason::NothingFound,
                format!(
                    "UID {uid} is not known to RAM and has nothing to remove in this cluster. If that is unexpected, check the UID."
                ),
            ),
            Ok(Identity::Nowhere { .. }) | Err(_) => (
                Is::Unknown,
                Reason::LookupFailed,
                format!("It is unknown whether UID {uid} had access to this cluster."),
            ),
        };
        self.set(Condition::IdentityResolved, is, reason, &message);
    }

    /// Says, of a UID that RAM does not know and that holds nothing, that it did once: as backups for other objects tell.
    pub(crate) fn found_elsewhere(&mut self, facts: &Facts, elsewhere: Option<&Elsewhere>) {
        let found_nothing = conditions::find(&self.status.conditions, Condition::IdentityResolved)
            .is_some_and(|c| c.reason == Reason::NothingFound.as_str());
        if let (true, Some(elsewhere)) = (found_nothing, elsewhere) {
            let message = format!(
                "RAM does not know UID {}, and it holds nothing in this cluster now. {elsewhere}",
                facts.uid
            );
            self.set(Condition::IdentityResolved, Is::True, Reason::DeletedFromRam, &message);
        }
    }

    /// Says what would be removed. In the course of a run, and after it, the plan stays what it was when the run began,
    /// unless it holds something new: what is left of it is no plan of its own.
    pub(crate) fn planned(&mut self, remove_subjects: bool, plan: &Plan, facts: &Facts) {
        let is_held = |item: &Item| facts.cleared.covers(&item.fingerprint);
        let all_held = plan.items.iter().all(is_held);
        let rest = match plan.items.is_empty() {
            // Where the backups are lost, with their namespace say, it is the last that tells what was removed.
            true => !facts.record.is_empty() || self.status.backup.as_ref().is_some_and(|b| !b.config_maps.is_empty()),
            false => facts.in_progress() && all_held,
        };
        if !rest || self.status.plan.is_none() {
            self.status.plan = Some(plan.to_status());
        }
        // What is kept is not stored, at no look.
        let to_store = |item: &&Item| is_to_change(remove_subjects, item);
        let is_stored = |item: &Item| facts.record.proof(&item.binding, item.stored_action()).is_some();
        if !plan.items.iter().filter(to_store).all(is_stored) {
            self.no_longer(
                Condition::BackedUp,
                "The plan contains bindings that are not backed up yet.",
            );
        }
    }

    /// Says what the audit log says.
    pub(crate) fn activity(&mut self, answer: &Answer) {
        let state = answer.activity.state();
        let is = match state {
            ActivityState::Inactive => Is::True,
            ActivityState::Active => Is::False,
            ActivityState::Unknown => Is::Unknown,
        };
        if state == ActivityState::Inactive {
            // The next wait is a wait of its own.
            self.status.waiting_since = None;
        }
        self.set(Condition::Inactive, is, answer.activity.reason(), &answer.message);
        self.status.activity = Some(answer.to_status());
        self.status.usage = Some(answer.usage.clone());
    }

    /// Says what the plan means. In the course of a run it stays what it was when the run began, as the plan does.
    pub(crate) fn consequences(&mut self, consequences: Consequences, facts: &Facts) {
        if !facts.in_progress() {
            self.status.last_cluster_admin = Some(consequences.last_cluster_admin);
        }
        self.status.cluster_creator = consequences.cluster_creator.then_some(true);
    }

    /// What the status says that the plan means, as sentences.
    fn described_consequences(&self, facts: &Facts) -> Option<String> {
        let consequences = Consequences {
            last_cluster_admin: self.status.last_cluster_admin == Some(true),
            cluster_creator: self.status.cluster_creator == Some(true),
        };
        consequences.describe(facts.uid, facts.spec.kubeconfig)
    }

    /// The hold; to whoever is to approve the plan, it says first what the plan means.
    pub(crate) fn with_consequences(&self, blocked: Blocked, facts: &Facts) -> Blocked {
        match self.described_consequences(facts) {
            Some(said) if blocked.reason == Reason::AwaitingApproval && !facts.in_progress() => Blocked {
                message: format!("{said} {}", blocked.message),
                ..blocked
            },
            _ => blocked,
        }
    }

    /// What a dry run found.
    pub(crate) fn dry_run(&self, facts: &Facts, plan: &Plan) -> Done {
        let consequences = match facts.holds_nothing() {
            true => None,
            false => self.described_consequences(facts),
        };
        dry_run(facts, plan, consequences.as_deref())
    }
}

fn dry_run(facts: &Facts, plan: &Plan, consequences: Option<&str>) -> Done {
    let kubeconfig = match &facts.kubeconfig {
        Ok(state) if facts.kubeconfig_left() => format!(", and have ACK purge the kubeconfig ({state:?})"),
        Err(trouble) => format!("; the state of the kubeconfig is unknown ({})", trouble.message),
        Ok(_) => String::new(),
    };
    let changed = if facts.did_something() {
        "the operator changes nothing more"
    } else {
        "nothing was changed"
    };
    let message = format!(
        "This is a dry run: {changed}. With mode: Execute, the operator would {}{kubeconfig}.{}",
        plan.summary(),
        consequences.map(|said| format!(" {said}")).unwrap_or_default()
    );
    Done {
        reason: Reason::DryRunComplete,
        message,
    }
}

/// What the end of a run says.
pub(crate) fn complete(facts: &Facts, elsewhere: Option<&Elsewhere>) -> Done {
    let uid = facts.uid;
    if !facts.did_something() && facts.holds_nothing() {
        let kubeconfig = match facts.spec.kubeconfig {
            KubeconfigPolicy::Purge => "ACK reports no kubeconfig",
            KubeconfigPolicy::Keep => "the spec keeps its kubeconfig, if it has one",
        };
        let before = elsewhere.map(|e| format!(" {e} This object found nothing to do."));
        let message = format!(
            "UID {uid} has nothing to remove in this cluster: no binding names it, and {kubeconfig}.{}",
            before.unwrap_or_default()
        );
        return Done {
            reason: Reason::NothingToRemove,
            message,
        };
    }
    let kubeconfig = match facts.spec.kubeconfig {
        KubeconfigPolicy::Purge => "ACK reports no kubeconfig for it",
        KubeconfigPolicy::Keep => "the spec keeps its kubeconfig",
    };
    let before = elsewhere.map(|e| format!(" {e}")).unwrap_or_default();
    let message = format!("No binding names UID {uid}, and {kubeconfig}.{before}");
    Done {
        reason: Reason::Offboarded,
        message,
    }
}

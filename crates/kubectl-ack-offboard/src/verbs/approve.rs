//! `approve`: shows a plan, and approves exactly this one.

use crate::{
    ask,
    change::change,
    cli::ApproveArgs,
    cluster::{Cluster, Role},
    exit::{Exit, Failure, Outcome},
    follow::{self, Patience, Seen, Tells},
    interrupt::Interrupt,
    offboarding::{self, SILENCE},
    output::{self, Shown},
    plan::ShownPlan,
};
use ack_offboarding_operator::api::{Approval, Mode, UserOffboarding};
use kube::ResourceExt;
use serde_json::{Value, json};

/// Approves it.
///
/// # Errors
/// When there is no plan, it is another one than was shown or named, or it may not be approved.
pub(crate) async fn run(cluster: &Cluster, args: &ApproveArgs, interrupt: &Interrupt) -> Outcome {
    let name = &args.name;
    let object = interrupt.ends(current(cluster, name, Tells::Work)).await?;
    let digest = match to_approve(&object)? {
        ToApprove::NoPlan => return Err(no_plan(name)),
        ToApprove::Plan(digest) | ToApprove::Approved(digest) => digest,
        ToApprove::NoNeed => {
            output::note(format!(
                "UserOffboarding {name} needs no approval (spec.approval: Automatic). Nothing was changed. What it waits for: kubectl \
                 ack-offboard explain {name}"
            ));
            return Ok(Exit::Done);
        }
    };
    let approving = Approving {
        name,
        digest: args.digest.as_deref().unwrap_or(&digest),
        reason: args.reason.as_deref(),
    };
    approving.check(&digest)?;
    if is_approved(&object, &digest) {
        output::note("This plan is approved already. Nothing was changed.");
        return output::finish(&format!("{}: approved", offboarding::qualified(name)), Exit::Done);
    }
    let shown = interrupt
        .ends(async { Ok(ShownPlan::of(cluster, &object).await.for_approval()) })
        .await?;
    output::note(shown.text(false));
    output::note("");
    if !interrupt
        .ends(ask::confirm("Approve this plan?".to_owned(), args.yes))
        .await?
    {
        output::note("Nothing was changed.");
        return Ok(Exit::Found);
    }
    // One request, not cut short: whether it was approved is told.
    approving.approve(cluster, object).await?;
    output::note(format!(
        "The operator goes on at once. To follow it: kubectl ack-offboard wait {name}"
    ));
    output::finish(&format!("{}: approved", offboarding::qualified(name)), Exit::Done)
}

/// What there is to approve.
#[derive(Debug, PartialEq)]
pub(crate) enum ToApprove {
    /// The plan of this digest.
    Plan(String),
    /// Nothing: the plan of this digest is approved.
    Approved(String),
    /// Nothing: it is carried out without.
    NoNeed,
    /// Nothing yet.
    NoPlan,
}

/// What there is to approve.
///
/// # Errors
/// When it is a dry run.
pub(crate) fn to_approve(object: &UserOffboarding) -> Result<ToApprove, Failure> {
    let name = object.name_any();
    if object.spec.mode == Mode::DryRun {
        return Err(Failure::new(format!(
            "UserOffboarding {name} is a dry run: there is nothing to approve. To carry it out: kubectl ack-offboard start {}",
            object.spec.uid
        )));
    }
    if object.spec.approval == Approval::Automatic {
        return Ok(ToApprove::NoNeed);
    }
    match digest(object) {
        Some(digest) if is_approved(object, &digest) => Ok(ToApprove::Approved(digest)),
        Some(digest) => Ok(ToApprove::Plan(digest)),
        None => Ok(ToApprove::NoPlan),
    }
}

/// There is nothing to approve yet.
pub(crate) fn no_plan(name: &str) -> Failure {
    Failure::new(format!(
        "UserOffboarding {name} has no plan yet. What is in the way: kubectl ack-offboard explain {name}"
    ))
}

/// One plan that is approved, and no other.
pub(crate) struct Approving<'a> {
    pub(crate) name: &'a str,
    /// The plan's: of the one that was shown, or that was named.
    pub(crate) digest: &'a str,
    pub(crate) reason: Option<&'a str>,
}

impl Approving<'_> {
    /// Approves it, in one request that holds for this plan only.
    ///
    /// # Errors
    /// When the plan is another one by now, or may not be approved.
    pub(crate) async fn approve(&self, cluster: &Cluster, object: UserOffboarding) -> Result<(), Failure> {
        let doing = format!("approve the plan of UserOffboarding {}", self.name);
        let patch = |object: &UserOffboarding| self.approval(object);
        change(cluster, object, &doing, Role::Approver, patch).await.map(drop)
    }

    /// The patch that adds the approval to an object whose plan is still this one.
    fn approval(&self, object: &UserOffboarding) -> Result<Option<Value>, Failure> {
        self.check(&digest(object).unwrap_or_default())?;
        if is_approved(object, self.digest) {
            return Ok(None);
        }
        let mut added = json!({"digest": self.digest});
        if let Some(reason) = self.reason {
            added["reason"] = reason.into();
        }
        let mut approvals = serde_json::to_value(&object.spec.approvals).unwrap_or_default();
        match approvals.as_array_mut() {
            Some(list) => list.push(added),
            None => approvals = json!([added]),
        }
        Ok(Some(json!({"spec": {"approvals": approvals}})))
    }

    /// Refuses a plan that is not this one.
    fn check(&self, now: &str) -> Result<(), Failure> {
        let Approving { name, digest, .. } = self;
        if now == *digest {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the plan of UserOffboarding {name} is another one by now: its digest is {now}, not {digest}. Nothing was approved. Look at the \
             new plan: kubectl ack-offboard approve {name}"
        )))
    }
}

fn digest(object: &UserOffboarding) -> Option<String> {
    let plan = offboarding::status(object).plan.as_ref()?;
    Some(plan.digest.clone())
}

fn is_approved(object: &UserOffboarding, digest: &str) -> bool {
    object.spec.approvals.iter().any(|approval| approval.digest == digest)
}

/// The object once the operator has looked at its spec as it is now.
///
/// # Errors
/// When there is none, or no operator looks at it.
pub(crate) async fn current(cluster: &Cluster, name: &str, tells: Tells) -> Result<UserOffboarding, Failure> {
    let object = cluster.offboarding(name).await?;
    if offboarding::is_current(&object) {
        return Ok(object);
    }
    let patience = Patience {
        deadline: Some(3 * SILENCE),
        needs_operator: true,
        tells,
    };
    follow::follow(cluster, name, patience, |object| {
        Ok(match offboarding::is_current(object) {
            true => Seen::Enough,
            false => Seen::GoOn,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(digest: &str, approvals: Value) -> UserOffboarding {
        serde_json::from_value(json!({
            "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding", "metadata": {"name": "left"},
            "spec": {"uid": "42", "approval": "Manual", "approvals": approvals},
            "status": {"conditions": [], "plan": {"digest": digest, "total": 1}},
        }))
        .unwrap()
    }

    fn approving(digest: &str) -> Approving<'_> {
        Approving {
            name: "left",
            digest,
            reason: Some("ticket 7"),
        }
    }

    #[test]
    fn an_approval_is_added_to_those_that_are_there() {
        let patch = approving("new").approval(&object("new", json!([{"digest": "old", "reason": "r"}])));
        let approvals = json!([{"digest": "old", "reason": "r"}, {"digest": "new", "reason": "ticket 7"}]);
        assert_eq!(patch, Ok(Some(json!({"spec": {"approvals": approvals}}))));
    }

    #[test]
    fn another_plan_than_was_shown_or_named_is_refused() {
        let moved = approving("shown").approval(&object("moved", json!([])));
        assert!(moved.is_err_and(|failure| failure.message.contains("another one by now")));
    }

    #[test]
    fn what_is_approved_already_is_left() {
        let there = approving("new").approval(&object("new", json!([{"digest": "new"}])));
        assert_eq!(there, Ok(None));
    }
}

//! `approve`: shows a plan, and approves exactly this one.

use crate::{
    ask,
    change::change,
    cli::ApproveArgs,
    cluster::{Cluster, Role},
    exit::{Exit, Failure, Outcome},
    follow::{self, Patience, Seen},
    interrupt::Interrupt,
    offboarding::{self, SILENCE},
    output::{self, Shown},
    plan::ShownPlan,
};
use ack_offboarding_operator::api::{Approval, Mode, UserOffboarding};
use serde_json::{Value, json};

/// Approves it.
///
/// # Errors
/// When there is no plan, it is another one than was shown or named, or it may not be approved.
pub(crate) async fn run(cluster: &Cluster, args: &ApproveArgs, interrupt: &Interrupt) -> Outcome {
    let name = &args.name;
    let object = interrupt.ends(current(cluster, name)).await?;
    if object.spec.mode == Mode::DryRun {
        return Err(Failure::new(format!(
            "UserOffboarding {name} is a dry run: there is nothing to approve. To carry it out: kubectl ack-offboard start {}",
            object.spec.uid
        )));
    }
    if object.spec.approval == Approval::Automatic {
        output::note(format!(
            "UserOffboarding {name} needs no approval (spec.approval: Automatic). Nothing was changed. What it waits for: kubectl ack-offboard \
             explain {name}"
        ));
        return Ok(Exit::Done);
    }
    let Some(digest) = digest(&object) else {
        return Err(Failure::new(format!(
            "UserOffboarding {name} has no plan yet. What is in the way: kubectl ack-offboard explain {name}"
        )));
    };
    check(args, &digest, &digest)?;
    if is_approved(&object, &digest) {
        output::note("This plan is approved already. Nothing was changed.");
        return output::finish(&format!("{}: approved", offboarding::qualified(name)), Exit::Done);
    }
    let shown = interrupt
        .ends(async { Ok(ShownPlan::of(cluster, &object).await) })
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
    let doing = format!("approve the plan of UserOffboarding {name}");
    let patch = |object: &UserOffboarding| approval(args, &digest, object);
    // One request, not cut short: whether it was approved is told.
    change(cluster, object, &doing, Role::Approver, patch).await?;
    output::finish(&format!("{}: approved", offboarding::qualified(name)), Exit::Done)
}

/// The patch that adds the approval to an object whose plan is still the one that was shown.
fn approval(args: &ApproveArgs, shown: &str, object: &UserOffboarding) -> Result<Option<Value>, Failure> {
    let now = digest(object).unwrap_or_default();
    check(args, shown, &now)?;
    if is_approved(object, shown) {
        return Ok(None);
    }
    let mut added = json!({"digest": shown});
    if let Some(reason) = &args.reason {
        added["reason"] = reason.as_str().into();
    }
    let mut approvals = serde_json::to_value(&object.spec.approvals).unwrap_or_default();
    match approvals.as_array_mut() {
        Some(list) => list.push(added),
        None => approvals = json!([added]),
    }
    Ok(Some(json!({"spec": {"approvals": approvals}})))
}

/// Refuses a plan that is neither the one that was shown nor the one that was named.
fn check(args: &ApproveArgs, shown: &str, now: &str) -> Result<(), Failure> {
    let expected = args.digest.as_deref().unwrap_or(shown);
    if now == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the plan of UserOffboarding {} is another one by now: its digest is {now}, not {expected}. Nothing was approved. Look at the new plan: \
         kubectl ack-offboard approve {}",
        args.name, args.name
    )))
}

fn digest(object: &UserOffboarding) -> Option<String> {
    let plan = offboarding::status(object).plan.as_ref()?;
    Some(plan.digest.clone())
}

fn is_approved(object: &UserOffboarding, digest: &str) -> bool {
    object.spec.approvals.iter().any(|approval| approval.digest == digest)
}

/// The object once the operator has looked at its spec as it is now.
async fn current(cluster: &Cluster, name: &str) -> Result<UserOffboarding, Failure> {
    let object = cluster.offboarding(name).await?;
    if offboarding::is_current(&object) {
        return Ok(object);
    }
    let patience = Patience {
        deadline: Some(3 * SILENCE),
        needs_operator: true,
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

    fn args(digest: Option<&str>) -> ApproveArgs {
        ApproveArgs {
            name: "left".to_owned(),
            digest: digest.map(str::to_owned),
            reason: Some("ticket 7".to_owned()),
            yes: true,
        }
    }

    #[test]
    fn an_approval_is_added_to_those_that_are_there() {
        let patch = approval(
            &args(None),
            "new",
            &object("new", json!([{"digest": "old", "reason": "r"}])),
        );
        let approvals = json!([{"digest": "old", "reason": "r"}, {"digest": "new", "reason": "ticket 7"}]);
        assert_eq!(patch, Ok(Some(json!({"spec": {"approvals": approvals}}))));
    }

    #[test]
    fn another_plan_than_was_shown_or_named_is_refused() {
        let moved = approval(&args(None), "shown", &object("moved", json!([])));
        assert!(moved.is_err_and(|failure| failure.message.contains("another one by now")));
        let named = approval(&args(Some("named")), "shown", &object("shown", json!([])));
        assert!(named.is_err());
    }

    #[test]
    fn what_is_approved_already_is_left() {
        let there = approval(&args(None), "new", &object("new", json!([{"digest": "new"}])));
        assert_eq!(there, Ok(None));
    }
}

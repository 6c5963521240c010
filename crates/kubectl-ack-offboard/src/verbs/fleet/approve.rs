//! `fleet approve`: shows the plan of every cluster, asks once, and approves each by its own digest.

use super::question::{can_be_asked, decide};
use crate::{
    cli::{Connection, FleetApproveArgs},
    exit::{Failure, Outcome},
    fleet::{
        crew::Crew,
        member::Member,
        result::{ClusterResult, Ended, Offboarding},
    },
    follow::Tells,
    interrupt::Interrupt,
    plan::ShownPlan,
    verbs::approve::{Approving, ToApprove, current, no_plan, to_approve},
};
use ack_offboarding_operator::api::UserOffboarding;

/// A plan that waits for approval.
struct Waiting {
    object: UserOffboarding,
    digest: String,
    shown: ShownPlan,
}

/// Approves them.
///
/// # Errors
/// When it cannot begin.
pub(super) async fn run(connection: &Connection, args: &FleetApproveArgs, interrupt: &Interrupt) -> Outcome {
    can_be_asked(args.yes)?;
    let crew = Crew::gather("approve", None, &args.many, connection, interrupt).await?;
    let waiting = crew
        .each(&crew.members, async |member, result| {
            look(&crew, member, &args.name, result).await
        })
        .await;
    let waiting: Vec<(&Member, Waiting)> = waiting
        .into_iter()
        .filter_map(|(member, waiting)| Some((member, waiting?)))
        .collect();
    let plans: Vec<_> = waiting.iter().map(|(member, one)| (*member, &one.shown)).collect();
    let declined = "answered no: nothing was approved";
    let go_on = async || approve_each(&crew, args, &waiting).await;
    let is_answered = decide(&crew, "Approve these plans", &plans, args.yes, declined, go_on).await?;
    crew.finish(args.output.output, is_answered)
}

/// The plan, if there is one to approve in this cluster.
async fn look(
    crew: &Crew<'_>,
    member: &Member,
    name: &str,
    result: &mut ClusterResult,
) -> Result<Option<Waiting>, Failure> {
    let (cluster, _) = crew
        .first(member, async |cluster| cluster.offboarding(name).await)
        .await?;
    let object = crew.interrupt.ends(current(&cluster, name, Tells::Nothing)).await?;
    result.offboardings = vec![Offboarding::of(&object)];
    let digest = match to_approve(&object)? {
        ToApprove::Plan(digest) => digest,
        ToApprove::Approved(_) => {
            result.end(Ended::Done, "approved already: nothing was changed");
            return Ok(None);
        }
        ToApprove::NoNeed => {
            result.end(Ended::Done, "needs no approval: nothing was changed");
            return Ok(None);
        }
        ToApprove::NoPlan => {
            result.end(Ended::Held, no_plan(name).message);
            return Ok(None);
        }
    };
    let plan = async { Ok(ShownPlan::of(&cluster, &object).await.for_approval()) };
    let shown = crew.interrupt.ends(plan).await?;
    result.plan = serde_json::to_value(&shown).ok();
    result.end(Ended::Held, format!("nothing was approved yet. {}", shown.in_short()));
    Ok(Some(Waiting { object, digest, shown }))
}

async fn approve_each(crew: &Crew<'_>, args: &FleetApproveArgs, waiting: &[(&Member, Waiting)]) {
    let members = waiting.iter().map(|(member, _)| *member);
    crew.each(members, async |member, result| {
        let Some((_, plan)) = waiting.iter().find(|(other, _)| other.name == member.name) else {
            return Ok(());
        };
        // Somebody may have thought about the plans for longer than a kubeconfig holds.
        let (cluster, ()) = crew.first(member, async |_| Ok(())).await?;
        let approving = Approving {
            name: &args.name,
            digest: &plan.digest,
            reason: args.reason.as_deref(),
        };
        // One request, not cut short: whether it was approved is told.
        approving.approve(&cluster, plan.object.clone()).await?;
        result.end(Ended::Done, format!("approved {}", plan.digest));
        Ok(())
    })
    .await;
}

//! `fleet plan`: what offboarding a UID would do, in every cluster.

use super::question::titled;
use crate::{
    cli::{Connection, FleetPlanArgs},
    dry_run::{self, Who},
    exit::{Exit, Failure, Outcome},
    fleet::{
        crew::Crew,
        member::Member,
        result::{ClusterResult, Ended},
    },
    follow::Tells,
    interrupt::Interrupt,
    output::{self, Format, clean},
    plan::ShownPlan,
};

/// Shows it.
///
/// # Errors
/// When it cannot begin.
pub(super) async fn run(connection: &Connection, args: &FleetPlanArgs, interrupt: &Interrupt) -> Outcome {
    let who = &Who {
        uid: &args.who.uid,
        name: args.who.name.as_deref(),
        is_role: args.who.role,
    };
    let crew = Crew::gather("plan", Some(who.uid), &args.many, connection, interrupt).await?;
    let plans = crew
        .each(&crew.members, async |member, result| {
            let (cluster, _) = crew
                .first(member, async |cluster| dry_run::existing(cluster, who.uid).await)
                .await?;
            let shown = plan_one(&crew, member, &cluster, who, result).await?;
            result.end(Ended::Done, shown.in_short());
            Ok(shown)
        })
        .await;
    if matches!(args.output.output, Format::Table | Format::Wide) {
        let plans = plans.iter().map(|(member, plan)| titled(member, plan) + "\n");
        output::print(&plans.collect::<String>())?;
        output::print(" \n")?;
    }
    let changes = plans.iter().any(|(_, plan)| plan.has_changes());
    let closed = crew.close();
    closed.show(args.output.output)?;
    Ok(match changes {
        true => closed.exit.max(Exit::Found),
        false => closed.exit,
    })
}

/// The plan of one cluster, also in the result.
///
/// # Errors
/// When none can be had.
pub(super) async fn plan_one(
    crew: &Crew<'_>,
    member: &Member,
    cluster: &crate::cluster::Cluster,
    who: &Who<'_>,
    result: &mut ClusterResult,
) -> Result<ShownPlan, Failure> {
    let mut warnings = Vec::new();
    let shown = dry_run::plan_among_many(cluster, who, crew.interrupt, Tells::Nothing, &mut warnings).await;
    for warning in warnings {
        output::warn(format!("{}: {warning}", clean(&member.name)));
    }
    let shown = shown?;
    result.plan = serde_json::to_value(&shown).ok();
    Ok(shown)
}

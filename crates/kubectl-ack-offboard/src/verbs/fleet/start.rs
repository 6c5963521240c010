//! `fleet start`: shows the plan of every cluster, asks once, and creates an offboarding where something would change.

use super::{
    plan::plan_one,
    question::{can_be_asked, decide},
};
use crate::{
    cli::{Connection, FleetStartArgs},
    dry_run::{self, Who},
    exit::{Exit, Failure, NotCovered, Outcome},
    fleet::{
        crew::Crew,
        member::Member,
        result::{ClusterResult, Ended, Offboarding},
    },
    follow::{Patience, Tells, is_held},
    interrupt::Interrupt,
    offboarding::State,
    output,
    plan::ShownPlan,
    verbs::start,
};
use ack_offboarding_operator::api::{Mode, UserOffboarding};
use kube::ResourceExt;
use std::time::Duration;

/// How long the operator's first word about a new offboarding is waited for.
const FIRST_WORD: Duration = Duration::from_secs(30);

/// Starts it.
///
/// # Errors
/// When it cannot begin.
pub(super) async fn run(connection: &Connection, args: &FleetStartArgs, interrupt: &Interrupt) -> Outcome {
    can_be_asked(args.yes)?;
    let who = &Who {
        uid: &args.who.uid,
        name: args.who.name.as_deref(),
        is_role: args.who.role,
    };
    let crew = Crew::gather("start", Some(who.uid), &args.many, connection, interrupt).await?;
    let prepared = crew
        .each(&crew.members, async |member, result| {
            prepare(&crew, member, who, args.approve, result).await
        })
        .await;
    let prepared: Vec<(&Member, ShownPlan)> = prepared
        .into_iter()
        .filter_map(|(member, plan)| Some((member, plan?)))
        .collect();
    let plans: Vec<_> = prepared.iter().map(|(member, plan)| (*member, plan)).collect();
    let declined = "answered no: nothing was created";
    let go_on = async || create_each(&crew, args, who, &prepared).await;
    let is_answered = decide(
        &crew,
        &format!("Offboard UID {}", who.uid),
        &plans,
        args.yes,
        declined,
        go_on,
    )
    .await?;
    crew.finish(args.output.output, is_answered)
}

/// The plan, if something is to be created in this cluster.
async fn prepare(
    crew: &Crew<'_>,
    member: &Member,
    who: &Who<'_>,
    approve: bool,
    result: &mut ClusterResult,
) -> Result<Option<ShownPlan>, Failure> {
    let (cluster, existing) = crew
        .first(member, async |cluster| dry_run::existing(cluster, who.uid).await)
        .await?;
    if let Some(object) = existing {
        let name = object.name_any();
        if object.spec.mode == Mode::DryRun {
            result.offboardings = vec![Offboarding::of(&object)];
            let message = format!(
                "UserOffboarding {name} is a dry run for it, so nothing was created. Delete it, or remove its spec.mode to carry it out"
            );
            result.end(Ended::Held, message);
            return Ok(None);
        }
        tell(
            result,
            &object,
            &format!("UserOffboarding {name} deals with it already"),
        );
        return Ok(None);
    }
    let shown = plan_one(crew, member, &cluster, who, result).await?;
    if shown.changes_nothing() {
        result.end(Ended::Done, "nothing would change, so nothing was created");
        return Ok(None);
    }
    if approve && shown.digest().is_none() {
        let holds = shown.in_short();
        return Err(Failure::found(format!(
            "there is no plan to approve, so nothing was created. {holds}"
        )));
    }
    result.end(Ended::Held, format!("nothing was created yet. {}", shown.in_short()));
    Ok(Some(shown))
}

async fn create_each(crew: &Crew<'_>, args: &FleetStartArgs, who: &Who<'_>, prepared: &[(&Member, ShownPlan)]) {
    let members = prepared.iter().map(|(member, _)| *member);
    crew.each(members, async |member, result| {
        let plan = prepared
            .iter()
            .find(|(other, _)| other.name == member.name)
            .map(|(_, plan)| plan);
        let digest = plan.and_then(ShownPlan::digest).filter(|_| args.approve);
        let known = plan.and_then(|plan| plan.name.as_deref());
        let name = start::object_name(args.object.as_deref(), who, known);
        let manifest = start::manifest(&name, who, args.reason.as_deref(), args.manual, digest);
        // Somebody may have thought about the plans for longer than a kubeconfig holds.
        let (cluster, ()) = crew.first(member, async |_| Ok(())).await?;
        // Not cut short by Ctrl-C: whether it was created is told.
        let (created, demanded) = start::create(&cluster, manifest).await?;
        let mut done = format!("created UserOffboarding {name}");
        if demanded {
            done.push_str(" with approval: Manual, which this cluster demands");
        }
        let patience = Patience {
            deadline: Some(FIRST_WORD),
            needs_operator: true,
            tells: Tells::Nothing,
        };
        let told = crew
            .interrupt
            .ends(start::told(&cluster, &created, false, patience))
            .await;
        match told {
            Ok(object) => tell(result, &object, &done),
            Err(failure) => {
                result.offboardings = vec![Offboarding::of(&created)];
                match (failure.exit, failure.not_covered) {
                    (Exit::Interrupted, _) => result.end(Ended::Done, format!("{done}; it goes on in the cluster")),
                    (Exit::Deadline, None) => {
                        result.end(Ended::Done, format!("{done}; its operator has not begun yet"));
                    }
                    (_, Some(NotCovered::NoOperator)) => {
                        result.end(Ended::Held, format!("{done}, but no operator answers"));
                    }
                    _ => result.end(
                        Ended::Held,
                        format!("{done}, but it cannot be followed: {}", failure.message),
                    ),
                }
            }
        }
        Ok(())
    })
    .await;
}

/// Says in the result where the offboarding stands.
fn tell(result: &mut ClusterResult, object: &UserOffboarding, done: &str) {
    let state = State::of(object);
    let shown = Offboarding::of(object);
    let message = shown
        .message
        .as_deref()
        .map(|message| format!(": {}", output::clean(message)));
    let message = format!("{done}; it is {}{}", state.word(), message.unwrap_or_default());
    match state {
        State::Unvisited => result.end(
            Ended::Held,
            format!("{done}, of which no operator has said anything yet"),
        ),
        state if is_held(&state) => result.end(Ended::Held, message),
        _ => result.end(Ended::Done, message),
    }
    result.offboardings = vec![shown];
}

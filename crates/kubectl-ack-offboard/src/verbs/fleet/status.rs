//! `fleet status`: the offboardings of every cluster.

use crate::{
    cli::{Connection, FleetStatusArgs},
    cluster::Cluster,
    exit::{Failure, NotCovered, Outcome},
    fleet::{
        crew::Crew,
        member::Member,
        result::{ClusterResult, Ended, Offboarding},
    },
    follow::is_held,
    interrupt::Interrupt,
    offboarding::{self, State},
};
use ack_offboarding_operator::api::UserOffboarding;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

/// Shows them.
///
/// # Errors
/// When it cannot begin.
pub(super) async fn run(connection: &Connection, args: &FleetStatusArgs, interrupt: &Interrupt) -> Outcome {
    let crew = Crew::gather("status", None, &args.many, connection, interrupt).await?;
    crew.each(&crew.members, async |member, result| {
        status_one(&crew, member, args.name.as_deref(), result).await
    })
    .await;
    let closed = crew.close();
    closed.show(args.output.output)?;
    Ok(closed.exit)
}

/// Reads one cluster's offboardings, or the one of this name, into the result.
///
/// # Errors
/// When they may not be read, or there is none of this name.
pub(super) async fn status_one(
    crew: &Crew<'_>,
    member: &Member,
    name: Option<&str>,
    result: &mut ClusterResult,
) -> Result<(), Failure> {
    let (_, objects) = crew.first(member, async |cluster| read(cluster, name).await).await?;
    result.offboardings = objects.iter().map(Offboarding::of).collect();
    let now = Timestamp::now();
    if let Some(unanswered) = objects.iter().find(|object| offboarding::nobody_answers(object, now)) {
        let message = offboarding::no_operator(&unanswered.name_any());
        return Err(Failure::new(message).because(NotCovered::NoOperator));
    }
    let held = objects.iter().filter(|object| is_held(&State::of(object)));
    let held: Vec<_> = held
        .map(|object| format!("{} is {}", object.name_any(), State::of(object).word()))
        .collect();
    match (objects.len(), held.is_empty()) {
        (0, _) => result.end(Ended::Done, "no offboardings"),
        (1, true) => result.end(Ended::Done, "1 offboarding"),
        (many, true) => result.end(Ended::Done, format!("{many} offboardings")),
        (_, false) => result.end(Ended::Held, held.join(", ")),
    }
    Ok(())
}

async fn read(cluster: &Cluster, name: Option<&str>) -> Result<Vec<UserOffboarding>, Failure> {
    match name {
        Some(name) => Ok(vec![cluster.offboarding(name).await?]),
        None => {
            let all = cluster.all_offboardings().await?;
            // Those that were made only to show a plan are nobody's offboarding.
            Ok(all.into_iter().filter(|object| !object.is_plan()).collect())
        }
    }
}

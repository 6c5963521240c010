//! `wait`: follows one offboarding until it is where it should be.

use crate::{
    cli::{Goal, WaitArgs},
    cluster::Cluster,
    exit::{Exit, Failure, Outcome},
    follow::{self, Patience, Seen, Tells},
    offboarding::{self, State, condition},
    output,
};
use ack_offboarding_operator::api::{ConditionType, Ends, Mode, Reason, UserOffboarding};
use std::time::Duration;

/// Waits.
///
/// # Errors
/// When it is deleted, cannot get there, or the deadline passes.
pub(crate) async fn run(cluster: &Cluster, args: &WaitArgs) -> Outcome {
    let patience = Patience {
        deadline: (args.timeout != Duration::ZERO).then_some(args.timeout),
        needs_operator: false,
        tells: Tells::Changes,
    };
    let judge = |object: &UserOffboarding| {
        if is_there(object, args.goal) {
            return Ok(Seen::Enough);
        }
        let is_dry = object.spec.mode == Mode::DryRun && State::of(object).ends() == Some(Ends::Reached);
        let returned = State::of(object) == State::Known(Reason::AccessReturned) && offboarding::is_current(object);
        match args.goal {
            // It was there, and nothing but a person brings it back.
            Goal::Offboarded | Goal::Ready if returned => Err(Failure::found(format!(
                "UserOffboarding {} was complete, and access has returned. What changes that: kubectl ack-offboard explain {}",
                args.name, args.name
            ))),
            Goal::Offboarded if is_dry => Err(Failure::found(format!(
                "UserOffboarding {} is a dry run, which offboards nobody. To carry it out: kubectl ack-offboard start {}",
                args.name, object.spec.uid
            ))),
            _ => Ok(Seen::GoOn),
        }
    };
    let object = match follow::follow(cluster, &args.name, patience, judge).await {
        Err(failure) if args.goal == Goal::Deleted && failure.message.contains("was deleted") => {
            return output::finish(&format!("{}: deleted", offboarding::qualified(&args.name)), Exit::Done);
        }
        outcome => outcome?,
    };
    let state = State::of(&object);
    output::finish(
        &format!("{}: {}", offboarding::qualified(&args.name), state.word()),
        Exit::Done,
    )
}

fn is_there(object: &UserOffboarding, goal: Goal) -> bool {
    let is_true = |type_| condition(object, type_).is_some_and(|condition| condition.status == "True");
    offboarding::is_current(object)
        && match goal {
            Goal::Offboarded => is_true(ConditionType::Offboarded),
            Goal::Ready => is_true(ConditionType::Ready),
            Goal::Planned => offboarding::status(object).plan.is_some(),
            Goal::Held => follow::is_held(&State::of(object)),
            Goal::Deleted => false,
        }
}

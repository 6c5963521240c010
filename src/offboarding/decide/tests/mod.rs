//! Table tests of the guards and gates: given facts, what holds, and what may go on. Here is what the tables are made of.

mod approval;
mod guards;
mod run;
mod waiting;

use super::*;
use crate::{
    api::ClearanceStatus,
    offboarding::{cleared::Cleared, plan, testing},
    sources::{
        QueryError,
        activity::{Activity, Answer, Inconclusive, audit_event::Hit},
    },
};

const DAY: i64 = 86_400;

fn activity(state: ActivityState) -> Answer {
    Answer {
        activity: match state {
            ActivityState::Inactive => Activity::Inactive,
            ActivityState::Active => Activity::Active(Box::new(hit())),
            ActivityState::Unknown => Activity::Unknown(Inconclusive::new(Reason::AuditGap, "")),
        },
        message: "Seen.".into(),
        checked_at: testing::facts().now,
        window_days: 7,
        place: None,
        usage: Default::default(),
    }
}

/// A request that was made now.
fn hit() -> Hit {
    Hit {
        time: testing::facts().now,
        audit_id: None,
        verb: None,
        source_ip: None,
        user_agent: None,
        made_by: None,
        impersonated: false,
        other_name: None,
    }
}

fn trouble(forbidden: bool) -> QueryError {
    QueryError {
        credentials: false,
        forbidden,
        cluster_not_found: false,
        message: "asked".into(),
        advice: "",
        retry_after: None,
    }
}

fn gated(facts: &Facts, activity: Option<&Answer>) -> Result<Reason, (Reason, Option<Reason>)> {
    let plan = plan::plan(facts);
    let case = GateInput {
        facts,
        plan: &plan,
        activity,
    };
    gates(case)
        .map(|clearance| clearance.reason())
        .map_err(|blocked| (blocked.reason, blocked.about.map(|(_, _, reason)| reason)))
}

fn asks(facts: &Facts) -> bool {
    must_ask_for_activity(facts, &plan::plan(facts))
}

/// A run in which everything that the facts hold has passed the checks.
fn cleared(facts: &Facts, decision: Decision) -> Cleared {
    let plan = plan::plan(facts);
    let run = ClearanceStatus {
        run_id: "r".into(),
        decision,
        item_count: 0,
        items_digest: String::new(),
        list: String::new(),
    };
    Cleared::new(run, plan.fingerprints().map(str::to_owned))
}

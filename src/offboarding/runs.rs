//! How many offboardings may begin to remove something in an hour: one bad commit must not offboard a company.

use super::{
    context::Context,
    memory::Runs,
    observe::Facts,
    outcome::{self, Blocked, Interrupted, Requeue},
};
use crate::{
    api::{ConditionStatus as Is, ConditionType as Condition, Reason},
    offboarding::watched::Watched,
};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use std::time::Duration;

/// Asked before the first change of a run.
///
/// # Errors
/// The hold, if as many runs as may have begun in the last hour; or when it is not known how many have.
pub async fn begin(ctx: &Context, facts: &Facts) -> Result<(), Interrupted> {
    let now = facts.now;
    let limit = ctx.settings.new_runs_per_hour;
    let mut runs = ctx.runs.lock().await;
    let runs = match &mut *runs {
        Some(runs) => runs,
        // After a restart, or a change of the leader: the statuses know.
        none => none.insert(begun(ctx).await?),
    };
    let Err(next) = runs.begin(&facts.object_uid, now, usize::from(limit)) else {
        return Ok(());
    };
    let wait = next.duration_since(now).unsigned_abs() + Duration::from_millis(50);
    let shown = Timestamp::from_second(next.as_second() + 1).unwrap_or(next);
    let message = format!(
        "{limit} offboardings have begun to remove access within the last hour, which is the limit (--new-runs-per-hour, chart value \
         operator.newRunsPerHour). This one begins at {shown} or later. {} If you did not expect so many (a bad commit, say), \
         stop them now: suspend them, or scale the operator to 0.",
        facts.so_far()
    );
    let blocked = Blocked::new(Reason::RunLimitReached, Requeue::After(wait), message);
    Err(blocked.about(Condition::Approved, Is::False).into())
}

/// The runs that began lately, as the statuses of all objects tell.
async fn begun(ctx: &Context) -> Result<Runs, Interrupted> {
    let api: Api<Watched> = Api::all(ctx.client.clone());
    let listed = api.list(&kube::api::ListParams::default()).await;
    let objects = listed.map_err(|e| outcome::api_server(&e, "Listing the UserOffboardings failed"))?;
    let began = objects
        .iter()
        .filter_map(|object| Some((object.uid()?, object.started_at()?)));
    Ok(began.collect())
}

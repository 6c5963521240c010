//! Is the object still as it was observed? Asked of the API server before each effect: what a watch tells may be old.

use super::{
    outcome::{self, Interrupted},
    peers::Asked,
    run::Run,
    watched::Watched,
};
use crate::{api::UserOffboarding, rbac::permit::Permit};
use alibaba_cloud::Uid;
use kube::{Api, Client, Resource, api::ListParams, core::ObjectMeta};
use std::time::{Duration, Instant};

/// Selects the objects for a UID: the CRD lists it among its selectable fields.
fn of_uid(uid: Uid) -> ListParams {
    ListParams::default().fields(&format!("spec.uid={uid}"))
}

/// For how long a list of the objects for a UID is believed before an effect. The object itself is asked for before each.
const LISTED_LATELY: Duration = Duration::from_millis(500);

/// All objects for this UID, read now: what a watch tells may be old.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn objects_for(client: &Client, uid: Uid) -> Result<Vec<Watched>, Interrupted> {
    let api: Api<Watched> = Api::all(client.clone());
    let listed = api.list(&of_uid(uid)).await;
    Ok(listed
        .map_err(|e| outcome::api_server(&e, "Cannot list the UserOffboardings of the UID"))?
        .items)
}

/// Those whose coming, going and change the object `own` heeds: all but what was made only to show a plan. Else whoever may show plans could hold
/// an offboarding up for as long as they make them.
pub(super) fn of_concern<'a>(objects: &'a [Watched], own: Option<&'a str>) -> impl Iterator<Item = &'a ObjectMeta> {
    let concerns = move |object: &&Watched| !object.is_plan() || object.metadata.name.as_deref() == own;
    objects.iter().filter(concerns).map(Resource::meta)
}

/// Asked immediately before each effect: is the object still as it was observed, and does this process still lead? And are the
/// others for its UID the same? A list of them may be half a second old. The permit is kept until the effect has ended.
///
/// # Errors
/// [`Interrupted::Superseded`] if one of them was edited, deleted, or made since, or if another process may lead.
pub(super) async fn still_wanted(run: &Run, asked: &Asked) -> Result<Permit, Interrupted> {
    let api: Api<UserOffboarding> = Api::all(run.client.clone());
    has_no_other(&run.client, asked).await?;
    let own = api.get_metadata_opt(&asked.name).await?;
    // That may have taken a while.
    has_no_other(&run.client, asked).await?;
    // Last, when the answer is in: this is what must be true at the moment of the effect.
    match own.is_some_and(|own| asked.has(&own.metadata)) {
        true => run.permit(),
        false => Err(Interrupted::Superseded),
    }
}

/// Lists the objects for the UID again, once for all that need it at the moment. A current list takes the API server up to a tenth
/// of a second, whatever it holds: its cache asks etcd for its progress ten times a second.
async fn has_no_other(client: &Client, asked: &Asked) -> Result<(), Interrupted> {
    let mut listed = asked.listed.lock().await;
    if listed.elapsed() < LISTED_LATELY {
        return Ok(());
    }
    let began = Instant::now();
    let live = objects_for(client, asked.uid).await?;
    if !asked.is_by(of_concern(&live, Some(&asked.name))) {
        return Err(Interrupted::Superseded);
    }
    *listed = began;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::PLAN_LABEL;
    use serde_json::json;

    /// A plan is heeded by nobody but itself, until somebody suspends it or makes it more than a plan.
    #[test]
    fn plans_come_and_go_unheeded() {
        let object = |name: &str, spec: serde_json::Value| -> Watched {
            let mut object =
                json!({"metadata": {"name": name, "uid": name, "labels": {PLAN_LABEL: "true"}}, "spec": spec});
            object["spec"]["uid"] = "100".into();
            serde_json::from_value(object).unwrap()
        };
        let all = [
            object("own-plan", json!({"mode": "DryRun"})),
            object("plan", json!({"mode": "DryRun"})),
            object("suspended", json!({"mode": "DryRun", "suspend": true})),
            object("real", json!({"mode": "Execute"})),
        ];
        let heeded = |own: &str| -> Vec<String> {
            of_concern(&all, Some(own))
                .filter_map(|metadata| metadata.name.clone())
                .collect()
        };
        assert_eq!(heeded("real"), ["suspended", "real"]);
        assert_eq!(heeded("own-plan"), ["own-plan", "suspended", "real"]);
    }
}

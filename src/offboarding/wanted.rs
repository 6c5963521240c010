//! Is the object still as it was observed? Asked of the API server before each effect: what a watch tells may be old.

use super::{
    outcome::{self, Interrupted},
    peers::Asked,
    run::Run,
    watched::Watched,
};
use crate::{api::UserOffboarding, rbac::permit::Permit};
use alibaba_cloud::Uid;
use kube::{Api, Client, api::ListParams};
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

/// Asked immediately before each effect: is the object still as it was observed, and does this process still lead? And are the
/// others for its UID the same? A list of them may be half a second old. The permit is kept until the effect has ended.
///
/// # Errors
/// [`Interrupted::Superseded`] if one of them was edited, deleted, or made since, or if another process may lead.
pub(super) async fn still_wanted(run: &Run, asked: &Asked) -> Result<Permit, Interrupted> {
    let api: Api<UserOffboarding> = Api::all(run.client.clone());
    has_no_other(&api, asked).await?;
    let own = api.get_metadata_opt(&asked.name).await?;
    // That may have taken a while.
    has_no_other(&api, asked).await?;
    // Last, when the answer is in: this is what must be true at the moment of the effect.
    match own.is_some_and(|own| asked.has(&own.metadata)) {
        true => run.permit(),
        false => Err(Interrupted::Superseded),
    }
}

/// Lists the objects for the UID again, once for all that need it at the moment. A current list takes the API server up to a tenth
/// of a second, whatever it holds: its cache asks etcd for its progress ten times a second.
async fn has_no_other(api: &Api<UserOffboarding>, asked: &Asked) -> Result<(), Interrupted> {
    let mut listed = asked.listed.lock().await;
    if listed.elapsed() < LISTED_LATELY {
        return Ok(());
    }
    let began = Instant::now();
    let live = api.list_metadata(&of_uid(asked.uid)).await?;
    if !asked.is_by(live.iter().map(|object| &object.metadata)) {
        return Err(Interrupted::Superseded);
    }
    *listed = began;
    Ok(())
}

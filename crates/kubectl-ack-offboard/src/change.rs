//! Changes of one offboarding: each is one patch that holds for exactly the state that was shown.

use crate::{
    cluster::{Cluster, Role},
    exit::Failure,
};
use ack_offboarding_operator::api::UserOffboarding;
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::Value;

/// Who is named as the manager of the fields.
pub(crate) const FIELD_MANAGER: &str = "kubectl-ack-offboard";
/// How often a change is tried anew because the object changed meanwhile: the operator writes its status too.
const TRIES: usize = 5;

/// Changes the object by the merge patch that `patch` makes of it as it is now, provided that it is still the same when the API server
/// stores it; else it is read again and `patch` is asked again. `None` is no change.
///
/// # Errors
/// When `patch` refuses, or the API server does.
pub(crate) async fn change(
    cluster: &Cluster,
    mut object: UserOffboarding,
    doing: &str,
    role: Role,
    patch: impl Fn(&UserOffboarding) -> Result<Option<Value>, Failure>,
) -> Result<Option<UserOffboarding>, Failure> {
    let name = object.name_any();
    let uid = object.uid();
    for _ in 0..TRIES {
        let Some(mut body) = patch(&object)? else {
            return Ok(None);
        };
        // A patch that names a resourceVersion is refused for any other state of the object.
        body["metadata"]["resourceVersion"] = object.resource_version().into();
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match cluster.offboardings().patch(&name, &params, &Patch::Merge(body)).await {
            Ok(changed) => return Ok(Some(changed)),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                object = cluster.offboarding(&name).await?;
                if object.uid() != uid {
                    return Err(Failure::new(format!(
                        "UserOffboarding {name} was deleted and created again meanwhile. Nothing was changed; look at it again: kubectl \
                         ack-offboard status {name}"
                    )));
                }
            }
            Err(error) => return Err(cluster.refused(&error, doing, role)),
        }
    }
    Err(Failure::new(format!(
        "cannot {doing}: the object changed each of {TRIES} times. Nothing was changed; try again."
    )))
}

//! Creates UserOffboardings that wait for a person's approval. It is all that a scan ever changes.

use super::trouble::Trouble;
use crate::{
    api::{
        API_VERSION, Approval, Mode, UserOffboarding,
        scan::{SCAN_LABEL, ScanReason},
    },
    rbac::permit::Permit,
};
use alibaba_cloud::Uid;
use kube::{Api, Client, api::PostParams};
use serde_json::json;

/// The name of the proposal for a UID.
pub(crate) fn name(uid: Uid) -> String {
    format!("scan-{uid}")
}

/// Why nothing is proposed where the policy about proposals is not in force.
pub(crate) fn not_guarded(why: &str) -> Trouble {
    Trouble::new(
        ScanReason::ProposalFailed,
        format!(
            "Nothing was proposed. {why} To have the operator propose, set the chart's value scan.propose to true; if it is not to, set onFinding to Report."
        ),
    )
}

/// Creates one, with the permit that is asked for immediately before. One of this name that is there already is as good.
///
/// # Errors
/// When this process may not, or the API server refuses.
pub(crate) async fn create(
    client: &Client,
    scan: &str,
    uid: Uid,
    permit: impl Fn() -> Option<Permit>,
) -> Result<(), Trouble> {
    let object = object(scan, uid).map_err(|error| Trouble::new(ScanReason::ProposalFailed, error.to_string()))?;
    let api: Api<UserOffboarding> = Api::all(client.clone());
    let Some(_permit) = permit() else {
        return Err(Trouble::new(
            ScanReason::ProposalFailed,
            "The admission policies are not known to be in force, or another process leads: nothing was created.",
        ));
    };
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => is_of(&api, uid).await,
        Err(kube::Error::Api(status)) if status.is_forbidden() => Err(Trouble::new(
            ScanReason::ProposalFailed,
            format!(
                "Cannot create UserOffboarding {}: {}. Set the chart's value scan.propose to true, or onFinding to Report.",
                name(uid),
                status.message
            ),
        )),
        Err(error) => Err(Trouble::new(
            ScanReason::ProposalFailed,
            format!("Cannot create UserOffboarding {}: {error}.", name(uid)),
        )),
    }
}

/// Whether the object of this name deals with the UID: anybody who may create offboardings may take the name for another.
async fn is_of(api: &Api<UserOffboarding>, uid: Uid) -> Result<(), Trouble> {
    let name = name(uid);
    let problem = match api.get_opt(&name).await {
        Ok(Some(object)) if object.spec.uid.parse() == Ok(uid) && object.spec.mode == Mode::Execute => return Ok(()),
        Ok(Some(object)) => format!(
            "Cannot propose to offboard UID {uid}: UserOffboarding {name} exists already, and is {}. Delete it, or offboard the UID yourself.",
            match object.spec.uid.parse() == Ok(uid) {
                true => "a dry run".to_owned(),
                false => format!("about UID {}", object.spec.uid),
            }
        ),
        Ok(None) => format!("Cannot create UserOffboarding {name}: one was there a moment ago. It is tried again."),
        Err(error) => format!("Cannot read UserOffboarding {name}: {error}."),
    };
    Err(Trouble::new(ScanReason::ProposalFailed, problem))
}

fn object(scan: &str, uid: Uid) -> serde_json::Result<UserOffboarding> {
    serde_json::from_value(json!({
        "apiVersion": API_VERSION,
        "kind": "UserOffboarding",
        "metadata": {"name": name(uid), "labels": {SCAN_LABEL: scan}},
        "spec": {"uid": uid.to_string(), "approval": Approval::Manual},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{Enforcement, KubeconfigPolicy},
        testing::uid,
    };

    #[test]
    fn a_proposal_waits_for_approval_and_loosens_nothing() {
        let object = object("default", uid(259083957089437690)).unwrap();
        assert_eq!(object.metadata.name.as_deref(), Some("scan-259083957089437690"));
        let spec = object.spec;
        assert_eq!((spec.approval, spec.mode), (Approval::Manual, Mode::Execute));
        assert_eq!(
            (spec.kubeconfig, spec.enforcement),
            (KubeconfigPolicy::Purge, Enforcement::Once)
        );
        assert!(spec.approvals.is_empty() && spec.names.is_empty());
        assert_eq!(spec.activity_check, crate::api::ActivityCheck::default());
    }
}

//! Who asked for an offboarding, and who approved it: as the API server's audit log tells.

use crate::support::{TestEnv, UID, give_access, running};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{PATIENCE, user},
};
use ack_offboarding_operator::api::{UserOffboarding, UserOffboardingStatus};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// Somebody who may do this with UserOffboardings; in force when it returns.
async fn person(env: &TestEnv, name: &str, role: &str) -> anyhow::Result<Client> {
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": format!("people-{name}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [user(name)],
    }))?;
    Api::all(env.admin()).create(&PostParams::default(), &binding).await?;
    let client = env.cluster.user_client(name, &[])?;
    let objects: Api<UserOffboarding> = Api::all(client.clone());
    eventually("the role to be in force", PATIENCE, async || {
        Ok(objects.list(&Default::default()).await.ok().map(drop))
    })
    .await?;
    Ok(client)
}

fn object(metadata: Value, spec: Value) -> UserOffboarding {
    let object = json!({
        "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "UserOffboarding", "metadata": metadata, "spec": spec,
    });
    serde_json::from_value(object).expect("a UserOffboarding")
}

async fn until(
    env: &TestEnv,
    name: &str,
    what: &str,
    is_so: impl Fn(&UserOffboardingStatus) -> bool,
) -> anyhow::Result<UserOffboardingStatus> {
    eventually(what, PATIENCE, async || {
        let status = env.offboardings().get(name).await?.status.unwrap_or_default();
        Ok(is_so(&status).then_some(status))
    })
    .await
}

/// Whoever creates an object whose name is generated, and whoever approves its plan, are both in the status; not who merely edits it.
#[tokio::test(flavor = "multi_thread")]
async fn who_asked_and_who_approved() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let requester = Api::<UserOffboarding>::all(person(&env, "alice", "ack-offboarding-requester").await?);
    let approver = Api::<UserOffboarding>::all(person(&env, "bob", "ack-offboarding-approver").await?);
    let (create, spec) = (PostParams::default(), json!({"uid": UID, "approval": "Manual"}));
    let dry_run = PostParams {
        dry_run: true,
        ..create.clone()
    };
    // Nothing came of it.
    approver
        .create(&dry_run, &object(json!({"generateName": "left-"}), spec.clone()))
        .await?;
    let made = requester
        .create(&create, &object(json!({"generateName": "left-"}), spec))
        .await?;
    let name = made.metadata.name.expect("a name");
    let waiting = env.wait_for_state(&name, "AwaitingApproval").await?;
    let status = until(&env, &name, "who asked", |status| status.requested_by.is_some()).await?;
    let requested = status.requested_by.expect("who asked");
    assert_eq!((requested.user.as_str(), requested.through), ("alice", None));
    assert_eq!(status.approved_by, None, "nobody has");

    let digest = waiting.plan.expect("a plan").digest;
    let other = format!("sha256:{}", "0".repeat(64));
    let approve = |digests: &[&str]| {
        let approvals: Vec<_> = digests.iter().map(|digest| json!({"digest": digest})).collect();
        Patch::Merge(json!({"spec": {"approvals": approvals}}))
    };
    let params = PatchParams::default();
    // An administrator approves the plan of another cluster; who approves this one is bob.
    env.offboardings().patch(&name, &params, &approve(&[&other])).await?;
    approver.patch(&name, &params, &approve(&[&other, &digest])).await?;
    env.wait_for_state(&name, "Offboarded").await?;
    let status = until(&env, &name, "who approved", |status| {
        status.approved_by.as_ref().is_some_and(|by| by.user.is_some())
    })
    .await?;
    let approved = status.approved_by.expect("who approved");
    assert_eq!((approved.user.as_deref(), approved.digest), (Some("bob"), digest));
    assert_eq!(status.requested_by.expect("who asked").user, "alice", "and that stays");
    Ok(())
}

//! S11: without the admission policies that it was built with, the operator changes nothing.

use crate::{
    sight::{sees, sees_text},
    support::{TestStage, UID, assert_gone, assert_stalled, assert_untouched, give_access, message, purges, stage},
};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, POLICIES, eventually},
    stage::{OperatorOptions, PATIENCE, user},
};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// What somebody does to a policy or to its binding.
enum Tampering {
    Delete,
    /// A merge patch.
    Change(Value),
}

/// Each with what it is, and whether it is done to the binding.
fn tamperings() -> [(&'static str, bool, Tampering); 6] {
    let never = json!([{"name": "never", "expression": "false"}]);
    let narrow = json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}});
    let change = |spec: Value| Tampering::Change(json!({ "spec": spec }));
    [
        ("the policy is deleted", false, Tampering::Delete),
        ("its binding is deleted", true, Tampering::Delete),
        (
            "its binding only audits",
            true,
            change(json!({"validationActions": ["Audit"]})),
        ),
        (
            "it lets pass what it cannot evaluate",
            false,
            change(json!({"failurePolicy": "Ignore"})),
        ),
        (
            "a condition is added to it",
            false,
            change(json!({"matchConditions": never})),
        ),
        (
            "its binding is narrowed to a namespace",
            true,
            change(json!({"matchResources": narrow})),
        ),
    ]
}

async fn tamper(stage: &TestStage, policy: &str, binding: bool, with: &Tampering) -> anyhow::Result<()> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(stage.admin());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(stage.admin());
    let (delete, patch) = (DeleteParams::default(), PatchParams::default());
    match (binding, with) {
        (false, Tampering::Delete) => drop(policies.delete(policy, &delete).await?),
        (true, Tampering::Delete) => drop(bindings.delete(policy, &delete).await?),
        (false, Tampering::Change(spec)) => drop(policies.patch(policy, &patch, &Patch::Merge(spec)).await?),
        (true, Tampering::Change(spec)) => drop(bindings.patch(policy, &patch, &Patch::Merge(spec)).await?),
    }
    Ok(())
}

/// As the message says: away with it, and installed anew.
async fn put_back(stage: &TestStage, policy: &str) -> anyhow::Result<()> {
    let delete = DeleteParams::default();
    let gone = [
        Api::<ValidatingAdmissionPolicy>::all(stage.admin())
            .delete(policy, &delete)
            .await
            .map(drop),
        Api::<ValidatingAdmissionPolicyBinding>::all(stage.admin())
            .delete(policy, &delete)
            .await
            .map(drop),
    ];
    for gone in gone {
        match gone {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            other => other?,
        }
    }
    stage.cluster.install_operator(OPERATOR_NAMESPACE).await
}

/// What `/readyz` says of the policies.
async fn readiness(stage: &TestStage) -> anyhow::Result<(u16, String)> {
    let answer = reqwest::get(format!("http://{}/readyz", stage.operator_address()?)).await?;
    let (code, text) = (answer.status().as_u16(), answer.text().await?);
    let line = text
        .lines()
        .find(|line| line.contains("]policies "))
        .unwrap_or_default();
    Ok((code, line.to_owned()))
}

/// A proof of a moment ago is none: the operator looks anew before each run.
fn options() -> OperatorOptions {
    OperatorOptions::default().flag("--recheck-interval=50ms")
}

/// Takes the policy away in each way, and puts it back: returns what the status said each time.
async fn stands_still_without(stage: &mut TestStage, policy: &str) -> anyhow::Result<String> {
    stage.start_operator(&options()).await?;
    let mut said = String::new();
    for (n, (what, binding, tampering)) in tamperings().into_iter().enumerate() {
        let (uid, name) = (format!("40000000000000000{n}"), format!("left-{n}"));
        stage
            .cluster_role_binding(&format!("leaver-{n}"), "view", &[user(&uid)])
            .await?;
        let (backups, asked) = (stage.backups().await?.len(), purges(stage).len());
        tamper(stage, policy, binding, &tampering).await?;
        stage.apply(&name, json!({"uid": uid})).await?;
        let status = stage.wait_for_state(&name, "PoliciesNotInForce").await?;
        assert_stalled(&status, "PoliciesNotInForce");
        assert!(message(&status, "Ready").contains(&format!("admission policy {policy} is not in force")));
        said += &format!("# {what}\n{}\n", message(&status, "Ready"));
        let (code, line) = readiness(stage).await?;
        assert_eq!(code, 503, "{what}");
        assert_eq!(
            line,
            format!("[-]policies failed: {policy} is not in force (see the log)"),
            "{what}"
        );
        assert_eq!(
            stage.bindings_of(&uid).await?,
            [format!("ClusterRoleBinding leaver-{n}")],
            "{what}"
        );
        assert_eq!(
            (stage.backups().await?.len(), purges(stage).len()),
            (backups, asked),
            "{what}"
        );

        put_back(stage, policy).await?;
        stage.wait_for_state(&name, "Offboarded").await?;
        assert_eq!(readiness(stage).await?, (200, "[+]policies ok".to_owned()));
        assert_eq!(stage.bindings_of(&uid).await?, Vec::<String>::new(), "{what}");
    }
    Ok(said)
}

/// Changes nothing, while the policy that keeps it from granting access is missing or weakened; `/readyz` says so, too. Put back, the
/// operator goes on.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_about_bindings_the_operator_stands_still() -> anyhow::Result<()> {
    let mut stage = stage().await;
    let said = stands_still_without(&mut stage, POLICIES[0]).await?;
    sees_text!("as Ready says each time", said);
    Ok(())
}

/// Changes nothing, while the policy that keeps backups is missing or weakened.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_about_backups_the_operator_stands_still() -> anyhow::Result<()> {
    let mut stage = stage().await;
    let said = stands_still_without(&mut stage, POLICIES[1]).await?;
    sees_text!("as Ready says each time", said);
    Ok(())
}

/// Changes nothing, while the policy about approvals is missing or weakened: it cannot be tried, and is compared.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_about_approvals_the_operator_stands_still() -> anyhow::Result<()> {
    let mut stage = stage().await;
    let said = stands_still_without(&mut stage, POLICIES[2]).await?;
    sees_text!("as Ready says each time", said);
    Ok(())
}

/// Finishes nothing that it has begun to wait for: a policy that goes while an approval is awaited holds the run up.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_goes_while_a_run_waits_holds_it_up() -> anyhow::Result<()> {
    let mut stage = stage().await;
    give_access(&stage).await?;
    stage.start_operator(&options()).await?;
    stage.apply("left", json!({"uid": UID, "suspend": true})).await?;
    stage.wait_for_state("left", "Suspended").await?;
    tamper(&stage, POLICIES[0], true, &Tampering::Delete).await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "PoliciesNotInForce").await?;
    sees!(stage, "left", "while the policy is away");
    assert_stalled(&status, "PoliciesNotInForce");
    assert_untouched(&stage).await?;
    put_back(&stage, POLICIES[0]).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

/// Is not ready before the policies are in force, and becomes ready by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_starts_before_its_policies_waits_for_them() -> anyhow::Result<()> {
    let mut stage = stage().await;
    give_access(&stage).await?;
    tamper(&stage, POLICIES[1], true, &Tampering::Delete).await?;
    stage.start_operator(&options()).await?;
    let expected = format!("[-]policies failed: {} is not in force (see the log)", POLICIES[1]);
    eventually("/readyz to name the policy", PATIENCE, async || {
        let Ok(said) = readiness(&stage).await else {
            return Ok(None);
        };
        Ok((said == (503, expected.clone())).then_some(()))
    })
    .await?;
    stage.apply("left", json!({"uid": UID})).await?;
    assert_untouched(&stage).await?;
    put_back(&stage, POLICIES[1]).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

/// Goes on without the policy about approvals, where the installation does not have it.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_about_approvals_is_demanded_where_it_is_installed() -> anyhow::Result<()> {
    let mut stage = stage().await;
    give_access(&stage).await?;
    tamper(&stage, POLICIES[2], true, &Tampering::Delete).await?;
    stage
        .start_operator(&options().flag("--require-approval-policy=false"))
        .await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;
    assert_gone(&stage, &status).await
}

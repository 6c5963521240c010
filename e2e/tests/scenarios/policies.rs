//! S11: without the admission policies that it was built with, the operator changes nothing.

use crate::{
    sight::{sees, sees_text},
    support::{TestEnv, UID, assert_gone, assert_stalled, assert_untouched, env, give_access, message, purges},
};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, POLICIES, eventually},
    env::{OperatorOptions, PATIENCE, user},
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

async fn tamper(env: &TestEnv, policy: &str, binding: bool, with: &Tampering) -> anyhow::Result<()> {
    let policies = Api::<ValidatingAdmissionPolicy>::all(env.admin());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(env.admin());
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
async fn put_back(env: &TestEnv, policy: &str) -> anyhow::Result<()> {
    let delete = DeleteParams::default();
    let gone = [
        Api::<ValidatingAdmissionPolicy>::all(env.admin())
            .delete(policy, &delete)
            .await
            .map(drop),
        Api::<ValidatingAdmissionPolicyBinding>::all(env.admin())
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
    env.cluster.install_operator(OPERATOR_NAMESPACE).await
}

/// What `/readyz` says of the policies.
async fn readiness(env: &TestEnv) -> anyhow::Result<(u16, String)> {
    let answer = reqwest::get(format!("http://{}/readyz", env.operator_address()?)).await?;
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
async fn stands_still_without(env: &mut TestEnv, policy: &str) -> anyhow::Result<String> {
    env.start_operator(&options()).await?;
    let mut said = String::new();
    for (n, (what, binding, tampering)) in tamperings().into_iter().enumerate() {
        let (uid, name) = (format!("40000000000000000{n}"), format!("left-{n}"));
        env.cluster_role_binding(&format!("leaver-{n}"), "view", &[user(&uid)])
            .await?;
        let (backups, asked) = (env.backups().await?.len(), purges(env).len());
        tamper(env, policy, binding, &tampering).await?;
        env.apply(&name, json!({"uid": uid})).await?;
        let status = env.wait_for_state(&name, "PoliciesNotInForce").await?;
        assert_stalled(&status, "PoliciesNotInForce");
        assert!(message(&status, "Ready").contains(&format!("admission policy {policy} is not in force")));
        said += &format!("# {what}\n{}\n", message(&status, "Ready"));
        let (code, line) = readiness(env).await?;
        assert_eq!(code, 503, "{what}");
        assert_eq!(
            line,
            format!("[-]policies failed: {policy} is not in force (see the log)"),
            "{what}"
        );
        assert_eq!(
            env.bindings_of(&uid).await?,
            [format!("ClusterRoleBinding leaver-{n}")],
            "{what}"
        );
        assert_eq!(
            (env.backups().await?.len(), purges(env).len()),
            (backups, asked),
            "{what}"
        );

        put_back(env, policy).await?;
        env.wait_for_state(&name, "Offboarded").await?;
        assert_eq!(readiness(env).await?, (200, "[+]policies ok".to_owned()));
        assert_eq!(env.bindings_of(&uid).await?, Vec::<String>::new(), "{what}");
    }
    Ok(said)
}

/// Changes nothing, while the policy that keeps it from granting access is missing or weakened; `/readyz` says so, too. Put back, the
/// operator goes on.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_about_bindings_the_operator_stands_still() -> anyhow::Result<()> {
    let mut env = env().await;
    let said = stands_still_without(&mut env, POLICIES[0]).await?;
    sees_text!("as Ready says each time", said);
    Ok(())
}

/// Changes nothing, while the policy that keeps backups is missing or weakened.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_about_backups_the_operator_stands_still() -> anyhow::Result<()> {
    let mut env = env().await;
    let said = stands_still_without(&mut env, POLICIES[1]).await?;
    sees_text!("as Ready says each time", said);
    Ok(())
}

/// Changes nothing, while the policy about approvals is missing or weakened: it cannot be tried, and is compared.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_policy_about_approvals_the_operator_stands_still() -> anyhow::Result<()> {
    let mut env = env().await;
    let said = stands_still_without(&mut env, POLICIES[2]).await?;
    sees_text!("as Ready says each time", said);
    Ok(())
}

/// Finishes nothing that it has begun to wait for: a policy that goes while an approval is awaited holds the run up.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_goes_while_a_run_waits_holds_it_up() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.start_operator(&options()).await?;
    env.apply("left", json!({"uid": UID, "suspend": true})).await?;
    env.wait_for_state("left", "Suspended").await?;
    tamper(&env, POLICIES[0], true, &Tampering::Delete).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "PoliciesNotInForce").await?;
    sees!(env, "left", "while the policy is away");
    assert_stalled(&status, "PoliciesNotInForce");
    assert_untouched(&env).await?;
    put_back(&env, POLICIES[0]).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Is not ready before the policies are in force, and becomes ready by itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_starts_before_its_policies_waits_for_them() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    tamper(&env, POLICIES[1], true, &Tampering::Delete).await?;
    env.start_operator(&options()).await?;
    let expected = format!("[-]policies failed: {} is not in force (see the log)", POLICIES[1]);
    eventually("/readyz to name the policy", PATIENCE, async || {
        let Ok(said) = readiness(&env).await else {
            return Ok(None);
        };
        Ok((said == (503, expected.clone())).then_some(()))
    })
    .await?;
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "PoliciesNotInForce").await?;
    assert_untouched(&env).await?;
    put_back(&env, POLICIES[1]).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Goes on without the policy about approvals, where the installation does not have it.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_about_approvals_is_demanded_where_it_is_installed() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    tamper(&env, POLICIES[2], true, &Tampering::Delete).await?;
    env.start_operator(&options().flag("--require-approval-policy=false"))
        .await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

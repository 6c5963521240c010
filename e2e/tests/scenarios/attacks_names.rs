//! S1: names of RBAC objects may hold anything but `/` and `%`.

use crate::{
    attacks_between::COLLEAGUE,
    sight::sees,
    support::{
        LEAVER, TestEnv, UID, assert_conditions, assert_gone, env, give_access, message, purges, read_backup, running,
    },
};
use ack_offboarding_e2e::{
    cluster::{eventually, named},
    env::{OperatorOptions, PATIENCE, condition, issue_kubeconfig, kubeconfig_state, user},
    simulator::world::CertificateState,
};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    rbac::v1::{ClusterRoleBinding, RoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Output};

fn binding(name: &str, subjects: &[Value]) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"made-by": "the-attack"}},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": subjects,
    })
}

/// A binding of both kinds under each of these names.
async fn bind(env: &TestEnv, names: &[String], subject: &Value) -> anyhow::Result<()> {
    env.cluster.ensure_namespace("team-a").await?;
    let (params, admin) = (&PostParams::default(), &env.admin());
    stream::iter(names)
        .map(anyhow::Ok)
        .try_for_each_concurrent(8, |name| async move {
            let object = binding(name, std::slice::from_ref(subject));
            let inside = Api::<RoleBinding>::namespaced(admin.clone(), "team-a");
            inside.create(params, &serde_json::from_value(object.clone())?).await?;
            let everywhere = Api::<ClusterRoleBinding>::all(admin.clone());
            everywhere.create(params, &serde_json::from_value(object)?).await?;
            Ok(())
        })
        .await
}

/// `kind name` of every binding that the attack made and that is there.
async fn there(env: &TestEnv) -> anyhow::Result<BTreeSet<String>> {
    let made = ListParams::default().labels("made-by=the-attack");
    let inside = Api::<RoleBinding>::namespaced(env.admin(), "team-a")
        .list(&made)
        .await?;
    let everywhere = Api::<ClusterRoleBinding>::all(env.admin()).list(&made).await?;
    let name = |name: Option<String>| name.unwrap_or_default();
    let inside = inside
        .into_iter()
        .map(|b| format!("RoleBinding {}", name(b.metadata.name)));
    let everywhere = everywhere
        .into_iter()
        .map(|b| format!("ClusterRoleBinding {}", name(b.metadata.name)));
    Ok(inside.chain(everywhere).collect())
}

/// Whatever a leaver's binding is called: it is found, stored and removed, the certificate ends, and the command in docs/restore.md
/// brings it back. A colleague's binding, whose name is what is left of the leaver's in a careless URL, stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_of_any_name_is_found_stored_removed_and_restored() -> anyhow::Result<()> {
    let mut env = env().await;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    bind(&env, &["leaver".to_owned()], &user(COLLEAGUE)).await?;
    let colleagues = there(&env).await?;
    let names = named::hostile_names("leaver", "2");
    bind(&env, &names, &user(LEAVER)).await?;
    let all = there(&env).await?;
    assert_eq!(all.len(), 2 + 2 * names.len());

    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    env.until_answered(LEAVER, "/api/v1/configmaps", 403).await?;
    // What names nobody counts as removed, and goes as fast as the garbage collector unties what depends on it.
    eventually("the emptied bindings to be gone", PATIENCE, async || {
        Ok((there(&env).await?.len() <= colleagues.len()).then_some(()))
    })
    .await?;
    assert_eq!(there(&env).await?, colleagues, "and nothing else went");
    assert_eq!(
        status.removed.unwrap_or_default().total,
        u32::try_from(2 * names.len())?
    );
    let mut stored = BTreeSet::new();
    for backup in env.backups().await? {
        stored.extend(read_backup(&backup)?.entries.into_iter().map(|entry| entry.key.name));
    }
    assert_eq!(stored, names.into_iter().collect::<BTreeSet<_>>());

    env.delete("left").await?;
    for backup in env.backups().await? {
        let output = restore(&env, backup.metadata.name.as_deref().unwrap_or_default())?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(there(&env).await?, all);
    env.until_answered(LEAVER, "/api/v1/configmaps", 200).await
}

/// What docs/restore.md says.
fn restore(env: &TestEnv, backup: &str) -> anyhow::Result<Output> {
    let mut get = env.cluster.kubectl();
    get.args(["-n", "ack-offboarding-system", "get", "configmap", backup, "-o"])
        .arg(r"jsonpath={.data.deleted\.yaml}");
    let manifest = get.output()?;
    anyhow::ensure!(
        manifest.status.success() && !manifest.stdout.is_empty(),
        "no deleted.yaml"
    );
    let file = env.cluster.dir().join("restore.yaml");
    std::fs::write(&file, manifest.stdout)?;
    Ok(env.cluster.kubectl().args(["create", "-f"]).arg(&file).output()?)
}

/// One binding that cannot be changed holds itself, whatever it is called, and the purge, which would take it; no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_cannot_be_handled_holds_only_itself() -> anyhow::Result<()> {
    const FROZEN: &str = "frozen #1?\"\\ \u{fc}";
    let mut env = env().await;
    issue_kubeconfig(&env.sim, UID, CertificateState::Unexpired);
    let names = ["leaver#2", "a?b", "a b", "a\"b", "a\\b", "\u{fc}", "a:b"].map(str::to_owned);
    bind(&env, &names, &user(LEAVER)).await?;
    bind(&env, &[FROZEN.to_owned()], &user(LEAVER)).await?;
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": "frozen"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "resources": ["rolebindings"],
                "operations": ["UPDATE", "DELETE"],
            }]},
            "validations": [{"expression": "!oldObject.metadata.name.startsWith('frozen')", "message": "it is frozen"}],
        },
    }))?;
    let in_force: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": "frozen"}, "spec": {"policyName": "frozen", "validationActions": ["Deny"]},
    }))?;
    let inside = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    let sentinel = serde_json::from_value(binding("frozen-too", &[user(COLLEAGUE)]))?;
    inside.create(&PostParams::default(), &sentinel).await?;
    Api::all(env.admin()).create(&PostParams::default(), &policy).await?;
    Api::all(env.admin()).create(&PostParams::default(), &in_force).await?;
    eventually("the policy to be in force", PATIENCE, async || {
        let refused = inside.delete("frozen-too", &DeleteParams::default().dry_run()).await;
        Ok(refused.err())
    })
    .await?;

    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env
        .wait_for("left", "what is left is named", |status| {
            condition(status, "Offboarded").starts_with("False/")
                && message(status, "Offboarded").contains("frozen #1?")
        })
        .await?;
    let left = [format!("RoleBinding {FROZEN}"), "RoleBinding frozen-too".to_owned()];
    eventually("the emptied bindings to be gone", PATIENCE, async || {
        Ok((there(&env).await?.len() <= left.len()).then_some(()))
    })
    .await?;
    assert_eq!(there(&env).await?, left.into(), "{}", message(&status, "Offboarded"));
    assert!(purges(&env).is_empty());
    assert_eq!(kubeconfig_state(&env.sim, UID), Some(CertificateState::Unexpired));
    Ok(())
}

/// `length` and `content` of a field of a Protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).expect("short");
    assert!(length < 128, "one byte of length");
    [&[number << 3 | 2, length], content].concat()
}

/// A ClusterRoleBinding of this name in Protobuf, as Kubernetes frames it.
fn in_protobuf(name: &[u8], user: &str) -> Vec<u8> {
    let rbac = b"rbac.authorization.k8s.io";
    let metadata = field(1, name);
    let subject = [field(1, b"User"), field(2, rbac), field(3, user.as_bytes())].concat();
    let role = [field(1, rbac), field(2, b"ClusterRole"), field(3, b"edit")].concat();
    let binding = [field(1, &metadata), field(2, &subject), field(3, &role)].concat();
    // More than 127 bytes: its length takes two.
    let length = [(binding.len() & 0x7f | 0x80) as u8, (binding.len() >> 7) as u8];
    let kind = [
        field(1, b"rbac.authorization.k8s.io/v1"),
        field(2, b"ClusterRoleBinding"),
    ]
    .concat();
    [b"k8s\0".as_slice(), &field(1, &kind), &[2 << 3 | 2], &length, &binding].concat()
}

/// Removes all other bindings, names the one that nobody can address by what is shown, and does not purge the kubeconfig. When it is
/// removed by its bytes, the operator goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_whose_name_is_no_text_is_named_and_never_called_gone() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    const PATH: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let request = http::Request::post(PATH)
        .header("Content-Type", "application/vnd.kubernetes.protobuf")
        .body(in_protobuf(b"leaver\xff", LEAVER))?;
    let made = env.admin().request_text(request).await?;
    assert!(
        made.contains("\"leaver\u{fffd}\"") || made.contains("leaver\\ufffd"),
        "{made}"
    );

    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "BindingUnreadable").await?;
    assert_conditions(
        &status,
        &[
            ("Ready", "False/BindingUnreadable"),
            ("Stalled", "True/BindingUnreadable"),
            ("BindingsRemoved", "False/BindingUnreadable"),
            ("Offboarded", "False/BindingUnreadable"),
        ],
    );
    assert!(purges(&env).is_empty());
    sees!(env, "left", "while it is there");

    let request = http::Request::delete(format!("{PATH}/leaver%ff")).body(Vec::new())?;
    env.admin().request_text(request).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

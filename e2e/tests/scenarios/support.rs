//! What the scenarios share.

use ack_offboarding_e2e::{
    access,
    cluster::{BARRIER, Options, eventually, pool},
    env::{CLUSTER_ID, Env, OperatorOptions, PATIENCE, condition, kubeconfig_state},
    simulator::{Call, Operation, world::CertificateState},
};
use ack_offboarding_operator::{api::UserOffboardingStatus, rbac::backup};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        core::v1::ConfigMap,
        events::v1::Event,
        rbac::v1::RoleBinding,
    },
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The leaver of most scenarios.
pub(crate) const UID: &str = "259083957089437690";
/// The name in the leaver's client certificate.
pub(crate) const LEAVER: &str = "259083957089437690-1700000000";

/// A backup, read as the operator reads it now.
pub(crate) fn read_backup(map: &ConfigMap) -> Result<backup::StoredPart, backup::Unreadable> {
    backup::read(map, Timestamp::now())
}

/// `spec.approvals` with these digests.
pub(crate) fn approvals(digests: &[impl serde::Serialize]) -> Value {
    digests.iter().map(|digest| json!({"digest": digest})).collect()
}

/// A stage on a cluster of the pool.
pub(crate) type TestEnv = Env<pool::Lease>;

/// A stage without the operator.
pub(crate) async fn env() -> TestEnv {
    let cluster = pool::acquire(Options::default()).await.expect("a cluster");
    Env::set(cluster).await.expect("a stage")
}

/// A stage with the operator running.
pub(crate) async fn running() -> TestEnv {
    running_with(&[]).await
}

/// A stage with the operator running, with further flags.
pub(crate) async fn running_with(flags: &[&str]) -> TestEnv {
    let mut env = env().await;
    let options = flags
        .iter()
        .fold(OperatorOptions::default(), |options, flag| options.flag(flag));
    env.start_operator(&options).await.expect("the operator");
    env
}

/// Gives UID what a leaver has: a kubeconfig, a cluster-wide binding and one in a namespace.
pub(crate) async fn give_access(env: &TestEnv) -> anyhow::Result<()> {
    access::give(env, UID, LEAVER).await
}

/// Has an admission policy refuse every change and every deletion of a RoleBinding in team-a, where UID has the one of [`give_access`].
pub(crate) async fn freeze_team_a(env: &TestEnv) -> anyhow::Result<()> {
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": "keep-team-a"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["rbac.authorization.k8s.io"], "apiVersions": ["v1"], "resources": ["rolebindings"],
                "operations": ["UPDATE", "DELETE"],
            }]},
            "validations": [{"expression": "oldObject.metadata.namespace != 'team-a'", "message": "team-a is frozen"}],
        },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": "keep-team-a"}, "spec": {"policyName": "keep-team-a", "validationActions": ["Deny"]},
    }))?;
    let params = PostParams::default();
    Api::all(env.admin()).create(&params, &policy).await?;
    Api::all(env.admin()).create(&params, &binding).await?;
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    eventually("the policy to be in force", PATIENCE, async || {
        Ok(api.delete("leaver", &DeleteParams::default().dry_run()).await.err())
    })
    .await?;
    Ok(())
}

/// Takes the policy of [`freeze_team_a`] away.
pub(crate) async fn unfreeze_team_a(env: &TestEnv) -> anyhow::Result<()> {
    let params = DeleteParams::default();
    Api::<ValidatingAdmissionPolicyBinding>::all(env.admin())
        .delete("keep-team-a", &params)
        .await?;
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    eventually("the policy to be gone", PATIENCE, async || {
        Ok(api
            .delete("leaver", &DeleteParams::default().dry_run())
            .await
            .ok()
            .map(drop))
    })
    .await
}

/// A policy of the cluster that changes what this rule matches by a JSON patch before it is stored, in one namespace or in all.
pub(crate) async fn mutate(env: &TestEnv, rule: &Value, patch: &str, namespace: Option<&str>) -> anyhow::Result<()> {
    let api = |kind| {
        let gvk = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::<DynamicObject>::all_with(env.admin(), &ApiResource::from_gvk(&gvk))
    };
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "mutator"},
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never", "matchConstraints": {"resourceRules": [rule]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": patch}}],
        },
    });
    let selector = namespace.map_or(
        json!({}),
        |name| json!({"matchLabels": {"kubernetes.io/metadata.name": name}}),
    );
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "mutator"},
        "spec": {"policyName": "mutator", "matchResources": {"namespaceSelector": selector}},
    });
    let params = PatchParams::apply("person").force();
    api("MutatingAdmissionPolicy")
        .patch("mutator", &params, &Patch::Apply(policy))
        .await?;
    api("MutatingAdmissionPolicyBinding")
        .patch("mutator", &params, &Patch::Apply(binding))
        .await?;
    Ok(())
}

/// A policy of the cluster that refuses what this rule matches.
pub(crate) async fn refuse(env: &TestEnv, rule: &Value, message: &str) -> anyhow::Result<()> {
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": "refuser"},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": "false", "message": message}],
        },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": "refuser"}, "spec": {"policyName": "refuser", "validationActions": ["Deny"]},
    }))?;
    let params = PostParams::default();
    Api::all(env.admin()).create(&params, &policy).await?;
    Api::all(env.admin()).create(&params, &binding).await?;
    Ok(())
}

/// Takes the policy of [`refuse`] away.
pub(crate) async fn refuse_no_more(env: &TestEnv) -> anyhow::Result<()> {
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(env.admin());
    bindings.delete("refuser", &DeleteParams::default()).await?;
    Ok(())
}

/// A real certificate makes a real request, which arrives through the real audit log.
pub(crate) async fn make_a_request(env: &TestEnv) -> anyhow::Result<()> {
    assert_eq!(env.probe(LEAVER, "/api/v1/namespaces/team-a/configmaps").await?, 200);
    env.sim
        .wait_for_record(CLUSTER_ID, |r| r.get("user.username") == Some(LEAVER), PATIENCE)
        .await?;
    // Well inside the window, whatever the clocks and the index do.
    env.sim
        .age_records(CLUSTER_ID, |_| true, std::time::Duration::from_secs(60));
    Ok(())
}

/// The purges that reached ACK.
pub(crate) fn purges(env: &TestEnv) -> Vec<Call> {
    let calls = env.sim.calls().into_iter();
    calls
        .filter(|c| c.operation == Operation::CsCleanClusterUserPermissions)
        .collect()
}

/// The access of [`give_access`] is as it was, and nobody tried to change it.
pub(crate) async fn assert_untouched(env: &TestEnv) -> anyhow::Result<()> {
    assert_eq!(
        env.bindings_of(UID).await?,
        ["ClusterRoleBinding leaver-everywhere", "RoleBinding team-a/leaver"]
    );
    assert_eq!(kubeconfig_state(&env.sim, UID), Some(CertificateState::Unexpired));
    assert!(purges(env).is_empty(), "nobody asked ACK for a purge");
    assert!(env.backups().await?.is_empty(), "nothing was begun");
    Ok(())
}

/// I1, as the API server's audit log tells: before the operator changed or deleted a binding, it had stored it.
pub(crate) async fn assert_stored_before_removed(env: &TestEnv) -> anyhow::Result<()> {
    let log = std::fs::read_to_string(env.cluster.audit_log())?;
    let mut stored = BTreeSet::new();
    let mut removed = 0;
    let backups = env.backups().await?;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        let by_operator = text("/user/username").ends_with(":ack-offboarding-operator");
        if !by_operator || code.is_none_or(|code| code >= 300) || text("/stage") != "ResponseComplete" {
            continue;
        }
        let name = text("/objectRef/name");
        match (text("/verb"), text("/objectRef/resource")) {
            // The name of what is created is in the body, which the log does not have: all that is stored by then counts.
            ("create", "configmaps") => {
                let time: Timestamp = text("/stageTimestamp").parse()?;
                for part in backups.iter().map(read_backup).collect::<Result<Vec<_>, _>>()? {
                    if part.created <= time {
                        stored.extend(
                            part.entries
                                .into_iter()
                                .map(|e| (e.key.namespace.unwrap_or_default(), e.key.name)),
                        );
                    }
                }
            }
            ("delete" | "patch", "rolebindings" | "clusterrolebindings") if name != BARRIER => {
                let key = (text("/objectRef/namespace").to_owned(), name.to_owned());
                assert!(stored.contains(&key), "I1: {key:?} was removed without a backup");
                removed += 1;
            }
            ("update" | "patch" | "delete", "configmaps") => panic!("I7: a backup was changed: {line}"),
            _ => {}
        }
    }
    assert!(removed > 0, "the audit log holds the removal");
    Ok(())
}

/// The access of UID is gone, from the cluster and from ACK, and a backup of it is there.
pub(crate) async fn assert_gone(env: &TestEnv, status: &UserOffboardingStatus) -> anyhow::Result<()> {
    assert_conditions(
        status,
        &[
            ("Offboarded", "True/Verified"),
            ("Ready", "True/Offboarded"),
            ("BackedUp", "True/Stored"),
        ],
    );
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());
    assert_eq!(kubeconfig_state(&env.sim, UID), Some(CertificateState::Removed));
    env.until_answered(LEAVER, "/api/v1/namespaces/team-a/configmaps", 403)
        .await?;
    assert!(!env.backups().await?.is_empty());
    assert_stored_before_removed(env).await
}

/// Asserts conditions, each as `Status/Reason`, and the rules of kstatus.
pub(crate) fn assert_conditions(status: &UserOffboardingStatus, expected: &[(&str, &str)]) {
    let all = || {
        let list = status.conditions.iter();
        list.map(|c| format!("{} {}/{}: {}", c.type_, c.status, c.reason, c.message))
            .collect::<Vec<_>>()
            .join("\n")
    };
    for (type_, expected) in expected {
        assert_eq!(
            condition(status, type_),
            *expected,
            "{type_}; all conditions:\n{}",
            all()
        );
    }
    assert_eq!(status.conditions.len(), 11, "every condition is set:\n{}", all());
    let is = |type_: &str| condition(status, type_).starts_with("True/");
    assert!(!(is("Reconciling") && is("Stalled")), "never both:\n{}", all());
    assert!(
        is("Ready") != (is("Reconciling") || is("Stalled")),
        "one of the three:\n{}",
        all()
    );
}

/// Held for a person: the reason stands in Ready, Stalled and Offboarded.
pub(crate) fn assert_stalled(status: &UserOffboardingStatus, reason: &str) {
    let (ready, stalled) = (format!("False/{reason}"), format!("True/{reason}"));
    assert_conditions(
        status,
        &[("Ready", &ready), ("Offboarded", &ready), ("Stalled", &stalled)],
    );
}

/// Waiting by itself: the reason stands in Ready, Reconciling and Offboarded.
pub(crate) fn assert_waiting(status: &UserOffboardingStatus, reason: &str) {
    let (ready, reconciling) = (format!("False/{reason}"), format!("True/{reason}"));
    assert_conditions(
        status,
        &[("Ready", &ready), ("Offboarded", &ready), ("Reconciling", &reconciling)],
    );
}

/// The message of a condition.
pub(crate) fn message<'a>(status: &'a UserOffboardingStatus, type_: &str) -> &'a str {
    status
        .conditions
        .iter()
        .find(|c| c.type_ == type_)
        .map_or("", |c| c.message.as_str())
}

/// The events about a UserOffboarding, each as `Type Reason: note`.
pub(crate) async fn events(env: &TestEnv, name: &str) -> anyhow::Result<Vec<String>> {
    let list = Api::<Event>::namespaced(env.admin(), "default")
        .list(&ListParams::default())
        .await?;
    let about = |e: &Event| e.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(name);
    let text = |e: Event| {
        let part = |p: Option<String>| p.unwrap_or_default();
        format!("{} {}: {}", part(e.type_), part(e.reason), part(e.note))
    };
    Ok(list.items.into_iter().filter(about).map(text).collect())
}

/// Waits for an event that begins like this.
pub(crate) async fn wait_for_event(env: &TestEnv, name: &str, start: &str) -> anyhow::Result<String> {
    let what = format!("an event {start:?} about {name}");
    ack_offboarding_e2e::cluster::eventually(&what, ack_offboarding_e2e::env::PATIENCE, async || {
        Ok(events(env, name).await?.into_iter().find(|e| e.starts_with(start)))
    })
    .await
}

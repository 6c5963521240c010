//! The operator has no right that it does not need.

use crate::support::{LEAVER, TestEnv, UID, assert_gone, env, give_access};
use ack_offboarding_e2e::{
    cluster::{BARRIER, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, eventually, is_allowed},
    env::{OperatorOptions, PATIENCE, user},
};
use ack_offboarding_operator::api::PermissionScan;
use k8s_openapi::api::{
    authorization::v1::ResourceAttributes,
    events::v1::Event,
    rbac::v1::{ClusterRole, PolicyRule, Role, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Long enough for the authorizer's watch to have seen a change of a role.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Something that the operator does: verb, group, resource, subresource, namespace, name.
type Done = [String; 6];

/// What the operator has asked the API server for, successfully, by the audit log.
fn what_it_did(env: &TestEnv) -> anyhow::Result<BTreeSet<Done>> {
    let operator = format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}");
    let mut done = BTreeSet::new();
    for line in std::fs::read_to_string(env.cluster.audit_log())?.lines() {
        let event: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64);
        if text("/user/username") == operator && code.is_some_and(|code| code < 300) {
            let keys = ["apiGroup", "resource", "subresource", "namespace", "name"]
                .map(|key| text(&format!("/objectRef/{key}")));
            let [group, resource, subresource, namespace, name] = keys;
            done.insert([text("/verb"), group, resource, subresource, namespace, name]);
        }
    }
    Ok(done)
}

async fn allowed(operator: &Client, done: &Done) -> anyhow::Result<bool> {
    let [verb, group, resource, subresource, namespace, name] = done.clone().map(Some);
    let attributes = ResourceAttributes {
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
        ..ResourceAttributes::default()
    };
    is_allowed(operator, attributes).await
}

/// `bind` is no request of its own: the API server asks for it when a binding is changed.
async fn may_shrink(operator: &Client) -> anyhow::Result<bool> {
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let api = Api::<RoleBinding>::namespaced(operator.clone(), "team-c");
    for name in ["of-a-role", "of-a-clusterrole"] {
        let shrink = Patch::Merge(json!({"subjects": [user("200000000000000002")]}));
        match api.patch(name, &dry_run, &shrink).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_forbidden() => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// What must be allowed.
struct Needs<'a> {
    done: &'a BTreeSet<Done>,
    bind: bool,
}

impl Needs<'_> {
    async fn are_met(&self, operator: &Client) -> anyhow::Result<bool> {
        for one in self.done {
            if !allowed(operator, one).await? {
                return Ok(false);
            }
        }
        Ok(!self.bind || may_shrink(operator).await?)
    }
}

/// Takes each right of a role away in turn; how many there were. Those that nothing needs are added to `needless`.
async fn take_away(
    admin: &Client,
    operator: &Client,
    grant: &Grant,
    needs: &Needs<'_>,
    needless: &mut Vec<String>,
) -> anyhow::Result<usize> {
    let all = async || {
        eventually("all rights to be there", PATIENCE, async || {
            Ok(needs.are_met(operator).await?.then_some(()))
        })
        .await
    };
    all().await?;
    let fewer = grant.less();
    for (right, rules) in &fewer {
        grant.set(admin, rules).await?;
        let refused = eventually(right, SEEN_WITHIN, async || {
            Ok((!needs.are_met(operator).await?).then_some(()))
        });
        if refused.await.is_err() {
            needless.push(right.clone());
        }
        grant.set(admin, &grant.rules).await?;
        all().await?;
    }
    Ok(fewer.len())
}

/// A role of the operator, namespaced or not.
struct Grant {
    namespace: Option<String>,
    name: String,
    rules: Vec<PolicyRule>,
}

impl Grant {
    async fn set(&self, admin: &Client, rules: &[PolicyRule]) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({ "rules": rules }));
        let params = PatchParams::default();
        match &self.namespace {
            None => drop(
                Api::<ClusterRole>::all(admin.clone())
                    .patch(&self.name, &params, &patch)
                    .await?,
            ),
            Some(namespace) => drop(
                Api::<Role>::namespaced(admin.clone(), namespace)
                    .patch(&self.name, &params, &patch)
                    .await?,
            ),
        }
        Ok(())
    }

    /// The rules with one right less, and which one it is.
    fn less(&self) -> Vec<(String, Vec<PolicyRule>)> {
        let mut all = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            for verb in &rule.verbs {
                for resource in rule.resources.iter().flatten() {
                    let mut rules = self.rules.clone();
                    let without_verb = rule.verbs.iter().filter(|v| *v != verb).cloned().collect();
                    let others = rule
                        .resources
                        .iter()
                        .flatten()
                        .filter(|r| *r != resource)
                        .cloned()
                        .collect::<Vec<_>>();
                    // The verb for the other resources, and the other verbs for this one.
                    let mut rest = vec![
                        PolicyRule {
                            resources: Some(others),
                            ..rule.clone()
                        },
                        PolicyRule {
                            resources: Some(vec![resource.clone()]),
                            verbs: without_verb,
                            ..rule.clone()
                        },
                    ];
                    rest.retain(|r| !r.verbs.is_empty() && r.resources.as_ref().is_some_and(|r| !r.is_empty()));
                    rules.splice(index..=index, rest);
                    all.push((format!("{}: {verb} {resource}", self.name), rules));
                }
            }
        }
        all
    }
}

async fn grants(admin: &Client) -> anyhow::Result<Vec<Grant>> {
    let all = ListParams::default();
    let cluster_roles = Api::<ClusterRole>::all(admin.clone()).list(&all).await?;
    let roles = Api::<Role>::all(admin.clone()).list(&all).await?;
    let everywhere = cluster_roles.items.into_iter().map(|role| (role.metadata, role.rules));
    let somewhere = roles.items.into_iter().map(|role| (role.metadata, role.rules));
    let grants = everywhere.chain(somewhere).map(|(metadata, rules)| Grant {
        namespace: metadata.namespace,
        name: metadata.name.unwrap_or_default(),
        rules: rules.unwrap_or_default(),
    });
    Ok(grants
        .filter(|grant| grant.name.starts_with("ack-offboarding-operator"))
        .collect())
}

/// Every right of the chart is taken away in turn, and something that the operator did in an ordinary run is refused then.
#[tokio::test(flavor = "multi_thread")]
async fn every_right_of_the_chart_is_needed() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (leaver, colleague) = (user(LEAVER), user("200000000000000002"));
    env.cluster_role_binding("shared", "edit", &[leaver.clone(), colleague.clone()])
        .await?;
    env.role_binding("team-b", "shared", "edit", &[leaver, colleague])
        .await?;
    env.start_operator(&OperatorOptions::default().flag("--leader-elect=true"))
        .await?;
    env.apply("left", json!({"uid": UID, "suspend": true})).await?;
    env.wait_for_state("left", "Suspended").await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;
    let scans = Api::<PermissionScan>::all(env.admin());
    let scan = json!({
        "apiVersion": "ack-offboarding.io/v1alpha1", "kind": "PermissionScan", "metadata": {"name": "default"}, "spec": {},
    });
    let params = PatchParams::apply("person").force();
    scans.patch("default", &params, &Patch::Apply(&scan)).await?;
    eventually("the scan", PATIENCE, async || {
        let status = scans.get("default").await?.status;
        Ok(status.and_then(|status| status.last_scan_time).map(drop))
    })
    .await?;
    eventually("the operator to renew its Lease", PATIENCE, async || {
        let renewed = |[verb, _, resource, ..]: &Done| verb == "update" && resource == "leases";
        Ok(what_it_did(&env)?.iter().any(renewed).then_some(()))
    })
    .await?;
    let mut done = what_it_did(&env)?;
    env.stop_operator().await?;
    // The audit policy leaves events out.
    let events = Api::<Event>::namespaced(env.admin(), "default")
        .list(&ListParams::default())
        .await?;
    assert!(
        events
            .iter()
            .any(|event| event.reporting_controller.as_deref() == Some("ack-offboarding-operator"))
    );
    done.insert(["create", "events.k8s.io", "events", "", "default", ""].map(str::to_owned));

    let admin = env.admin();
    let role = json!({"metadata": {"name": "reads"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]});
    let binding = env
        .role_binding(
            "team-c",
            "of-a-clusterrole",
            "edit",
            &[user(UID), user("200000000000000002")],
        )
        .await?;
    Api::<Role>::namespaced(admin.clone(), "team-c")
        .create(&PostParams::default(), &serde_json::from_value(role)?)
        .await?;
    let mut of_a_role = binding.clone();
    of_a_role.metadata = serde_json::from_value(json!({"name": "of-a-role"}))?;
    of_a_role.role_ref.kind = "Role".to_owned();
    of_a_role.role_ref.name = "reads".to_owned();
    Api::<RoleBinding>::namespaced(admin.clone(), "team-c")
        .create(&PostParams::default(), &of_a_role)
        .await?;

    let operator = env
        .cluster
        .service_account_client(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await?;
    let all = grants(&admin).await?;
    let removal = all
        .iter()
        .find(|grant| grant.name.ends_with("-subject-removal"))
        .expect("the grant");
    let shrinks: BTreeSet<Done> = done
        .iter()
        .filter(|[verb, _, resource, _, _, name]| verb == "patch" && resource.ends_with("bindings") && name != BARRIER)
        .cloned()
        .collect();
    assert_eq!(shrinks.len(), 4);
    let mut needless = Vec::new();
    let mut taken = 0;
    // With rbac.removeSubjects=false, the barrier bindings are all that may be patched; with true, they are some of many.
    let without = done.difference(&shrinks).cloned().collect();
    removal.set(&admin, &[]).await?;
    for grant in all.iter().filter(|grant| grant.name != removal.name) {
        taken += take_away(
            &admin,
            &operator,
            grant,
            &Needs {
                done: &without,
                bind: false,
            },
            &mut needless,
        )
        .await?;
    }
    removal.set(&admin, &removal.rules).await?;
    taken += take_away(
        &admin,
        &operator,
        removal,
        &Needs {
            done: &done,
            bind: true,
        },
        &mut needless,
    )
    .await?;
    assert!(needless.is_empty(), "nothing needs: {needless:#?}");
    assert!(taken >= 25, "{taken}");
    Ok(())
}

//! S4: a record that somebody forged. Whoever writes ConfigMaps in the operator's namespace steers nothing, and what a person would
//! restore from is refused by name when it is not what was there.

use crate::support::{LEAVER, TestEnv, UID, assert_untouched, env, give_access, message, purges};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, eventually},
    env::{CLUSTER_ID, OperatorOptions, PATIENCE, condition},
    simulator::Record,
};
use ack_offboarding_operator::rbac::{
    BindingKey, BindingKind, Leaver, LiveBinding,
    backup::{self, Entry, Purpose, StoredAction},
};
use alibaba_cloud::Uid;
use flate2::{Compression, write::GzEncoder};
use futures::future::BoxFuture;
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        core::v1::ConfigMap,
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;
use std::{
    io::Write,
    time::{Duration, Instant},
};

/// Does something with ConfigMaps as an administrator who lifts the policies about them for a moment, if there are any.
pub(crate) async fn lifted(
    admin: &Client,
    what: impl Fn(Api<ConfigMap>) -> BoxFuture<'static, anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let all = ListParams::default();
    let policies = Api::<ValidatingAdmissionPolicy>::all(admin.clone()).list(&all).await?;
    let about_maps = |policy: &ValidatingAdmissionPolicy| {
        let constraints = policy.spec.as_ref().and_then(|spec| spec.match_constraints.as_ref());
        let rules = constraints.and_then(|constraints| constraints.resource_rules.as_ref());
        let mut resources = rules
            .into_iter()
            .flatten()
            .flat_map(|rule| rule.resources.iter().flatten());
        resources.any(|resource| resource == "configmaps")
    };
    let policies: Vec<_> = policies
        .iter()
        .filter(|p| about_maps(p))
        .map(ResourceExt::name_any)
        .collect();
    let api = Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone());
    let mut lifted = api.list(&all).await?.items;
    lifted.retain(|binding| {
        let policy = binding.spec.as_ref().and_then(|spec| spec.policy_name.as_ref());
        policy.is_some_and(|policy| policies.contains(policy))
    });
    for binding in &lifted {
        api.delete(&binding.name_any(), &DeleteParams::default()).await?;
    }
    // The API server takes a moment to notice.
    let deadline = Instant::now() + PATIENCE;
    let maps = Api::<ConfigMap>::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    loop {
        match what(maps.clone()).await {
            Err(error) if Instant::now() < deadline && format!("{error:#}").contains("denied request") => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            other => break other?,
        }
    }
    for mut binding in lifted {
        binding.metadata.uid = None;
        binding.metadata.resource_version = None;
        api.create(&PostParams::default(), &binding).await?;
    }
    Ok(())
}

/// Creates a ConfigMap in the operator's namespace.
async fn plant(env: &TestEnv, map: &ConfigMap) -> anyhow::Result<()> {
    let map = map.clone();
    let create = move |maps: Api<ConfigMap>| -> BoxFuture<_> {
        let map = map.clone();
        Box::pin(async move {
            maps.create(&PostParams::default(), &map).await?;
            Ok(())
        })
    };
    lifted(&env.admin(), create).await
}

/// A record as the operator would write it, of `team-a/leaver` as it is now, for the object `left`.
async fn forged(env: &TestEnv, decision: &str, plan_digest: &str, created: Timestamp) -> anyhow::Result<ConfigMap> {
    let object = env.offboardings().get("left").await?;
    let uid: Uid = UID.parse()?;
    let key = BindingKey {
        kind: BindingKind::RoleBinding,
        namespace: Some("team-a".to_owned()),
        name: "leaver".to_owned(),
    };
    let path = "/apis/rbac.authorization.k8s.io/v1/namespaces/team-a/rolebindings/leaver";
    let text = env
        .admin()
        .request_text(http::Request::get(path).body(Vec::new())?)
        .await?;
    let text = text.trim_end().to_owned();
    let entry = Entry {
        record: backup::Record {
            binding: LiveBinding::parse(&key, &text, &Leaver::new(uid, &[], &[]))?.into(),
            action: StoredAction::Delete,
            fingerprint: "forged".to_owned(),
        },
        text,
    };
    let purpose = Purpose {
        reason: None,
        cluster_id: CLUSTER_ID.to_owned(),
        uid,
        object_name: "left".to_owned(),
        object_uid: object.metadata.uid.unwrap_or_default(),
        run_id: "forged".to_owned(),
        plan_digest: plan_digest.to_owned(),
        decision: decision.to_owned(),
    };
    Ok(backup::config_map(&purpose, &[entry], OPERATOR_NAMESPACE, created)?)
}

/// The checksum that a forger writes as well as the operator.
fn seal(map: &mut ConfigMap) {
    let digest = backup::sha256(json!([map.data, map.binary_data]).to_string().as_bytes());
    map.annotations_mut()
        .insert("ack-offboarding.io/sha256".to_owned(), digest);
}

/// Waits until the operator has looked at `left` three times more.
async fn looked_at(env: &TestEnv) -> anyhow::Result<()> {
    let looks = || env.operator_log().matches("reconciled object=\"left\"").count();
    let before = looks();
    eventually("three looks more", PATIENCE, async || {
        Ok((looks() >= before + 3).then_some(()))
    })
    .await
}

/// Approval is Manual and nobody approved. A record that says that it was approved, of this very plan, is not carried out.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_record_approves_nothing() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    let digest = status.plan.map(|plan| plan.digest).unwrap_or_default();
    for decision in ["PlanApproved", "Automatic", "OverrideActive", "WaitExpired"] {
        let map = forged(&env, decision, &digest, Timestamp::now()).await?;
        plant(&env, &map).await?;
        looked_at(&env).await?;
        remove(&env, &map).await?;
        assert_untouched(&env).await?;
    }
    env.wait_for_state("left", "AwaitingApproval").await?;
    Ok(())
}

async fn remove(env: &TestEnv, map: &ConfigMap) -> anyhow::Result<()> {
    let name = map.name_any();
    let delete = move |maps: Api<ConfigMap>| -> BoxFuture<_> {
        let name = name.clone();
        Box::pin(async move {
            maps.delete(&name, &DeleteParams::default()).await?;
            Ok(())
        })
    };
    lifted(&env.admin(), delete).await
}

/// The leaver is at work. A record that says that somebody overrode that removes nothing, and purges nothing, with or without force.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_in_a_forged_record_steers_nothing() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.sim
        .add_record(CLUSTER_ID, Record::by(LEAVER).ago(Duration::from_secs(60)));
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WaitingForInactivity").await?;
    let digest = status.plan.map(|plan| plan.digest).unwrap_or_default();
    let map = forged(&env, "OverrideActive", &digest, Timestamp::now()).await?;
    plant(&env, &map).await?;
    looked_at(&env).await?;
    remove(&env, &map).await?;
    assert_untouched(&env).await?;
    assert!(purges(&env).is_empty());
    env.wait_for_state("left", "WaitingForInactivity").await?;
    Ok(())
}

/// Says that this ConfigMap is not what the operator writes, by its name, and touches nothing.
async fn is_refused(env: &TestEnv, map: &ConfigMap) -> anyhow::Result<String> {
    plant(env, map).await?;
    let name = map.name_any();
    let status = env
        .wait_for("left", "the forged record is named", |status| {
            condition(status, "BackedUp").starts_with("False/") && message(status, "BackedUp").contains(&name)
        })
        .await?;
    remove(env, map).await?;
    assert_untouched(env).await?;
    Ok(message(&status, "BackedUp").to_owned())
}

/// What a person would restore from must be what was there: a `deleted.yaml` that grants more than the original, or a time that
/// would shield a binding for years, is refused by name.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_not_the_originals_is_refused_by_name() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;

    let mut map = forged(&env, "Automatic", "sha256:0", Timestamp::now()).await?;
    let files = map.data.get_or_insert_default();
    let deleted = files.get_mut("deleted.yaml").expect("a manifest");
    *deleted = deleted.replace("\"edit\"", "\"cluster-admin\"");
    assert!(deleted.contains("cluster-admin"), "{deleted}");
    map.metadata.name = Some(format!("offboarding-{UID}-0123456789abcdef0123"));
    seal(&mut map);
    let told = is_refused(&env, &map).await?;
    assert!(told.contains("deleted.yaml"), "{told}");

    let ahead = Timestamp::now() + SignedDuration::from_hours(24 * 365);
    let map = forged(&env, "Automatic", "sha256:0", ahead).await?;
    let told = is_refused(&env, &map).await?;
    assert!(told.contains("future"), "{told}");
    Ok(())
}

/// A file that unpacks to a thousand times its size costs no memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_gzip_bomb_costs_no_memory() -> anyhow::Result<()> {
    const UNPACKED: usize = 192 << 20;
    let mut env = env().await;
    give_access(&env).await?;
    env.start_operator(&OperatorOptions::default()).await?;
    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;
    let mut map = forged(&env, "Automatic", "sha256:0", Timestamp::now()).await?;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..UNPACKED >> 20 {
        bomb.write_all(&[b' '; 1 << 20])?;
    }
    let bomb = ByteString(bomb.finish()?);
    assert!(bomb.0.len() < 900 * 1024, "{} bytes", bomb.0.len());
    map.data.get_or_insert_default().remove("index.json");
    map.binary_data = Some([("index.json.gz".to_owned(), bomb)].into());
    map.metadata.name = Some(format!("offboarding-{UID}-0123456789abcdef0123"));
    seal(&mut map);

    let before = peak(&mut env)?;
    is_refused(&env, &map).await?;
    let cost = peak(&mut env)?.saturating_sub(before);
    assert!(cost < 32 << 20, "it took {cost} bytes");
    Ok(())
}

/// The operator's largest resident set so far, in bytes.
fn peak(env: &mut TestEnv) -> anyhow::Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", env.operator()?.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    Ok(kib.unwrap_or_default() * 1024)
}

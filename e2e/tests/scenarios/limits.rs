//! What is too large, too many, in the way of a backup, or lost.

use crate::{
    sight::{self, sees, sees_text},
    support::{
        LEAVER, TestEnv, UID, approvals, assert_conditions, assert_gone, assert_stalled, assert_untouched,
        assert_waiting, env, give_access, message, mutate, purges, refuse, refuse_no_more, running, running_with,
    },
};
use ack_offboarding_e2e::{
    cluster::{BARRIER, Cluster, OPERATOR_NAMESPACE, eventually},
    env::{CLUSTER_ID, OperatorOptions, PATIENCE, kubeconfig_state, user},
    proxy::{Judge, Proxy, Upstream, Verdict},
    scale::process,
    simulator::world::CertificateState,
};
use ack_offboarding_operator::{
    api::UserOffboarding,
    offboarding::plan,
    rbac::{
        self, BindingKey, BindingKind, Leaver,
        backup::{self, Entry, Purpose, Record},
    },
};
use base64::Engine;
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use http::{Method, Uri};
use k8s_openapi::{
    api::{
        core::v1::{ConfigMap, Namespace, ResourceQuota},
        rbac::v1::{Role, RoleBinding},
    },
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::{
    io::Read,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

fn config_maps(env: &TestEnv) -> Api<ConfigMap> {
    Api::namespaced(env.admin(), OPERATOR_NAMESPACE)
}

/// A quota of so many ConfigMaps in the operator's namespace, `used` of them used. What a controller would write, the test does.
async fn quota(env: &TestEnv, hard: u32, used: u32) -> anyhow::Result<()> {
    let hard = json!({"count/configmaps": hard.to_string()});
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": hard},
    });
    let api: Api<ResourceQuota> = Api::namespaced(env.admin(), OPERATOR_NAMESPACE);
    let params = PatchParams::apply("person").force();
    api.patch("full", &params, &Patch::Apply(quota)).await?;
    let status = json!({"status": {"hard": hard, "used": {"count/configmaps": used.to_string()}}});
    api.patch_status("full", &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// Waits until the API server refuses a ConfigMap in the operator's namespace, and says why.
async fn until_refused(env: &TestEnv, why: &str) -> anyhow::Result<()> {
    let probe: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "probe"}}))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually(why, PATIENCE, async || {
        let refused = config_maps(env).create(&dry_run, &probe).await.err();
        Ok(refused.filter(|error| error.to_string().contains(why)))
    })
    .await?;
    Ok(())
}

/// The operator cannot store the backup, so it removes nothing. It tries again by itself, and goes on once there is room.
#[tokio::test(flavor = "multi_thread")]
async fn the_quota_of_the_operators_namespace_is_used_up() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    quota(&env, 1, 1).await?;
    until_refused(&env, "exceeded quota").await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "QuotaExceeded").await?;
    assert_stalled(&status, "QuotaExceeded");
    assert_conditions(&status, &[("BackedUp", "False/QuotaExceeded")]);
    sees!(env, "left", "while the quota is used up");
    assert_untouched(&env).await?;

    quota(&env, 10, 1).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// A policy of the cluster refuses every ConfigMap in the operator's namespace. Nothing is removed; the message has the policy's words, and a person must
/// change it.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_refuses_the_backups() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]});
    refuse(&env, &rule, "nobody stores anything here").await?;
    // The operator proves its own policies by a ConfigMap that nobody may create: this policy must not answer for it.
    until_refused(&env, "nobody stores anything here").await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "BackupRefused").await?;
    assert_stalled(&status, "BackupRefused");
    assert_conditions(&status, &[("BackedUp", "False/BackupRefused")]);
    sees!(env, "left", "while the policy refuses");
    assert_untouched(&env).await?;

    refuse_no_more(&env).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// The operator's Role lacks the right to create ConfigMaps: nothing is removed, and a person must grant it.
#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_store_backups_is_missing() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let roles: Api<Role> = Api::namespaced(env.admin(), OPERATOR_NAMESPACE);
    let role = roles.get("ack-offboarding-operator").await?;
    let mut rules = serde_json::to_value(&role.rules)?;
    for rule in rules.as_array_mut().expect("rules") {
        if rule["resources"] == json!(["configmaps"]) {
            rule["verbs"] = json!(["get", "list"]);
        }
    }
    let without = Patch::Merge(json!({ "rules": rules }));
    roles
        .patch("ack-offboarding-operator", &PatchParams::default(), &without)
        .await?;
    let operator = env
        .cluster
        .service_account_client(OPERATOR_NAMESPACE, "ack-offboarding-operator")
        .await?;
    let maps: Api<ConfigMap> = Api::namespaced(operator, OPERATOR_NAMESPACE);
    let probe: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "offboarding-x"}}))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the right to be gone", PATIENCE, async || {
        Ok(maps
            .create(&dry_run, &probe)
            .await
            .err()
            .filter(|error| error.to_string().contains("cannot create")))
    })
    .await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Forbidden").await?;
    assert_stalled(&status, "Forbidden");
    assert_conditions(&status, &[("BackedUp", "False/Forbidden")]);
    sees!(env, "left", "while the right is missing");
    assert_untouched(&env).await?;
    env.cluster.install_operator(OPERATOR_NAMESPACE).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// The backup that the operator will write first, of what [`give_access`] gave.
async fn first_backup(env: &TestEnv, object: &UserOffboarding, decision: &str) -> anyhow::Result<ConfigMap> {
    let status = env.status(&object.name_any()).await?;
    let purpose = Purpose {
        reason: None,
        cluster_id: CLUSTER_ID.to_owned(),
        uid: UID.parse()?,
        object_name: object.name_any(),
        object_uid: object.uid().unwrap_or_default(),
        run_id: "run".to_owned(),
        plan_digest: status.plan.expect("a plan").digest,
        decision: decision.to_owned(),
    };
    let key = |kind, namespace: Option<&str>, name: &str| BindingKey {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    let mut entries = Vec::new();
    for key in [
        key(BindingKind::ClusterRoleBinding, None, "leaver-everywhere"),
        key(BindingKind::RoleBinding, Some("team-a"), "leaver"),
    ] {
        let leaver = Leaver::new(purpose.uid, &[], &[]);
        let read = rbac::fetch(&env.admin(), &key, &leaver).await?;
        let (binding, text) = read.expect("the binding");
        let item = plan::item(&[], binding.into());
        entries.push(Entry {
            record: Record {
                action: item.stored_action(),
                binding: item.binding,
                fingerprint: item.fingerprint,
            },
            text,
        });
    }
    let map = backup::config_map(&purpose, &entries, OPERATOR_NAMESPACE, Timestamp::now());
    Ok(map?)
}

/// A ConfigMap of just the backup's name is there already, with other content: somebody made it in the moment in which the
/// operator was about to. Nothing is removed until a person has looked into it and deleted it; then the operator writes the backup.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_backup_is_taken_by_something_else() -> anyhow::Result<()> {
    let mut env = env().await;
    give_access(&env).await?;
    let (name, admin) = (Arc::new(OnceLock::<String>::new()), env.admin());
    let before = {
        let name = name.clone();
        move |method: &Method, uri: &Uri, body: &bytes::Bytes| -> BoxFuture<'static, ()> {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            let wanted = body
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let is_backup = body
                .pointer("/metadata/labels/ack-offboarding.io~1object-uid")
                .is_some();
            let is_it = method == Method::POST && uri.path().ends_with("/configmaps") && is_backup;
            if !is_it || name.set(wanted.to_owned()).is_err() {
                return Box::pin(async {});
            }
            let taken = json!({"metadata": {"name": wanted}, "data": {"index.json": "{}"}, "immutable": true});
            let maps = Api::<ConfigMap>::namespaced(admin.clone(), OPERATOR_NAMESPACE);
            Box::pin(async move {
                let taken = serde_json::from_value(taken).expect("a ConfigMap");
                maps.create(&PostParams::default(), &taken).await.expect("the name");
            })
        }
    };
    let upstream = Upstream::api_server(&env.cluster)?;
    let proxy = Proxy::stepping_in(upstream, Arc::new(before)).await?;
    let options = OperatorOptions {
        api_server: Some(proxy.url()),
        ..OperatorOptions::default()
    };
    env.start_operator(&options).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "VerifyFailed").await?;
    let name = name.get().expect("the backup's name").clone();
    assert_stalled(&status, "VerifyFailed");
    assert_conditions(&status, &[("BackedUp", "False/VerifyFailed")]);
    assert!(message(&status, "Ready").contains(&name));
    sees!(env, "left", "while the name is taken");
    assert_untouched(&env).await?;
    let taken = config_maps(&env).get(&name).await?;
    assert_eq!(taken.data.unwrap_or_default()["index.json"], "{}");

    env.cluster.lose_config_map(OPERATOR_NAMESPACE, &name).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(
        status.backup.clone().unwrap_or_default().config_maps,
        [format!("{OPERATOR_NAMESPACE}/{name}")]
    );
    assert_gone(&env, &status).await
}

type Damage<'a> = &'a dyn Fn(&mut ConfigMap);

/// A ConfigMap with the labels of this UserOffboarding's backups is none, or not as the operator wrote it: what was done
/// before is not known, so nothing more is done until it is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_with_the_labels_of_a_backup_is_no_backup() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=200ms"]).await;
    give_access(&env).await?;
    let object = env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    let status = env.wait_for_state("left", "AwaitingApproval").await?;
    let digest = status.plan.expect("a plan").digest;
    let real = first_backup(&env, &object, "PlanApproved").await?;
    let cut = |map: &mut ConfigMap| {
        let index = map.data.as_mut().and_then(|d| d.get_mut("index.json"));
        index.map(|text| text.truncate(100)).expect("an index");
    };
    let cases: [(&str, Damage<'_>); 4] = [
        ("something else with its labels", &|map| {
            map.data = Some([("note".to_owned(), "hello".to_owned())].into());
            map.metadata.annotations = None;
        }),
        ("half of it", &cut),
        ("one that can still be changed", &|map| map.immutable = None),
        ("that of another UserOffboarding", &|map| {
            let mut index: Value = serde_json::from_str(&map.data.as_ref().expect("data")["index.json"]).expect("JSON");
            index["object"]["uid"] = json!("another");
            map.data = Some([("index.json".to_owned(), index.to_string())].into());
            let digest = backup::sha256(json!([map.data, map.binary_data]).to_string().as_bytes());
            let annotations = map.metadata.annotations.get_or_insert_default();
            annotations.insert("ack-offboarding.io/sha256".to_owned(), digest);
        }),
    ];
    let mut seen = String::new();
    for (what, damage) in cases {
        let mut map = real.clone();
        damage(&mut map);
        let name = map.name_any();
        config_maps(&env).create(&PostParams::default(), &map).await?;
        let status = env.wait_for_state("left", "VerifyFailed").await?;
        assert_stalled(&status, "VerifyFailed");
        seen += &format!("# {what}\n{}", sight::describe(&status));
        env.cluster.lose_config_map(OPERATOR_NAMESPACE, &name).await?;
        env.wait_for_state("left", "AwaitingApproval").await?;
    }
    sees_text!("for each", seen);
    assert_untouched(&env).await?;

    let spec = json!({"uid": UID, "approval": "Manual", "approvals": approvals(&[digest])});
    env.apply("left", spec).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Whether a ConfigMap was changed.
type IsDone = fn(&ConfigMap) -> bool;

/// Something that changes every new ConfigMap of the operator's namespace before it is stored, by a JSON patch.
async fn mutate_backups(env: &TestEnv, patch: &str, is_done: IsDone) -> anyhow::Result<()> {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]});
    mutate(env, &rule, patch, Some(OPERATOR_NAMESPACE)).await?;
    let probe = json!({"metadata": {"name": "probe", "labels": {"a": "b"}}, "data": {"a": "b"}, "immutable": true});
    let probe: ConfigMap = serde_json::from_value(probe)?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the policy to be in force", PATIENCE, async || {
        let stored = config_maps(env).create(&dry_run, &probe).await?;
        Ok(is_done(&stored).then_some(()))
    })
    .await
}

/// A mutating policy or webhook changes backups on their way into the cluster, so they do not read back as they were written.
/// Nothing is removed until it is stopped and what it changed is deleted. A label of its own would not matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_mutating_policy_changes_the_backups() -> anyhow::Result<()> {
    let env = running_with(&["--recheck-interval=200ms"]).await;
    give_access(&env).await?;
    let changes: [(&str, &str, IsDone); 2] = [
        (
            "it adds to their data",
            r#"[JSONPatch{op: "add", path: "/data/note", value: "seen"}]"#,
            |map| map.data.as_ref().is_some_and(|data| data.contains_key("note")),
        ),
        (
            "it lets them be changed",
            r#"[JSONPatch{op: "replace", path: "/immutable", value: false}]"#,
            |map| map.immutable == Some(false),
        ),
    ];
    let mut seen = String::new();
    for (what, patch, is_done) in changes {
        mutate_backups(&env, patch, is_done).await?;
        env.apply("left", json!({"uid": UID})).await?;
        // The first that is written is the list of what passed the checks.
        let says_so = |s: &_| message(s, "Ready").contains("does not contain the list of bindings and kubeconfig");
        let status = env.wait_for("left", what, says_so).await?;
        assert_stalled(&status, "VerifyFailed");
        seen += &format!("# {what}\n{}", sight::describe(&status));
        let bindings = ["ClusterRoleBinding leaver-everywhere", "RoleBinding team-a/leaver"];
        assert_eq!(env.bindings_of(UID).await?, bindings);
        assert!(purges(&env).is_empty());
        env.delete("left").await?;
        let mut mutated = config_maps(&env).list(&ListParams::default()).await?.items;
        mutated.retain(|map| map.name_any().starts_with("offboarding-"));
        assert_eq!(mutated.len(), 1, "it is not tried again and again");
        for map in mutated {
            env.cluster.lose_config_map(OPERATOR_NAMESPACE, &map.name_any()).await?;
        }
    }
    sees_text!("while it does", seen);

    let label = r#"[JSONPatch{op: "add", path: "/metadata/labels/seen", value: "yes"}]"#;
    mutate_backups(&env, label, |map| map.labels().contains_key("seen")).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert!(
        env.backups()
            .await?
            .iter()
            .all(|backup| backup.labels().contains_key("seen"))
    );
    assert_gone(&env, &status).await
}

/// So many subjects of users other than the leaver, with the names that ACK gives.
fn colleagues(count: usize) -> Vec<Value> {
    (0..count)
        .map(|i| user(&format!("2000000000{i:08}-17{:08}", i * 7919 % 100_000_000)))
        .collect()
}

async fn subjects_of(env: &TestEnv, name: &str) -> anyhow::Result<Value> {
    let binding = Api::<RoleBinding>::namespaced(env.admin(), "team-a").get(name).await?;
    Ok(serde_json::to_value(binding.subjects)?)
}

/// The originals in the backups.
async fn originals(env: &TestEnv) -> anyhow::Result<Vec<Value>> {
    let mut found = Vec::new();
    for map in env.backups().await? {
        let plain = map.data.as_ref().and_then(|d| d.get("index.json").cloned());
        let packed = || {
            let packed = map.binary_data.as_ref().and_then(|d| d.get("index.json.gz"))?;
            let mut text = String::new();
            flate2::read::GzDecoder::new(packed.0.as_slice())
                .read_to_string(&mut text)
                .ok()?;
            Some(text)
        };
        let index: Value = serde_json::from_str(&plain.or_else(packed).expect("an index"))?;
        found.extend(
            index["bindings"]
                .as_array()
                .expect("bindings")
                .iter()
                .map(|b| b["original"].clone()),
        );
    }
    Ok(found)
}

/// A binding that the leaver shares with 4,999 others: only the leaver is taken out of it, and the backup holds all of them.
#[tokio::test(flavor = "multi_thread")]
async fn the_leaver_is_one_of_five_thousand_subjects_of_a_binding() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let others = colleagues(4999);
    let mut all = others.clone();
    all.insert(2500, user(LEAVER));
    let before = env.role_binding("team-a", "shared", "edit", &all).await?;
    let colleague = others[4998]["name"].as_str().expect("a name");
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    sees!(env, "left", "at the end");
    assert_eq!(subjects_of(&env, "shared").await?, json!(others));
    assert_eq!(env.probe(colleague, "/api/v1/namespaces/team-a/configmaps").await?, 200);
    let stored = originals(&env).await?;
    let stored = stored
        .iter()
        .find(|b| b["metadata"]["name"] == "shared")
        .expect("the binding");
    assert_eq!(
        (stored["metadata"]["uid"].as_str(), &stored["subjects"]),
        (before.uid().as_deref(), &json!(all))
    );
    let removed = status.removed.unwrap_or_default();
    assert_eq!((removed.deleted, removed.subjects_removed), (2, 1));
    assert_gone(&env, &status).await
}

/// A binding of 1.3 MiB, nearly as large as etcd stores: its backup is compressed, and restores it exactly.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_larger_than_a_config_map_is_backed_up_compressed_and_can_be_restored() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    // Each name is searched for in the audit log: two thousand of them are enough, each of them seven times.
    let names = (0..14_000).map(|i| user(&format!("{UID}-{}", 1_600_000_000_u64 + i % 2_000 * 7919)));
    let subjects: Vec<_> = names.collect();
    let before = env.role_binding("team-a", "large", "view", &subjects).await?;
    assert!(serde_json::to_vec(&before)?.len() > 1_300_000);
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await?;

    env.delete("left").await?;
    let backups = env.backups().await?;
    let packed: Vec<_> = backups
        .iter()
        .filter(|b| b.binary_data.is_some())
        .map(ResourceExt::name_any)
        .collect();
    let [name] = packed.as_slice() else {
        panic!("one is compressed: {packed:?}")
    };
    restore_gzipped(&env.cluster, name)?;
    let after = Api::<RoleBinding>::namespaced(env.admin(), "team-a")
        .get("large")
        .await?;
    assert_eq!((&after.role_ref, &after.subjects), (&before.role_ref, &before.subjects));
    assert_eq!(
        (after.labels(), after.annotations()),
        (before.labels(), before.annotations())
    );
    let restored = format!("{UID}-1600007919");
    env.until_answered(&restored, "/api/v1/namespaces/team-a/configmaps", 200)
        .await
}

/// The command of docs/restore.md for what is gzipped.
fn restore_gzipped(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let kubectl = cluster.kubectl();
    let script = "kubectl -n ack-offboarding-system get configmap NAME -o jsonpath='{.binaryData.deleted\\.yaml\\.gz}' |\n  \
                  base64 -d | gunzip | kubectl create -f -";
    let documented = include_str!("../../../docs/restore.md");
    assert!(documented.contains(script), "docs/restore.md has another command");
    let script = script
        .replace("kubectl", &format!("'{}'", kubectl.get_program().to_string_lossy()))
        .replace("NAME", name);
    let mut command = std::process::Command::new("sh");
    command.args(["-euc", &script]);
    command.envs(kubectl.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{errors}");
    Ok(())
}

/// A binding so large, and so irregular, that even compressed it does not fit in a ConfigMap: it stays and is named. The
/// other bindings go; the kubeconfig is not purged, as ACK would take the binding along.
#[tokio::test(flavor = "multi_thread")]
async fn a_binding_too_large_to_be_backed_up_is_left_and_named() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    // What sha256 makes of numbers is as irregular as text of its letters can be.
    let mut number = 0_u32;
    let mut noise = || {
        number += 1;
        let bytes = hex::decode(backup::sha256(&number.to_be_bytes())).expect("hexadecimal");
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let group = |name: String| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name});
    let mut subjects: Vec<_> = (0..1000).map(|_| group((0..30).map(|_| noise()).collect())).collect();
    let others = subjects.clone();
    subjects.insert(500, user(UID));
    env.role_binding("team-a", "enormous", "view", &subjects).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "BindingTooLarge").await?;
    assert_stalled(&status, "BindingTooLarge");
    assert_conditions(&status, &[("BackedUp", "False/BindingTooLarge")]);
    sees!(env, "left", "while it is there");
    assert_eq!(
        env.bindings_of(UID).await?,
        ["RoleBinding team-a/enormous"],
        "the others are gone"
    );
    assert_eq!(subjects_of(&env, "enormous").await?, json!(subjects));
    assert!(purges(&env).is_empty(), "ACK would remove what is left");

    let by_hand = Patch::Merge(json!({"subjects": others}));
    Api::<RoleBinding>::namespaced(env.admin(), "team-a")
        .patch("enormous", &PatchParams::default(), &by_hand)
        .await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_gone(&env, &status).await
}

/// Two UserOffboardings for one UID take turns: the second waits while the first is at work, and then finds nothing left to do.
#[tokio::test(flavor = "multi_thread")]
async fn two_user_offboardings_for_one_uid_take_turns() -> anyhow::Result<()> {
    let mut env = env().await;
    // ACK's answer to the purge is held back: the first is in the midst of its run.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let judge: Judge = Arc::new(move |method, _, _| {
        if method == http::Method::DELETE {
            tokio::task::block_in_place(|| held.lock().map(|held| held.recv().ok()).ok());
        }
        Verdict::Relay
    });
    let proxy = Proxy::start(Upstream::Http(env.sim.address()), judge).await?;
    let options = OperatorOptions {
        cs: Some(proxy.url()),
        ..OperatorOptions::default()
    };
    env.start_operator(&options).await?;
    give_access(&env).await?;
    env.apply("left", json!({"uid": UID})).await?;
    eventually("the purge to be carried out", PATIENCE, async || {
        let purged = kubeconfig_state(&env.sim, UID) == Some(CertificateState::Removed);
        Ok(purged.then_some(()))
    })
    .await?;
    env.apply("left-again", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left-again", "Queued").await?;
    assert_waiting(&status, "Queued");
    sees!(env, "left-again", "while the first is at work");

    drop(release);
    let first = env.wait_for_state("left", "Offboarded").await?;
    let done = std::time::Instant::now();
    let second = env.wait_for_state("left-again", "NothingToRemove").await?;
    assert!(
        done.elapsed() < Duration::from_secs(30),
        "it is woken, and need not look by itself"
    );
    assert_conditions(
        &second,
        &[
            ("Offboarded", "True/NothingToRemove"),
            ("BackedUp", "True/NothingToBackUp"),
        ],
    );
    assert_eq!(first.removed.unwrap_or_default().total, 2);
    assert_eq!(
        second.removed.unwrap_or_default().total,
        0,
        "what the first did is not counted twice"
    );
    sees!(env, "left-again", "at the end");
    assert_eq!(purges(&env).len(), 1);
    assert_gone(&env, &first).await
}

/// Sets the finalizers of what gives the operator its rights in its namespace: the namespace controller empties a namespace that is
/// deleted, and would take them first.
async fn hold_rights(env: &TestEnv, finalizers: Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    for (group, kind) in [
        ("rbac.authorization.k8s.io", "RoleBinding"),
        ("rbac.authorization.k8s.io", "Role"),
        ("", "ServiceAccount"),
    ] {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
        let api = Api::<DynamicObject>::namespaced_with(env.admin(), OPERATOR_NAMESPACE, &resource);
        for object in api.list(&ListParams::default()).await?.items {
            api.patch(&object.name_any(), &PatchParams::default(), &patch).await?;
        }
    }
    Ok(())
}

/// The operator's namespace is deleted while the operator works, and installed again. While it is going, no backup can be
/// written and nothing is removed; afterwards the operator goes on. What was complete stays so: of the backups that went with
/// the namespace, its status says that they are gone.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_namespace_is_deleted_and_made_again() -> anyhow::Result<()> {
    const COMPLETE: &str = "259083957089437691";
    let mut env = running().await;
    give_access(&env).await?;
    env.role_binding("team-b", "complete", "view", &[user(COMPLETE)])
        .await?;
    env.apply("complete", json!({"uid": COMPLETE})).await?;
    let before = env.wait_for_state("complete", "Offboarded").await?;

    hold_rights(&env, json!(["example.com/wait"])).await?;
    let namespaces = Api::<Namespace>::all(env.admin());
    namespaces.delete(OPERATOR_NAMESPACE, &DeleteParams::default()).await?;
    until_refused(&env, "being terminated").await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "WriteFailed").await?;
    assert_waiting(&status, "WriteFailed");
    sees!(env, "left", "while the namespace is going");
    assert_eq!(
        env.bindings_of(UID).await?,
        ["ClusterRoleBinding leaver-everywhere", "RoleBinding team-a/leaver"]
    );
    assert!(purges(&env).is_empty());

    // Its pod goes with it.
    env.kill_operator();
    hold_rights(&env, json!(null)).await?;
    let gone = async || Ok(namespaces.get_opt(OPERATOR_NAMESPACE).await?.is_none().then_some(()));
    eventually("the namespace to be gone", PATIENCE, gone).await?;
    env.cluster.install_operator(OPERATOR_NAMESPACE).await?;
    assert!(env.backups().await?.is_empty());
    env.start_operator(&OperatorOptions::default()).await?;
    env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(env.bindings_of(UID).await?, Vec::<String>::new());
    env.until_answered(LEAVER, "/api/v1/namespaces/team-a/configmaps", 403)
        .await?;
    assert_eq!(originals(&env).await?.len(), 2);

    assert_eq!(env.status("complete").await?, before, "nothing woke it");
    env.apply("complete", json!({"uid": COMPLETE, "enforcement": "Continuous"}))
        .await?;
    let after = env.wait_for_state("complete", "Offboarded").await?;
    assert_conditions(
        &after,
        &[("Offboarded", "True/Verified"), ("BackedUp", "True/NothingToBackUp")],
    );
    // The plan is the last that tells which bindings these were.
    assert_eq!(after.plan.as_ref().map(|plan| plan.total), Some(1));
    assert_eq!(
        (after.removed, after.backup, after.plan, after.completed_at),
        (before.removed, before.backup, before.plan, before.completed_at)
    );
    sees!(env, "complete", "after its backups are lost");
    Ok(())
}

/// The leaver is in 300 bindings, a third of them shared with a colleague: all go in one run, the plan in the status shows the
/// first hundred and counts all, and the backup is in several ConfigMaps.
#[tokio::test(flavor = "multi_thread")]
async fn the_leaver_is_in_three_hundred_bindings() -> anyhow::Result<()> {
    let env = running().await;
    give_access(&env).await?;
    let colleague = "200000000000000002";
    let bind = |i: u32| {
        let mut subjects = vec![user(if i.is_multiple_of(2) { UID } else { LEAVER })];
        if i.is_multiple_of(3) {
            subjects.push(user(colleague));
        }
        let (env, namespace) = (&env, format!("team-{}", ["a", "b", "c"][i as usize % 3]));
        async move {
            env.role_binding(&namespace, &format!("many-{i:03}"), "view", &subjects)
                .await
        }
    };
    for namespace in ["team-a", "team-b", "team-c"] {
        env.cluster.ensure_namespace(namespace).await?;
    }
    futures::stream::iter(0..298)
        .map(bind)
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;
    let plan = status.plan.as_ref().expect("a plan");
    assert_eq!((plan.bindings.len(), plan.total), (100, 300));
    let removed = status.removed.unwrap_or_default();
    assert_eq!(
        (
            removed.deleted,
            removed.subjects_removed,
            removed.disappeared,
            removed.total
        ),
        (200, 100, 0, 300)
    );
    let backup = status.backup.clone().unwrap_or_default();
    assert_eq!(backup.bindings, 300);
    assert!(backup.config_maps.len() > 1, "{backup:?}");
    assert_eq!(env.probe(colleague, "/api/v1/namespaces/team-a/configmaps").await?, 200);
    assert_eq!(originals(&env).await?.len(), 300);
    sees!(env, "left", "at the end");
    assert_gone(&env, &status).await
}

/// Removing very many bindings takes a while: meanwhile the status says how far it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_removal_says_how_far_it_is() -> anyhow::Result<()> {
    let mut env = env().await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (held, deleted) = (std::sync::Mutex::new(held), AtomicUsize::new(0));
    let judge: Judge = Arc::new(move |method, uri, _| {
        let barrier = uri.path().ends_with(BARRIER);
        if method == http::Method::PATCH && uri.path().contains("bindings/") && !barrier {
            match deleted.fetch_add(1, Ordering::SeqCst) {
                // One takes longer than the status may be silent; the last waits until the test has seen it.
                10 => tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(3200))),
                19 => tokio::task::block_in_place(|| {
                    held.lock().map(|held| held.recv().ok()).map(drop).unwrap_or_default()
                }),
                _ => {}
            }
        }
        Verdict::Relay
    });
    let proxy = Proxy::start(Upstream::api_server(&env.cluster)?, judge).await?;
    let options = OperatorOptions {
        api_server: Some(proxy.url()),
        ..OperatorOptions::default()
    };
    env.start_operator(&options).await?;
    give_access(&env).await?;
    for i in 0..18 {
        env.role_binding("team-a", &format!("many-{i:02}"), "view", &[user(UID)])
            .await?;
    }
    env.apply("left", json!({"uid": UID})).await?;
    let tells = |s: &_| message(s, "Ready").contains(" of 20 are done");
    let status = env.wait_for("left", "how far it is", tells).await?;
    assert_waiting(&status, "InProgress");
    // How far it is depends on which of the eight was faster.
    let said = message(&status, "Ready").to_owned();
    let seen = sight::describe(&status).replace(&said, "The operator is removing the bindings: N of 20 are done.");
    sees_text!("in the middle", seen);
    drop(release);
    let status = env.wait_for_state("left", "Offboarded").await?;
    assert_eq!(status.removed.unwrap_or_default().deleted, 20);
    assert_gone(&env, &status).await
}

/// A stranger opens thousands of connections to the health port and never ends a request. The kubelet is answered all the same, and
/// the process stays as small as it was.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_end_do_not_fill_the_health_port() -> anyhow::Result<()> {
    let mut env = running().await;
    let line = "the index is complete";
    eventually(line, PATIENCE, async || {
        Ok(env.operator_log().contains(line).then_some(()))
    })
    .await?;
    let address = env.operator_address()?;
    let pid = env.operator()?.pid();
    let before = process::of(pid)?.rss.mib();
    let mut held = Vec::new();
    for n in 0..4000 {
        let mut stream = TcpStream::connect(&address).await?;
        // The operator may have ended it already, to make room.
        let half = format!("GET /healthz HTTP/1.1\r\nX-Filler: {}", "x".repeat(4000));
        let _ = stream.write_all(half.as_bytes()).await;
        held.push(stream);
        if n % 500 == 499 {
            let answer = reqwest::get(format!("http://{address}/healthz")).await?;
            assert_eq!(answer.status(), 200, "with {n} requests held open");
        }
    }
    let after = process::of(pid)?.peak.mib();
    eprintln!("{before} MiB before, at most {after} MiB with 4,000 requests held open");
    assert!(after < before + 16, "{before} MiB grew to {after} MiB");
    drop(held);
    Ok(())
}

//! `doctor` finds what is broken, says what to do about it, and blames nothing else.

use crate::{
    credentials::rrsa,
    support::{TestEnv, UID, env, give_access},
};
use ack_offboarding_e2e::{
    cluster::{BARRIER, OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, POLICIES, eventually},
    env::{ACCESS_SECRET, ACCOUNT, CLUSTER_ID, OperatorOptions, PATIENCE, SECURITY_TOKEN},
    simulator::{
        Fault, FaultKind, Operation,
        world::{Index, Logstore, World},
    },
};
use ack_offboarding_operator::{
    doctor::{self, Permission},
    operator::RunArgs,
};
use clap::{Args, FromArgMatches};
use k8s_openapi::{
    api::{
        admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
        core::v1::ConfigMap,
        rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    jiff::Timestamp,
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Everything that `doctor` looks at, as it names it.
const SOUND: &[&str] = &[
    "API server",
    "cluster and account",
    "ServiceAccount",
    "CRD",
    "permission to find and delete bindings",
    "permission to watch UserOffboardings",
    "permission to update their status",
    "permission to scan who has access",
    "permission to store backups",
    "permission to annotate the barrier",
    "permission to publish events",
    "permission to read the cluster's profile",
    "permission to read the admission policies",
    "permission to remove leavers from shared bindings",
    "barrier",
    "place for backups",
    "admission policy ack-offboarding-operator",
    "admission policy ack-offboarding-backups",
    "admission policy ack-offboarding-approval",
    "endpoint of STS",
    "endpoint of IMS",
    "endpoint of RAM",
    "endpoint of CS",
    "endpoint of SLS",
    "credentials",
    "clock",
    "account of the credentials",
    "RAM action ims:GetUser",
    "RAM action ram:GetUserInRecycleBin",
    "RAM action ram:GetUser",
    "RAM action ram:ListRoles",
    "RAM action ram:GetRole",
    "cluster known to ACK",
    "RAM action cs:ListUserKubeConfigStates",
    "RAM action cs:GetClusterAuditProject",
    "RAM action log:GetLogStore",
    "RAM action log:GetIndex",
    "RAM action log:GetLogStoreHistogram",
    "RAM action log:GetLogStoreLogs",
    "RBAC administrator in ACK",
    "audit log on",
    "audit log indexed",
    "audit log long enough",
];

/// What `doctor -o json` said. Shown without what is as it should be.
struct Said {
    code: Option<i32>,
    checks: Vec<Value>,
}

impl Said {
    fn with(&self, outcome: &str) -> Vec<&str> {
        let checks = self.checks.iter().filter(|check| check["outcome"] == outcome);
        checks.filter_map(|check| check["check"].as_str()).collect()
    }

    /// What was found of a check, and its fix.
    #[track_caller]
    fn about(&self, name: &str) -> String {
        let check = self.checks.iter().find(|check| check["check"] == name);
        let check = check.unwrap_or_else(|| panic!("no {name} in {self:#?}"));
        format!("{} {}", check["found"], check["fix"])
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wrong = self.checks.iter().filter(|check| check["outcome"] != "Ok");
        writeln!(f, "ended with {:?}:", self.code)?;
        wrong.into_iter().try_for_each(|check| writeln!(f, "{check}"))
    }
}

async fn doctor(env: &TestEnv, options: &OperatorOptions) -> anyhow::Result<Said> {
    let mut command = env.command("doctor", options).await?;
    command.args(["-o", "json"]);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let (text, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert_eq!(errors, "", "what it finds is on stdout");
    for secret in [ACCESS_SECRET, SECURITY_TOKEN] {
        assert!(!text.contains(secret), "{text}");
    }
    let report: Value = serde_json::from_str(&text)?;
    let said = Said {
        code: output.status.code(),
        checks: report["checks"].as_array().cloned().unwrap_or_default(),
    };
    let sound = said.with("Failed").is_empty();
    assert_eq!(report["sound"], sound);
    assert_eq!(said.code, Some(i32::from(!sound)), "{said:#?}");
    Ok(said)
}

fn options() -> OperatorOptions {
    OperatorOptions::default()
}

/// Asserts that exactly these checks failed, and that what is said of the first has these words.
#[track_caller]
fn assert_found(what: &str, said: &Said, failed: &[&str], words: &[&str]) {
    assert_eq!(said.with("Failed"), failed, "{what}: {said:#?}");
    let about = said.about(failed[0]);
    for word in words {
        assert!(about.contains(word), "{what}: no {word:?} in {about}");
    }
    let unfixed = said
        .checks
        .iter()
        .any(|c| c["outcome"] == "Failed" && c["fix"].as_str().is_none_or(str::is_empty));
    assert!(!unfixed, "{what}: each failure has a fix: {said:#?}");
}

/// Ends with 0, tells every item, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_sound_installation_has_nothing_to_mend() -> anyhow::Result<()> {
    let env = env().await;
    give_access(&env).await?;
    let (options, _) = rrsa(&env).await?;
    let said = doctor(&env, &options).await?;
    assert_eq!(said.with("Failed"), Vec::<&str>::new(), "{said:#?}");
    assert_eq!(said.with("Ok"), SOUND);
    assert_eq!(said.with("Untried"), ["RAM action cs:CleanClusterUserPermissions"]);

    // Read-only: nothing in the API server's audit log that was not a dry run or a question, and no purge.
    let log = std::fs::read_to_string(env.cluster.audit_log())?;
    let mut asked = 0;
    for line in log.lines().filter(|line| line.contains(":ack-offboarding-operator\"")) {
        let event: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        if text("/user/username") != format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}")
            || text("/userAgent").contains("e2e")
        {
            continue;
        }
        let question = text("/objectRef/resource").starts_with("selfsubject");
        let read = ["get", "list", "watch"].contains(&text("/verb"));
        // Of a DELETE, the body says that it is one.
        let dry = text("/requestURI").contains("dryRun=All") || text("/requestObject/dryRun/0") == "All";
        assert!(question || read || dry, "{line}");
        asked += 1;
    }
    assert!(asked > 20, "the audit log has what doctor asked: {asked}");
    let calls = env.sim.calls();
    assert!(
        calls
            .iter()
            .all(|c| c.operation != Operation::CsCleanClusterUserPermissions)
    );
    assert_eq!(env.bindings_of(UID).await?.len(), 2);
    Ok(())
}

/// The table that people read.
#[tokio::test(flavor = "multi_thread")]
async fn the_table_says_what_to_do() -> anyhow::Result<()> {
    let env = env().await;
    env.sim.fault(Fault::new(Operation::RamListRoles, FaultKind::Forbidden));
    let mut command = env.command("doctor", &options()).await?;
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8(output.stdout)?;
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<_> = text.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.starts_with("FAIL  RAM action ram:ListRoles"));
    let at = at.unwrap_or_else(|| panic!("{text}"));
    assert!(
        lines[at + 1]
            .trim_start()
            .starts_with("fix: Add ram:ListRoles to the RAM policy of the operator's role"),
        "{text}"
    );
    let last = lines.last().expect("a last line");
    assert!(last.starts_with("42 ok, 1 failed, 1 not tried, in "), "{text}");
    Ok(())
}

/// A missing RAM action is found, whichever it is; the list is the policy's.
#[tokio::test(flavor = "multi_thread")]
async fn every_ram_action_that_is_missing_is_named() -> anyhow::Result<()> {
    let env = env().await;
    let actions = [
        (Operation::ImsGetUser, "ims:GetUser"),
        (Operation::RamGetUser, "ram:GetUser"),
        (Operation::ImsGetUserInRecycleBin, "ram:GetUserInRecycleBin"),
        (Operation::RamListRoles, "ram:ListRoles"),
        (Operation::RamGetRole, "ram:GetRole"),
        (Operation::CsListUserKubeConfigStates, "cs:ListUserKubeConfigStates"),
        (Operation::CsGetClusterAuditProject, "cs:GetClusterAuditProject"),
        (Operation::SlsGetLogStore, "log:GetLogStore"),
        (Operation::SlsGetIndex, "log:GetIndex"),
        (Operation::SlsGetHistograms, "log:GetLogStoreHistogram"),
        (Operation::SlsGetLogsV2, "log:GetLogStoreLogs"),
    ];
    for (operation, action) in actions {
        env.sim.fault_instead(Fault::new(operation, FaultKind::Forbidden));
        let said = doctor(&env, &options()).await?;
        let check = format!("RAM action {action}");
        assert_found(action, &said, &[&check], &[action, "docs/ram-policy.json"]);
    }
    let policy: Value = serde_json::from_str(include_str!("../../../docs/ram-policy.json"))?;
    let statements = policy["Statement"].as_array().expect("statements").iter();
    let granted: BTreeSet<_> = statements
        .flat_map(|statement| statement["Action"].as_array().expect("actions"))
        .filter_map(Value::as_str)
        .collect();
    let mut tried: BTreeSet<_> = actions.iter().map(|(_, action)| *action).collect();
    // The one is not tried, and the other is what the administrator's check asks with.
    tried.extend(["cs:CleanClusterUserPermissions", "cs:GetUserPermissions"]);
    // What only the scan of the whole account needs has statements of its own, the last two.
    tried.extend(["ims:ListUsers", "ram:ListUsers", "ram:ListUsersInRecycleBin"]);
    tried.insert("cs:ListClusterKubeconfigStates");
    assert_eq!(tried, granted, "docs/ram-policy.json");

    env.sim
        .fault_instead(Fault::new(Operation::CsDescribeUserPermission, FaultKind::Forbidden));
    let said = doctor(&env, &options()).await?;
    assert_eq!(said.with("Failed"), Vec::<&str>::new(), "nothing else needs it");
    assert!(
        said.about("RBAC administrator in ACK")
            .contains("cs:GetUserPermissions")
    );
    Ok(())
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

fn audit_log(world: &mut World) -> &mut Logstore {
    world.audit_logstore_mut(CLUSTER_ID).expect("a logstore")
}

/// A set-up of the cloud that is broken: what is wrong, how it comes about, what fails, and what is said of it.
type Broken = (
    &'static str,
    fn(&mut World),
    &'static [&'static str],
    &'static [&'static str],
);

/// Whatever is wrong in the cloud.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_the_cloud_is_found() -> anyhow::Result<()> {
    let env = env().await;
    let sound = env.sim.read(World::clone);
    let broken: &[Broken] = &[
        (
            "the key's secret is another",
            |w| w.access_keys[0].secret = "another".into(),
            &["credentials"],
            &["credentials do not work", "access key"],
        ),
        (
            "the key was deleted",
            |w| w.access_keys.clear(),
            &["credentials"],
            &["access key"],
        ),
        (
            "the credentials are another account's",
            |w| w.account_id = "1999999999999999".into(),
            &["account of the credentials"],
            &["1999999999999999", ACCOUNT, "Use a RAM role"],
        ),
        (
            "ACK does not know the cluster",
            |w| w.clusters.clear(),
            &["cluster known to ACK"],
            &["--region"],
        ),
        (
            "the role is no administrator",
            |w| w.clusters[0].administrators = vec!["300000000000000001".into()],
            &["RBAC administrator in ACK"],
            &["Authorizations", "assumed-role/ack-offboarding-operator"],
        ),
        (
            "auditing is off",
            |w| w.clusters[0].audit_enabled = false,
            &["audit log on"],
            &["Turn on cluster auditing"],
        ),
        (
            "the logstore is gone",
            |w| w.projects.clear(),
            &["audit log on"],
            &["SLS has no project", "Turn on cluster auditing"],
        ),
        (
            "there is no index",
            |w| audit_log(w).index = None,
            &["audit log indexed"],
            &["user.username", "Add the field"],
        ),
        (
            "a field is not indexed",
            |w| audit_log(w).index = Some(Index::default().without("user.username")),
            &["audit log indexed"],
            &["user.username", "Add the field"],
        ),
        (
            "the index is new",
            |w| audit_log(w).change_index(|_| {}),
            &["audit log long enough"],
            &["the index of logstore", "Wait until"],
        ),
        (
            "records are kept for three days",
            |w| audit_log(w).ttl_days = 3,
            &["audit log long enough"],
            &["3 days", "Raise the logstore's retention"],
        ),
        (
            "the logstore is two days old",
            |w| audit_log(w).created_at = now() - 2 * 86_400,
            &["audit log long enough"],
            &["was created at", "Wait until"],
        ),
        (
            "the log has a gap",
            |w| audit_log(w).cut_gap(now() - 50_000..now() - 40_000),
            &["audit log long enough"],
            &["a gap", "Find out why"],
        ),
        (
            "the clock is 20 minutes off",
            |w| w.clock_ahead_seconds = 1200,
            &["clock"],
            &["clocks of the caller and the service differ", "Correct the clock"],
        ),
        (
            "the clock is 3 minutes behind",
            |w| w.clock_ahead_seconds = 180,
            &["clock"],
            &["behind Alibaba Cloud's", "Correct the node's clock"],
        ),
        (
            "the clock is 3 minutes ahead",
            |w| w.clock_ahead_seconds = -180,
            &["clock"],
            &["ahead of Alibaba Cloud's", "Correct the node's clock"],
        ),
    ];
    for (what, breaks, failed, words) in broken {
        env.sim.edit(breaks);
        let said = doctor(&env, &options()).await?;
        assert_found(what, &said, failed, words);
        env.sim.edit(|world| *world = sound.clone());
    }
    env.sim
        .fault_instead(Fault::new(Operation::ImsGetUser, FaultKind::Html(200)));
    let said = doctor(&env, &options()).await?;
    assert_found(
        "a proxy answers",
        &said,
        &["RAM action ims:GetUser"],
        &["HTML", "a proxy"],
    );
    Ok(())
}

/// RRSA needs a provider, a trust policy and the right token.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_rrsa_is_found() -> anyhow::Result<()> {
    let env = env().await;
    let (options, _) = rrsa(&env).await?;
    let sound = env.sim.read(World::clone);
    let broken: &[Broken] = &[
        (
            "the role trusts another ServiceAccount",
            |w| w.roles[0].trust.as_mut().expect("a policy").subject = "system:serviceaccount:a:b".into(),
            &["credentials"],
            &["NoPermission", "trust policy", "ServiceAccount"],
        ),
        (
            "there is no OIDC provider",
            |w| w.oidc_providers.clear(),
            &["credentials"],
            &["trust policy", "OIDC provider"],
        ),
        (
            "the provider is another cluster's",
            |w| w.oidc_providers[0].issuer = "https://another.example".into(),
            &["credentials"],
            &["RRSA"],
        ),
    ];
    for (what, breaks, failed, words) in broken {
        env.sim.edit(breaks);
        assert_found(what, &doctor(&env, &options).await?, failed, words);
        env.sim.edit(|world| *world = sound.clone());
    }
    let mut without_file = options.clone();
    without_file
        .env
        .push(("ALIBABA_CLOUD_OIDC_TOKEN_FILE".into(), "/nonexistent".into()));
    let said = doctor(&env, &without_file).await?;
    assert_found("no token", &said, &["credentials"], &["/nonexistent", "RRSA"]);
    Ok(())
}

/// Settings that cannot be used, or contradict the cluster, or lead nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_the_settings_is_found() -> anyhow::Result<()> {
    let env = env().await;
    let dead = "http://127.0.0.1:1";
    for (flag, failed, words) in [
        ("--region=", "settings", &["region", "cluster.region"][..]),
        ("--credentials=rrsa", "settings", &["ALIBABA_CLOUD_ROLE_ARN"]),
        (
            "--sls-endpoint=http://sls.example",
            "settings",
            &["SLS endpoint", "https"],
        ),
        ("--cluster-id=c1", "cluster and account", &["c1", CLUSTER_ID]),
        ("--account-id=1", "cluster and account", &[ACCOUNT]),
        ("--ims-endpoint=", "endpoint of IMS", &[dead, "no connection", "egress"]),
        ("--cs-endpoint=", "endpoint of CS", &[dead, "no connection", "egress"]),
        ("--sls-endpoint=", "endpoint of SLS", &[dead, "no connection", "egress"]),
        ("--sts-endpoint=", "endpoint of STS", &[dead, "no connection", "egress"]),
    ] {
        let flag = match flag.contains("endpoint") && flag.ends_with('=') {
            true => format!("{flag}{dead}"),
            false => flag.to_owned(),
        };
        let mut options = options();
        options.flags.push(flag.clone());
        assert_found(&flag, &doctor(&env, &options).await?, &[failed], words);
    }

    let nowhere = OperatorOptions {
        api_server: Some("https://127.0.0.1:1".into()),
        ..options()
    };
    let said = doctor(&env, &nowhere).await?;
    assert_found(
        "no API server",
        &said,
        &["API server"],
        &["does not answer", "its address"],
    );
    let mut options = options();
    options.flags.push("--kubeconfig=/nonexistent".into());
    let said = doctor(&env, &options).await?;
    assert_found(
        "no kubeconfig",
        &said,
        &["API server"],
        &["/nonexistent", "--kubeconfig"],
    );
    Ok(())
}

/// Waits until `doctor` finds what was broken: the API server's authorizer and its admission follow a moment later.
async fn until_found(
    env: &TestEnv,
    what: &str,
    options: &OperatorOptions,
    failed: &[&str],
    words: &[&str],
) -> anyhow::Result<()> {
    until_only_found(env, what, options, failed, words).await?;
    env.cluster.install_operator(OPERATOR_NAMESPACE).await
}

async fn until_only_found(
    env: &TestEnv,
    what: &str,
    options: &OperatorOptions,
    failed: &[&str],
    words: &[&str],
) -> anyhow::Result<()> {
    let said = eventually(what, PATIENCE, async || {
        let said = doctor(env, options).await?;
        Ok((said.with("Failed") == failed).then_some(said))
    });
    match said.await {
        Ok(said) => assert_found(what, &said, failed, words),
        Err(error) => {
            let said = doctor(env, options).await?;
            return Err(error.context(format!("expected {failed:?}: {said:#?}")));
        }
    }
    Ok(())
}

/// Whatever is missing in the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_in_the_cluster_is_found() -> anyhow::Result<()> {
    let env = env().await;
    let (admin, delete) = (env.admin(), DeleteParams::default());
    let restore = "helm upgrade";

    let roles: Api<ClusterRole> = Api::all(admin.clone());
    let mut role = roles.get(OPERATOR_SERVICE_ACCOUNT).await?;
    for rule in role.rules.iter_mut().flatten() {
        rule.verbs.retain(|verb| verb != "delete");
    }
    role.metadata.managed_fields = None;
    roles
        .replace(OPERATOR_SERVICE_ACCOUNT, &PostParams::default(), &role)
        .await?;
    until_found(
        &env,
        "no permission to delete",
        &options(),
        &["permission to find and delete bindings"],
        &["delete rolebindings, delete clusterrolebindings", restore],
    )
    .await?;

    let here: Api<RoleBinding> = Api::namespaced(admin.clone(), OPERATOR_NAMESPACE);
    here.delete(OPERATOR_SERVICE_ACCOUNT, &delete).await?;
    until_found(
        &env,
        "no rights in its namespace",
        &options().flag("--leader-elect=true"),
        &["permission to store backups", "permission to hold the Lease"],
        &["create configmaps in namespace ack-offboarding-system", restore],
    )
    .await?;

    Api::<ClusterRoleBinding>::all(admin.clone())
        .delete(BARRIER, &delete)
        .await?;
    until_found(&env, "no barrier", &options(), &["barrier"], &[BARRIER, restore]).await?;
    here.delete(BARRIER, &delete).await?;
    until_found(
        &env,
        "half a barrier",
        &options(),
        &["barrier"],
        &["RoleBinding ack-offboarding-system", restore],
    )
    .await?;

    for policy in POLICIES {
        Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone())
            .delete(policy, &delete)
            .await?;
        until_found(
            &env,
            policy,
            &options(),
            &[&format!("admission policy {policy}")],
            &[
                &format!("ValidatingAdmissionPolicyBinding {policy} is missing"),
                restore,
            ],
        )
        .await?;
    }

    let crds: Api<CustomResourceDefinition> = Api::all(admin.clone());
    crds.delete("useroffboardings.ack-offboarding.io", &delete).await?;
    until_found(
        &env,
        "no CRD",
        &options(),
        &["CRD"],
        &["UserOffboarding", "crds.install"],
    )
    .await?;

    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": "no-configmaps"},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"],
            }]},
            "validations": [{"expression": "false", "message": "nobody stores anything here"}],
        },
    }))?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": "no-configmaps"}, "spec": {"policyName": "no-configmaps", "validationActions": ["Deny"]},
    }))?;
    Api::all(admin.clone()).create(&PostParams::default(), &policy).await?;
    Api::all(admin.clone()).create(&PostParams::default(), &binding).await?;
    // Nothing is installed anew meanwhile: of two policies that refuse the same, the API server names one.
    until_only_found(
        &env,
        "no room",
        &options(),
        &["place for backups"],
        &["nobody stores anything here", "from the policy named here"],
    )
    .await?;
    Api::<ValidatingAdmissionPolicyBinding>::all(admin.clone())
        .delete("no-configmaps", &delete)
        .await?;

    let profiles: Api<ConfigMap> = Api::namespaced(admin, "kube-system");
    profiles
        .patch(
            "ack-cluster-profile",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"uid": null}})),
        )
        .await?;
    until_found(
        &env,
        "no account",
        &options(),
        &["cluster and account"],
        &["--account-id", "cluster.accountId"],
    )
    .await?;

    env.cluster.set_cluster_profile(CLUSTER_ID, ACCOUNT).await?;
    let mut as_administrator = options();
    let kubeconfig = env.cluster.admin_kubeconfig();
    as_administrator
        .flags
        .push(format!("--kubeconfig={}", kubeconfig.display()));
    let said = doctor(&env, &as_administrator).await?;
    assert_found(
        "as somebody else",
        &said,
        &["ServiceAccount"],
        &[
            "kubernetes-admin, not system:serviceaccount:ack-offboarding-system:ack-offboarding-operator",
            "helm test",
        ],
    );
    Ok(())
}

/// A rule of a role, as far as the comparison needs it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: Vec<String>,
    resources: Vec<String>,
    verbs: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

fn product<'a, A, B>(a: &'a [A], b: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    a.iter().flat_map(|a| b.iter().map(move |b| (a, b)))
}

/// What doctor asks for is what the chart grants, no more and no less.
#[test]
fn the_permissions_are_those_of_the_chart() -> anyhow::Result<()> {
    let matches = RunArgs::augment_args(clap::Command::new("run")).try_get_matches_from(["run"])?;
    let args = RunArgs::from_arg_matches(&matches)?;
    let asked: BTreeSet<Permission> = doctor::permissions(&args)
        .into_iter()
        .flat_map(|(_, permissions)| permissions)
        .collect();
    let mut granted = BTreeSet::new();
    for manifests in [
        include_str!("../../manifests/operator.yaml"),
        include_str!("../../manifests/subject-removal.yaml"),
    ] {
        let documents: Vec<BTreeMap<String, Value>> = serde_saphyr::from_multiple(manifests)?;
        for document in documents {
            let Some(rules) = document.get("rules") else { continue };
            let rules: Vec<Rule> = serde_json::from_value(rules.clone())?;
            let namespace = document["metadata"]["namespace"].as_str().map(str::to_owned);
            for rule in rules {
                let names: Vec<_> = match rule.resource_names.is_empty() {
                    true => vec![None],
                    false => rule.resource_names.into_iter().map(Some).collect(),
                };
                for (group, resource) in product(&rule.api_groups, &rule.resources) {
                    for (verb, name) in product(&rule.verbs, &names) {
                        granted.insert(Permission {
                            group: group.clone(),
                            resource: resource.clone(),
                            verb: verb.clone(),
                            name: name.clone(),
                            namespace: namespace.clone(),
                        });
                    }
                }
            }
        }
    }
    assert_eq!(asked, granted);
    Ok(())
}

//! What the tests of the plugin share.

pub(crate) use ack_offboarding_e2e::plugin::{Said, ended, terminal};
use ack_offboarding_e2e::{
    access,
    cluster::{Options, eventually, pool},
    env::{Env, OperatorOptions, PATIENCE, plugin_binary, user},
    plugin::run,
};
use ack_offboarding_operator::api::UserOffboarding;
use k8s_openapi::api::{authorization::v1::SubjectAccessReview, rbac::v1::ClusterRoleBinding};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The leaver of most tests.
pub(crate) const UID: &str = "259083957089437690";
/// The name in the leaver's client certificate.
pub(crate) const LEAVER: &str = "259083957089437690-1700000000";

/// A stage on a cluster of the pool.
pub(crate) type TestEnv = Env<pool::Lease>;

/// A stage without the operator.
pub(crate) async fn env() -> TestEnv {
    let cluster = pool::acquire(Options::default()).await.expect("a cluster");
    Env::set(cluster).await.expect("a stage")
}

/// A stage with the operator running.
pub(crate) async fn running() -> TestEnv {
    let mut env = env().await;
    env.start_operator(&OperatorOptions::default())
        .await
        .expect("the operator");
    env
}

/// Gives UID what a leaver has: a kubeconfig, a cluster-wide binding and one in a namespace.
pub(crate) async fn give_access(env: &TestEnv) -> anyhow::Result<()> {
    access::give(env, UID, LEAVER).await
}

/// Somebody with a role of the chart, by a real certificate; returns their kubeconfig. It is in force when this returns.
pub(crate) async fn person(env: &TestEnv, role: &str) -> anyhow::Result<PathBuf> {
    let name = format!("somebody-with-{role}");
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": {"name": format!("people-{role}")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("ack-offboarding-{role}")},
        "subjects": [user(&name)],
    }))?;
    Api::all(env.admin()).create(&PostParams::default(), &binding).await?;
    let resource = match role {
        "auditor" => "permissionscans",
        _ => "useroffboardings",
    };
    let review: SubjectAccessReview = serde_json::from_value(json!({"metadata": {}, "spec": {
        "user": name,
        "resourceAttributes": {"verb": "list", "group": "ack-offboarding.io", "resource": resource},
    }}))?;
    let reviews = Api::all(env.admin());
    eventually("the role to be in force", PATIENCE, async || {
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed).then_some(()))
    })
    .await?;
    env.cluster.user_kubeconfig(&name, &[])
}

/// Waits until the operator has read in the audit log who asked for it, and who approved it if somebody did.
pub(crate) async fn until_authors_are_known(env: &TestEnv, name: &str) -> anyhow::Result<()> {
    eventually("the authors", PATIENCE, async || {
        let status = env.offboardings().get(name).await?.status.unwrap_or_default();
        let is_approver_known = status.approved_by.is_none_or(|approval| approval.user.is_some());
        Ok((status.requested_by.is_some() && is_approver_known).then_some(()))
    })
    .await
}

/// Somebody without any role.
pub(crate) fn stranger(env: &TestEnv) -> anyhow::Result<PathBuf> {
    env.cluster.user_kubeconfig("a-stranger", &[])
}

/// The plugin's command line, as this person.
pub(crate) fn command(kubeconfig: &Path, args: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(plugin_binary()?);
    command.args(args).env("KUBECONFIG", kubeconfig);
    command
        // Nobody's credentials of Alibaba Cloud.
        .env("HOME", "/nonexistent")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env("TERM", "xterm-256color");
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Runs the plugin to its end, without a terminal.
pub(crate) async fn plugin(kubeconfig: &Path, args: &[&str]) -> anyhow::Result<Said> {
    run(command(kubeconfig, args)?).await
}

/// Names of the UserOffboardings in the cluster.
pub(crate) async fn names(env: &TestEnv) -> anyhow::Result<Vec<String>> {
    let all: Vec<UserOffboarding> = env.offboardings().list(&ListParams::default()).await?.items;
    Ok(all.iter().map(ResourceExt::name_any).collect())
}

/// What differs from run to run, and the word that stands for it.
pub(crate) const VARYING: &[(&str, &str)] = &[
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"(?m)^\d\d:\d\d:\d\d ", "CLOCK "),
    (r"sha256:[0-9a-f]{64}", "sha256:DIGEST"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\bplan-[a-z0-9]{5}\b", "plan-XXXXX"),
    (r"\b\d+s( ago)?\b", "AGO$1"),
    (r" +(?m:$)", ""),
    (r"AGO +", "AGO "),
    (r"offboarding-[0-9]+-[0-9a-f]{20}(-[0-9]+)?", "BACKUP"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "OBJECT-UID"),
    (r"\b[0-9a-f]{20}\b", "RUN"),
];

/// Compares a text with the snapshot of this name.
macro_rules! shows {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            filters => $crate::support::VARYING.to_vec(), omit_expression => true, prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!($name, $text) })
    };
}

pub(crate) use shows;

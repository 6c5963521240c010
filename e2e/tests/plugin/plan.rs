//! `plan`.

use crate::support::{LEAVER, Said, UID, command, env, give_access, names, person, plugin, running, shows};
use ack_offboarding_e2e::{
    cluster::eventually,
    env::{PATIENCE, add_user, user},
};
use ack_offboarding_operator::api::PLAN_LABEL;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Shows what would go, who keeps access, and who may bring a binding back; and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_happen() -> anyhow::Result<()> {
    let env = running().await;
    // Who keeps access stands in bindings, which the requester's role does not let anybody read.
    let (requester, admin) = (person(&env, "requester").await?, env.cluster.admin_kubeconfig());
    let nothing = plugin(&requester, &["plan", UID]).await?.ends_with(0);
    shows!("plan-nothing", nothing.out);

    give_access(&env).await?;
    env.role_binding("team-b", "shared", "view", &[user(LEAVER), user("200000000000000002")])
        .await?;
    let owned = json!({"metadata": {"annotations": {"meta.helm.sh/release-name": "team-a"}, "labels": {"app.kubernetes.io/managed-by": "Helm"}}});
    let api = Api::<RoleBinding>::namespaced(env.admin(), "team-a");
    api.patch("leaver", &PatchParams::default(), &Patch::Merge(owned))
        .await?;

    let said = plugin(&requester, &["plan", UID, "--name", "leaver"])
        .await?
        .ends_with(1);
    shows!("plan-requester", said.out);
    let said = plugin(&admin, &["plan", UID]).await?.ends_with(1);
    shows!("plan-table", said.out);
    for format in ["json", "name"] {
        let said = plugin(&admin, &["plan", UID, "-o", format]).await?.ends_with(1);
        shows!(format!("plan-{format}"), said.out);
    }
    assert!(names(&env).await?.is_empty(), "nothing is left behind");
    assert_eq!(env.bindings_of(UID).await?.len(), 3, "and nothing was touched");
    Ok(())
}

/// What is not known is not nothing: a name that does not fit ends before there is a plan.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_plan() -> anyhow::Result<()> {
    let env = running().await;
    let requester = person(&env, "requester").await?;
    add_user(&env.sim, UID, "somebody-else");
    env.cluster_role_binding("everything", "cluster-admin", &[user(UID)])
        .await?;
    let said = plugin(&requester, &["plan", UID, "--name=leaver"]).await?.ends_with(1);
    assert!(said.out.contains("What would change is not known"), "{said:#?}");
    assert!(
        !said.out.contains("Nothing would change") && !said.out.contains("No binding names it"),
        "{said:#?}"
    );
    Ok(())
}

/// Who keeps access is read from this binding, and from no other whose name a URL would take for it.
#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_access_is_read_from_this_binding() -> anyhow::Result<()> {
    let env = running().await;
    let (keeps, other) = (user("200000000000000002"), user("200000000000000003"));
    env.role_binding("team-a", "ops#1", "view", &[user(UID), keeps]).await?;
    env.role_binding("team-a", "ops", "view", &[user(UID), other]).await?;
    let said = plugin(&env.cluster.admin_kubeconfig(), &["plan", UID])
        .await?
        .ends_with(1);
    let line = |name: &str| {
        said.out
            .lines()
            .find(|line| line.contains(name))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(line("team-a/ops#1 ").contains("200000000000000002"), "{said:#?}");
    assert!(line("team-a/ops ").contains("200000000000000003"), "{said:#?}");
    Ok(())
}

/// Somebody who may not create a dry run sees the plan that is there, and is told which role is missing.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_create() -> anyhow::Result<()> {
    let env = running().await;
    let viewer = person(&env, "viewer").await?;
    give_access(&env).await?;
    let said = plugin(&viewer, &["plan", UID]).await?.ends_with(2).prints_nothing();
    said.tells("may not create a dry run")
        .tells("ClusterRole ack-offboarding-requester");

    env.apply("left", json!({"uid": UID, "approval": "Manual"})).await?;
    env.wait_for_state("left", "AwaitingApproval").await?;
    let said = plugin(&viewer, &["plan", UID]).await?.ends_with(1);
    let said = said.tells("This is the plan of UserOffboarding left, which exists.");
    assert!(said.out.contains("ClusterRoleBinding leaver-everywhere"), "{said:#?}");
    assert!(said.out.contains("kubectl ack-offboard explain left"), "{said:#?}");
    Ok(())
}

/// Ctrl-C while the operator is awaited: the dry run is gone, and the exit code says why.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_leaves_nothing_behind() -> anyhow::Result<()> {
    let env = env().await;
    let requester = person(&env, "requester").await?;
    let child = command(&requester, &["plan", UID])?.spawn()?;
    eventually("the dry run", PATIENCE, async || {
        let labelled = kube::api::ListParams::default().labels(PLAN_LABEL);
        let found = env.offboardings().list(&labelled).await?;
        Ok((!found.items.is_empty()).then_some(()))
    })
    .await?;
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)?;
    let said = Said::of(tokio::task::spawn_blocking(move || child.wait_with_output()).await??)?;
    said.ends_with(130).prints_nothing().tells("interrupted");
    assert!(names(&env).await?.is_empty(), "the dry run is gone");
    Ok(())
}

/// No operator: says so, and leaves nothing behind.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_operator() -> anyhow::Result<()> {
    let env = env().await;
    let requester = person(&env, "requester").await?;
    let said = plugin(&requester, &["plan", UID]).await?.ends_with(2);
    said.prints_nothing().tells("no operator answers");
    assert!(names(&env).await?.is_empty());
    Ok(())
}

//! What cannot be done, and what is said of it.

use crate::support::{UID, env, person, plugin, shows, stranger};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, api::DeleteParams};

/// A missing role is named.
#[tokio::test(flavor = "multi_thread")]
async fn by_rbac() -> anyhow::Result<()> {
    let env = env().await;
    let (stranger, viewer) = (stranger(&env)?, person(&env, "viewer").await?);
    for args in [
        &["status"][..],
        &["status", "left"],
        &["explain", "left"],
        &["suspend", "left"],
        &["approve", "left"],
    ] {
        let said = plugin(&stranger, args).await?.ends_with(2).prints_nothing();
        said.tells("It takes the ClusterRole ack-offboarding-viewer, which you do not have");
    }
    let said = plugin(&viewer, &["plan", UID]).await?.ends_with(2);
    shows!("refused-plan", said.err);
    let said = plugin(&viewer, &["doctor", "--operator-namespace=ack-offboarding-system"])
        .await?
        .ends_with(2);
    said.prints_nothing()
        .tells("pods/exec")
        .tells("None of our roles has it");
    plugin(&viewer, &["doctor"])
        .await?
        .ends_with(64)
        .tells("--operator-namespace=NAMESPACE");
    let admin = env.cluster.admin_kubeconfig();
    let said = plugin(&admin, &["doctor", "--operator-namespace=ack-offboarding-system"])
        .await?
        .ends_with(2);
    said.tells("no pod of the operator runs in namespace ack-offboarding-system");
    // The administrator may impersonate the stranger, and has then no more rights than that.
    let said = plugin(&admin, &["status", "--as=a-stranger", "--as-group=nobodies"])
        .await?
        .ends_with(2);
    said.tells("User \"a-stranger\" cannot list");
    Ok(())
}

/// What is not there.
#[tokio::test(flavor = "multi_thread")]
async fn by_absence() -> anyhow::Result<()> {
    let env = env().await;
    let admin = env.cluster.admin_kubeconfig();
    let said = plugin(&admin, &["status", "nobody"])
        .await?
        .ends_with(2)
        .prints_nothing();
    shows!("refused-not-found", said.err);
    let said = plugin(&admin, &["status", "--context=elsewhere"])
        .await?
        .ends_with(2)
        .prints_nothing();
    said.tells("elsewhere").tells("kubectl config get-contexts");
    let said = plugin(&admin, &["status", "--kubeconfig=/nowhere/kubeconfig"])
        .await?
        .ends_with(2);
    said.tells("/nowhere/kubeconfig");

    let api = Api::<CustomResourceDefinition>::all(env.admin());
    api.delete("useroffboardings.ack-offboarding.io", &DeleteParams::default())
        .await?;
    let gone = "this cluster does not know UserOffboardings";
    ack_offboarding_e2e::cluster::eventually("the CRD to be gone", ack_offboarding_e2e::env::PATIENCE, async || {
        let said = plugin(&admin, &["status"]).await?;
        Ok(said.err.contains(gone).then_some(()))
    })
    .await?;
    let said = plugin(&admin, &["version", "-v"]).await?.ends_with(1);
    assert!(said.out.contains("not installed"), "{said:#?}");
    Ok(())
}

/// An API server that does not answer, by the address that was asked.
#[tokio::test(flavor = "multi_thread")]
async fn by_silence() -> anyhow::Result<()> {
    let env = env().await;
    let text = std::fs::read_to_string(env.cluster.admin_kubeconfig())?;
    // Nothing listens there.
    let elsewhere = env.cluster.dir().join("elsewhere.kubeconfig");
    std::fs::write(&elsewhere, text.replace(env.cluster.url(), "https://127.0.0.1:1"))?;
    let said = plugin(&elsewhere, &["status"]).await?.ends_with(2).prints_nothing();
    said.tells("the API server at https://127.0.0.1:1/ does not answer");
    Ok(())
}

/// A wrong command line ends with 64, help and the version with 0.
#[tokio::test(flavor = "multi_thread")]
async fn by_the_command_line() -> anyhow::Result<()> {
    let nobody = std::path::Path::new("/nowhere/kubeconfig");
    for args in [
        &[][..],
        &["frobnicate"],
        &["status", "-o", "xml"],
        &["status", "--as-group=nobodies"],
        &["plan", "leaver"],
        &["plan", "0123"],
        &["approve", "left", "--digest", "sha256:12"],
        &["wait", "left", "--timeout=soon"],
        &["start", UID, "--print", "--wait"],
    ] {
        let said = plugin(nobody, args).await?;
        assert_eq!(said.code, Some(64), "{args:?}: {said:#?}");
        assert_eq!(said.out, "", "{args:?}");
        assert!(!said.err.contains("kubectl-ack_offboard"), "{args:?}: {}", said.err);
    }
    let said = plugin(nobody, &["plan", "leaver"]).await?;
    shows!("usage-uid", said.err);
    plugin(nobody, &["--version"]).await?.ends_with(0);
    let help = plugin(nobody, &["--help"]).await?.ends_with(0);
    shows!("help", help.out);
    for verb in [
        "plan",
        "start",
        "status",
        "wait",
        "explain",
        "approve",
        "suspend",
        "resume",
        "doctor",
        "version",
        "completion",
    ] {
        let help = plugin(nobody, &[verb, "--help"]).await?.ends_with(0);
        assert!(
            help.out.contains(&format!("Usage: kubectl ack-offboard {verb}")),
            "{}",
            help.out
        );
        assert!(help.out.contains("Exit codes: 0 "), "{}", help.out);
        let shells = ["bash", "zsh", "fish"];
        if verb == "completion" {
            for shell in shells {
                let script = plugin(nobody, &[verb, shell]).await?.ends_with(0).out;
                assert!(
                    script.contains("explain") && script.contains("kubectl-ack_offboard"),
                    "{shell}: {script}"
                );
            }
        }
    }
    let page = plugin(nobody, &["man"]).await?.ends_with(0).out;
    assert!(page.starts_with(".ie") && page.contains(".SH \"EXPLAIN\""), "{page}");
    Ok(())
}

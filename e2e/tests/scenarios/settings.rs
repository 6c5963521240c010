//! What the operator says when it cannot start: one clear error, which names flag and variable.

use crate::support::{TestEnv, env};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT},
    env::{CLUSTER_ID, operator_binary},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::DeleteParams};
use std::{path::PathBuf, process::Command};

/// Runs the operator to its end with these flags and nothing in its environment; what it said.
fn said(flags: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(operator_binary(false)?);
    command
        .arg("run")
        .arg("--listen=127.0.0.1:0")
        .args(flags)
        .env_clear()
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "id");
    let output = command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret").output()?;
    assert!(!output.status.success());
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn kubeconfig(env: &TestEnv) -> anyhow::Result<PathBuf> {
    env.cluster
        .service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named_with_flag_and_variable() -> anyhow::Result<()> {
    let text = said(&[])?;
    assert!(
        text.contains("--kubeconfig") && text.contains("ACK_OFFBOARDING_KUBECONFIG"),
        "{text}"
    );

    let env = env().await;
    let kubeconfig = kubeconfig(&env).await?;
    let kubeconfig = kubeconfig.to_str().expect("a path");
    let text = said(&["--kubeconfig", kubeconfig])?;
    assert!(
        text.contains("--region") && text.contains("ALIBABA_CLOUD_STS_REGION"),
        "{text}"
    );

    // I4: an operator that takes its cluster for another one would read that one's audit log, and purge there.
    let text = said(&[
        "--kubeconfig",
        kubeconfig,
        "--region",
        "cn-hangzhou",
        "--cluster-id",
        "c1",
    ])?;
    for part in ["c1", CLUSTER_ID, "--cluster-id", "kube-system/ack-cluster-profile"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    let profiles: Api<ConfigMap> = Api::namespaced(env.admin(), "kube-system");
    profiles.delete("ack-cluster-profile", &DeleteParams::default()).await?;
    // An empty value, as a chart renders it, is none.
    let text = said(&["--kubeconfig", kubeconfig, "--region", "cn-hangzhou", "--cluster-id="])?;
    for part in [
        "--cluster-id",
        "ACK_OFFBOARDING_CLUSTER_ID",
        "kube-system/ack-cluster-profile",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = said(&[
        "--kubeconfig",
        kubeconfig,
        "--region",
        "cn-hangzhou",
        "--cluster-id",
        "c1",
    ])?;
    assert!(
        text.contains("--account-id") && text.contains("ACK_OFFBOARDING_ACCOUNT_ID"),
        "{text}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_is_for_loopback_only() -> anyhow::Result<()> {
    let env = env().await;
    let kubeconfig = kubeconfig(&env).await?;
    let kubeconfig = kubeconfig.to_str().expect("a path");
    let text = said(&[
        "--kubeconfig",
        kubeconfig,
        "--region=cn-hangzhou",
        "--cs-endpoint=http://192.0.2.1:80",
    ])?;
    assert!(text.contains("192.0.2.1") && text.contains("loopback"), "{text}");
    Ok(())
}

#[test]
fn bad_flags_are_refused_with_what_was_expected() -> anyhow::Result<()> {
    let cases = [
        ("--protected-uids=1,x", "is not a UID"),
        ("--recheck-interval=soon", "such as 1h"),
        ("--concurrency=0", "1..=64"),
        ("--network=moon", "Public or Vpc"),
        ("--credentials=guess", "Rrsa"),
    ];
    for (flag, expected) in cases {
        let text = said(&[flag])?;
        assert!(text.contains(expected), "{flag}: {text}");
    }
    Ok(())
}

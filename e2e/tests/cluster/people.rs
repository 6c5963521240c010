//! Who the API server takes somebody for: client certificates, ServiceAccount tokens, and what the audit log says of them.

use std::path::PathBuf;

use ack_offboarding_e2e::cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::ListParams};
use serde_json::{Value, json};

use super::{DEADLINE, LEAVER, assert_forbidden, bind_view, cluster, cluster_with_operator};

#[tokio::test]
async fn a_client_certificate_is_the_leaver_and_its_requests_are_in_the_audit_log() {
    let cluster = cluster().await;
    let leaver = cluster.user_client(LEAVER, &[]).unwrap();
    let pods = Api::<ConfigMap>::namespaced(leaver, "team-a");
    cluster.ensure_namespace("team-a").await.unwrap();

    assert_forbidden(
        "list without a binding",
        pods.list(&ListParams::default()).await,
        LEAVER,
    );

    bind_view(&cluster, "leaver", &[LEAVER]).await;
    eventually("the binding to take effect", DEADLINE, async || {
        Ok(pods.list(&ListParams::default()).await.ok())
    })
    .await
    .unwrap();

    // The log is written before the answer is sent: nothing to wait for.
    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let codes: Vec<u64> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["user"]["username"] == LEAVER && event["objectRef"]["resource"] == "configmaps")
        .map(|event| event["responseStatus"]["code"].as_u64().unwrap())
        .collect();
    assert_eq!((codes.first(), codes.last()), (Some(&403), Some(&200)), "{codes:?}");
    assert!(!log.contains("/readyz"), "health checks are not recorded");
    assert!(!log.contains("RequestReceived"), "one record a request");
}

#[tokio::test]
async fn the_kubeconfig_files_work_with_kubectl() {
    let (cluster, _) = cluster_with_operator().await;
    let whoami = |kubeconfig: PathBuf| {
        let output = cluster
            .kubectl()
            .env("KUBECONFIG", kubeconfig)
            .args(["auth", "whoami", "-o", "json"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["status"]["userInfo"].clone()
    };

    assert_eq!(whoami(cluster.admin_kubeconfig())["username"], "kubernetes-admin");
    let somebody = whoami(cluster.user_kubeconfig(LEAVER, &["team-a", "team-b"]).unwrap());
    assert_eq!(somebody["username"], LEAVER);
    assert_eq!(somebody["groups"], json!(["team-a", "team-b", "system:authenticated"]));
    let operator = cluster
        .service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await
        .unwrap();
    assert_eq!(
        whoami(operator)["username"],
        format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}")
    );
}

#[tokio::test]
async fn a_token_names_its_audience_and_the_key_that_verifies_it() {
    let (cluster, _) = cluster_with_operator().await;
    let token = cluster
        .request_token(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, "sts.aliyuncs.com")
        .await
        .unwrap();
    let jwks = cluster.jwks().await.unwrap();
    let key = &jwks["keys"][0];
    assert_eq!((&key["alg"], &key["use"]), (&json!("ES256"), &json!("sig")));
    // Header, claims, signature.
    assert_eq!(token.split('.').count(), 3);
}

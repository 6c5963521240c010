//! The operator's own credentials.

use crate::support::{TestStage, UID, assert_gone, give_access, stage};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT},
    simulator::{
        Operation,
        world::{OidcProvider, OidcTrust},
    },
    stage::{ACCESS_KEY, ACCOUNT, OperatorOptions},
};
use serde_json::json;

/// Enables RRSA: the operator's options, and the token in its file.
pub(crate) async fn rrsa(stage: &TestStage) -> anyhow::Result<(OperatorOptions, String)> {
    // What enabling RRSA does: RAM trusts the API server's issuer and keys, and the role trusts one ServiceAccount.
    let arn = format!("acs:ram::{ACCOUNT}:oidc-provider/ack-rrsa");
    let jwks = stage.cluster.jwks().await?;
    stage.sim.edit(|w| {
        w.oidc_providers.push(OidcProvider {
            arn: arn.clone(),
            issuer: "https://kubernetes.default.svc".to_owned(),
            audience: "sts.aliyuncs.com".to_owned(),
            jwks,
        });
        w.roles[0].trust = Some(OidcTrust {
            provider_arn: arn.clone(),
            subject: format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{OPERATOR_SERVICE_ACCOUNT}"),
        });
    });
    let token = stage
        .cluster
        .request_token(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, "sts.aliyuncs.com")
        .await?;
    let file = stage.cluster.dir().join("rrsa-token");
    std::fs::write(&file, &token)?;

    let mut options = OperatorOptions::default().flag("--credentials=rrsa");
    options.env.extend([
        (
            "ALIBABA_CLOUD_ROLE_ARN".to_owned(),
            format!("acs:ram::{ACCOUNT}:role/ack-offboarding-operator"),
        ),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN".to_owned(), arn),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE".to_owned(), file.display().to_string()),
    ]);
    Ok((options, token))
}

#[tokio::test(flavor = "multi_thread")]
async fn rrsa_exchanges_the_service_accounts_token_for_the_roles_credentials() -> anyhow::Result<()> {
    let mut stage = stage().await;
    give_access(&stage).await?;
    let (options, token) = rrsa(&stage).await?;
    stage.start_operator(&options).await?;
    stage.apply("left", json!({"uid": UID})).await?;
    let status = stage.wait_for_state("left", "Offboarded").await?;

    assert_gone(&stage, &status).await?;
    let calls = stage.sim.calls();
    assert_eq!(
        calls
            .iter()
            .filter(|c| c.operation == Operation::StsAssumeRoleWithOidc)
            .count(),
        1,
        "and keeps them"
    );
    assert!(
        calls.iter().all(|c| c.access_key.as_deref() != Some(ACCESS_KEY)),
        "nothing falls back to the keys"
    );
    assert!(
        !stage
            .operator_log()
            .contains(token.rsplit('.').next().expect("a signature")),
        "the token is in no log"
    );
    Ok(())
}

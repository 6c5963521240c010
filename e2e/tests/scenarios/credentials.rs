//! The operator's own credentials.

use crate::support::{TestEnv, UID, assert_gone, env, give_access, running};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, eventually},
    env::{ACCESS_KEY, ACCESS_SECRET, ACCOUNT, OperatorOptions, PATIENCE, SECURITY_TOKEN},
    simulator::{
        Fault, FaultKind, Operation,
        world::{OidcProvider, OidcTrust},
    },
};
use serde_json::json;

/// Enables RRSA: the operator's options, and the token in its file.
pub(crate) async fn rrsa(env: &TestEnv) -> anyhow::Result<(OperatorOptions, String)> {
    // What enabling RRSA does: RAM trusts the API server's issuer and keys, and the role trusts one ServiceAccount.
    let arn = format!("acs:ram::{ACCOUNT}:oidc-provider/ack-rrsa");
    let jwks = env.cluster.jwks().await?;
    env.sim.edit(|w| {
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
    let token = env
        .cluster
        .request_token(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT, "sts.aliyuncs.com")
        .await?;
    let file = env.cluster.dir().join("rrsa-token");
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
    let mut env = env().await;
    give_access(&env).await?;
    let (options, token) = rrsa(&env).await?;
    env.start_operator(&options).await?;
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;

    assert_gone(&env, &status).await?;
    let calls = env.sim.calls();
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
        !env.operator_log()
            .contains(token.rsplit('.').next().expect("a signature")),
        "the token is in no log"
    );
    Ok(())
}

/// What the operator answers the kubelet.
async fn readyz(env: &TestEnv) -> anyhow::Result<(u16, String)> {
    let answer = reqwest::get(format!("http://{}/readyz", env.operator_address()?)).await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

/// Waits until the operator is ready, or is not; what it says.
async fn until_ready(env: &TestEnv, ready: bool) -> anyhow::Result<String> {
    eventually(&format!("/readyz to say {ready}"), PATIENCE, async || {
        // Until it listens.
        let Ok((status, text)) = readyz(env).await else {
            return Ok(None);
        };
        let complete = text.contains("[+]index ok");
        Ok((complete && (status == 200) == ready).then_some(text))
    })
    .await
}

/// A pod whose credentials are rejected is not ready, and says why; it finds out by itself, with nothing to offboard, and notices when
/// they serve again.
#[tokio::test(flavor = "multi_thread")]
async fn a_pod_is_ready_while_its_credentials_serve() -> anyhow::Result<()> {
    let mut env = env().await;
    let forget = |env: &TestEnv| env.sim.edit(|world| std::mem::take(&mut world.access_keys));
    let keys = forget(&env);
    env.start_operator(&OperatorOptions::default()).await?;
    let why = "[-]credentials failed: STS GetCallerIdentity: InvalidAccessKeyId.NotFound (see the log)";
    let said = eventually("/readyz to say why", PATIENCE, async || {
        let said = until_ready(&env, false).await?;
        Ok(said.contains(why).then_some(said))
    })
    .await?;
    for secret in [ACCESS_SECRET, SECURITY_TOKEN, ACCESS_KEY, ACCOUNT] {
        assert!(!said.contains(secret), "anybody may ask: {said}");
    }
    env.sim.edit(|world| world.access_keys = keys);
    let all_is_well = "[+]index ok\n[+]credentials ok\n[+]policies ok\n";
    assert_eq!(until_ready(&env, true).await?, all_is_well);

    // And while it works: the next call tells.
    let keys = forget(&env);
    env.apply("left", json!({"uid": UID, "suspend": true})).await?;
    until_ready(&env, false).await?;
    env.sim.edit(|world| world.access_keys = keys);
    until_ready(&env, true).await.map(drop)
}

/// A proxy's page is no word of Alibaba Cloud's.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_proxy_proves_no_credentials() -> anyhow::Result<()> {
    let mut env = env().await;
    env.sim
        .fault(Fault::new(Operation::StsGetCallerIdentity, FaultKind::Html(200)));
    env.start_operator(&OperatorOptions::default()).await?;
    let twice = async || {
        let calls = env.sim.calls();
        let asked = calls
            .iter()
            .filter(|c| c.operation == Operation::StsGetCallerIdentity && c.done);
        Ok((asked.count() >= 2).then_some(()))
    };
    eventually("STS to have been asked twice", PATIENCE, twice).await?;
    let said = until_ready(&env, false).await?;
    assert!(said.contains("has not accepted them yet"), "{said}");
    env.sim.clear_faults();
    until_ready(&env, true).await.map(drop)
}

/// Being refused an action is no matter of the credentials.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_action_leaves_a_pod_ready() -> anyhow::Result<()> {
    let env = running().await;
    until_ready(&env, true).await?;
    env.sim.fault(Fault::new(Operation::ImsGetUser, FaultKind::Forbidden));
    env.apply("left", json!({"uid": UID})).await?;
    env.wait_for_state("left", "Forbidden").await?;
    assert_eq!(readyz(&env).await?.0, 200);
    Ok(())
}

//! No secret, token or signature in a log, an event, a status or a backup; also when the cloud misbehaves.

use crate::support::{UID, env, events, give_access};
use ack_offboarding_e2e::{
    cluster::{OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT},
    env::{ACCESS_SECRET, OperatorOptions, SECURITY_TOKEN},
    simulator::{Fault, FaultKind, Operation},
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_reaches_a_log_an_event_a_status_or_a_backup() -> anyhow::Result<()> {
    let mut env = env().await;
    let mut options = OperatorOptions::default();
    // All that this program and kube can say of a request.
    options
        .env
        .push(("RUST_LOG".into(), "trace,h2=info,rustls=info".into()));
    env.start_operator(&options).await?;
    give_access(&env).await?;
    // A service that disagrees with a signature echoes what was signed, the token among it.
    let echo = FaultKind::Custom {
        status: 400,
        code: "SignatureDoesNotMatch".into(),
        message: format!(
            "Specified signature is not matched. Server StringToSign is x-acs-security-token:{SECURITY_TOKEN}"
        ),
    };
    let faults = [
        (Operation::StsGetCallerIdentity, echo.clone()),
        (Operation::ImsGetUser, FaultKind::Forbidden),
        (Operation::RamListRoles, FaultKind::Html(502)),
        (Operation::CsListUserKubeConfigStates, FaultKind::CutBefore),
        (Operation::SlsGetLogsV2, echo),
        (Operation::CsCleanClusterUserPermissions, FaultKind::ServerError(500)),
    ];
    for (operation, kind) in faults {
        env.sim.fault(Fault::new(operation, kind).times(1));
    }
    env.apply("left", json!({"uid": UID})).await?;
    let status = env.wait_for_state("left", "Offboarded").await?;

    let kubeconfig = env
        .cluster
        .service_account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT)
        .await?;
    let kubeconfig: serde_json::Value = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
    let token = kubeconfig["users"][0]["user"]["token"].as_str().expect("a token");
    // The beginning of its claims: the same in every token of this ServiceAccount, and in nothing else.
    let claims = token.split('.').nth(1).expect("claims");
    let encoded = SECURITY_TOKEN
        .replace('/', "%2F")
        .replace('+', "%2B")
        .replace('=', "%3D");
    let places = [
        ("log", env.operator_log()),
        ("events", events(&env, "left").await?.join("\n")),
        ("status", serde_json::to_string(&status)?),
        ("backups", serde_json::to_string(&env.backups().await?)?),
    ];
    assert!(places[0].1.contains("GetCallerIdentity"), "the log is read");
    for (place, text) in places {
        for secret in [
            ACCESS_SECRET,
            SECURITY_TOKEN,
            &encoded,
            &claims[..40],
            "Signature=",
            "stage-token",
        ] {
            let at = text
                .find(secret)
                .map(|at| text[at.saturating_sub(200)..].chars().take(300).collect::<String>());
            assert_eq!(at, None, "{secret:?} is in the {place}");
        }
    }
    Ok(())
}

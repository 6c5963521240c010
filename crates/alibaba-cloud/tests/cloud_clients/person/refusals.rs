//! What the services refuse, and what a person is told then.

use serde_json::{Value, json};

use super::failures::edited;
use super::{Home, LATER, ak, failed, modes::exchanged, variables};
use crate::credentials::{FAR, token_file};
use crate::server::{Reply, SECRET, Server, TOKEN, reply};

/// Every service repeats all that it was told and knows.
fn echo(status: u16) -> Reply {
    let body = json!({"Code": "Simulated", "ErrorCode": SECRET, "Message": format!("{SECRET} {TOKEN}"), "CloudCredential": SECRET,
        "Credentials": {"AccessKeyId": SECRET}, "RequestId": "R"});
    reply(status, body.to_string())
}

async fn fails(profile: Value, answers: Vec<Reply>, expected: &str) {
    let home = Home::with(json!([profile]));
    let count = answers.len();
    let server = Server::start(answers).await;
    let mut profile = home_profile(&home);
    // The addresses are known only now.
    for name in ["credentials_uri", "cloud_sso_sign_in_url"] {
        if let Some(Value::String(path)) = profile.get(name).cloned() {
            profile[name] = json!(format!("{}{path}", server.url));
        }
    }
    let home = Home::with(json!([profile]));
    let mut options = home.options();
    options.variables = variables(&[
        ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", &server.url),
        ("ALIBABA_CLOUD_IMDSV1_DISABLED", "true"),
    ]);
    let text = failed(&server, &options).await;
    assert!(text.contains(expected), "{text}");
    assert_eq!(server.count(), count, "{text}");
}

fn home_profile(home: &Home) -> Value {
    let text = std::fs::read_to_string(home.path(".aliyun/config.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["profiles"][0].clone()
}

#[tokio::test]
async fn a_role_that_cannot_be_assumed_says_why() {
    let role = || {
        edited(
            edited(ak("p"), "mode", json!("RamRoleArn")),
            "ram_role_arn",
            json!("acs:ram::1:role/x"),
        )
    };
    let refused = format!(r#"{{"Code":"NoPermission","Message":"You ({SECRET}) may not","RequestId":"R"}}"#);
    fails(
        role(),
        vec![reply(403, refused)],
        ", mode RamRoleArn): forbidden: NoPermission: You ([redacted]) may not (HTTP 403, request R)",
    )
    .await;
    let wrong = r#"{"Code":"SignatureDoesNotMatch","Message":"string to sign is x"}"#;
    fails(role(), vec![reply(400, wrong)], "is the access key's secret correct?").await;
    let passing = "STS AssumeRole (profile \"p\" of ";
    fails(
        role(),
        vec![reply(503, ""), Reply::Cut, Reply::Cut, reply(503, "")],
        passing,
    )
    .await;
    fails(
        role(),
        vec![echo(200)],
        "cannot understand the answer: it has no AccessKeySecret",
    )
    .await;
    fails(role(), vec![reply(200, SECRET)], "cannot understand the answer").await;
}

#[tokio::test]
async fn a_session_that_cloud_sso_does_not_take_says_how_to_sign_in() {
    let session = || {
        json!({"name": "sso", "mode": "CloudSSO", "cloud_sso_sign_in_url": "/", "cloud_sso_account_id": "1",
        "cloud_sso_access_config": "ac-1", "access_token": TOKEN, "cloud_sso_access_token_expire": LATER})
    };
    for status in [400, 401, 403, 404, 302] {
        fails(
            session(),
            vec![echo(status)],
            "CloudSSO refused the session for this account and access configuration; sign in again with \
             `aliyun configure --mode CloudSSO --profile sso` (HTTP ",
        )
        .await;
    }
    fails(
        session(),
        vec![echo(503); 4],
        "the service failed: CloudSSO could not answer (HTTP 503)",
    )
    .await;
    fails(
        session(),
        vec![echo(200)],
        "cannot understand the answer: it contains no credentials",
    )
    .await;
    fails(
        session(),
        vec![reply(200, format!("<b>{SECRET}"))],
        "it is HTML or XML instead of JSON",
    )
    .await;
    fails(
        session(),
        vec![reply(200, " ".repeat(70_000))],
        "it is larger than 65536 bytes",
    )
    .await;
    fails(session(), vec![exchanged("", FAR)], "its AccessKeyId is empty").await;
    fails(session(), vec![exchanged("k", SECRET)], "its Expiration is not a time").await;
    fails(
        session(),
        vec![exchanged("k", "2020-01-01T00:00:00Z")],
        "already expired when they were received",
    )
    .await;
}

#[tokio::test]
async fn an_address_that_gives_nothing_is_named_by_its_host_only() {
    let address = || json!({"name": "p", "mode": "CredentialsURI", "credentials_uri": format!("/{SECRET}?{TOKEN}")});
    fails(
        address(),
        vec![echo(404)],
        "refused; is credentials_uri right? (HTTP 404)",
    )
    .await;
    fails(address(), vec![echo(500); 4], "could not answer (HTTP 500)").await;
    fails(address(), vec![echo(429); 4], "throttled").await;
    fails(
        address(),
        vec![echo(200)],
        "cannot be used: its Code is not Success (HTTP 200)",
    )
    .await;
    fails(address(), vec![reply(200, SECRET)], "cannot be used: it is not JSON").await;
    let without = json!({"AccessKeyId": "k", "AccessKeySecret": SECRET, "Expiration": FAR}).to_string();
    fails(
        address(),
        vec![reply(200, without)],
        "cannot be used: it has no SecurityToken",
    )
    .await;
}

#[tokio::test]
async fn an_instance_without_the_role_says_so() {
    let instance = || json!({"name": "p", "mode": "EcsRamRole", "ram_role_name": "worker"});
    let token = || reply(200, "metadata-token");
    fails(
        instance(),
        vec![token(), echo(404)],
        "the instance has no such role; is one attached",
    )
    .await;
    fails(
        instance(),
        vec![token(), echo(403)],
        "the metadata service denies access to the role",
    )
    .await;
    fails(
        instance(),
        vec![token(), reply(200, SECRET)],
        "the metadata service gave no credentials",
    )
    .await;
    fails(instance(), vec![echo(403)], "the metadata service gave no credentials").await;
    let home = Home::with(json!([instance()]));
    let server = Server::start([]).await;
    let mut options = home.options();
    options.variables = variables(&[("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")]);
    let text = failed(&server, &options).await;
    assert!(text.contains("ALIBABA_CLOUD_ECS_METADATA_DISABLED is set"), "{text}");
}

#[tokio::test]
async fn a_token_file_that_is_not_there_is_named() {
    let oidc = |file: &str| json!({"name": "p", "mode": "OIDC", "oidc_provider_arn": "a", "oidc_token_file": file, "ram_role_arn": "r"});
    fails(oidc("/nonexistent/token"), vec![], "cannot read /nonexistent/token").await;
    let file = token_file(SECRET);
    let refused = format!(r#"{{"Code":"AuthenticationFail.OIDCToken.Invalid","Message":"bad {SECRET}"}}"#);
    fails(
        oidc(file.path().to_str().unwrap()),
        vec![reply(401, refused)],
        "bad [redacted]",
    )
    .await;
}

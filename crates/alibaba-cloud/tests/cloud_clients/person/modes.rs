//! Each mode gets credentials, and the calls are signed with them.

use alibaba_cloud::person::{Mode, PersonOptions};
use serde_json::{Value, json};

use super::{Home, LATER, LONG_AGO, ak, ask, resolved, settings, variables, with_token};
use crate::credentials::{FAR, assumed, caller, token_file};
use crate::server::{OIDC, Reply, SECRET, Seen, Server, TOKEN, connect, reply};

/// Uses the home's current profile, and gives back what the server was asked.
async fn used(home: &Home, server: &Server, mode: Mode) -> Vec<Seen> {
    used_with(&home.options(), server, mode).await
}

async fn used_with(options: &PersonOptions, server: &Server, mode: Mode) -> Vec<Seen> {
    assert_eq!(resolved(options).described().mode, Some(mode));
    ask(server, options).await.unwrap();
    let seen = server.take();
    // No secret is part of an address, which proxies write down.
    for request in &seen {
        crate::server::assert_clean(&request.line);
    }
    seen
}

fn signed_by(request: &Seen, key: &str, token: Option<&str>) {
    let authorization = &request.headers["authorization"];
    assert!(authorization.contains(&format!("Credential={key},")), "{authorization}");
    assert_eq!(request.headers.get("x-acs-security-token").map(String::as_str), token);
}

/// Credentials as metadata services and addresses answer them.
fn plain(key: &str, expires: &str) -> Reply {
    reply(
        200,
        json!({"Code": "Success", "AccessKeyId": key, "AccessKeySecret": SECRET, "SecurityToken": TOKEN, "Expiration": expires}).to_string(),
    )
}

#[tokio::test]
async fn ak_and_sts_token_are_used_as_they_are() {
    let server = Server::start([caller(), caller()]).await;
    let home = Home::with(json!([ak("p")]));
    signed_by(&used(&home, &server, Mode::Ak).await[0], "key-of-p", None);
    // The case of the mode does not matter; nor does a field that is null.
    let home = Home::with(json!([with_token(
        json!({"name": "p", "mode": "ststoken", "ram_role_arn": null}),
        LATER
    )]));
    signed_by(
        &used(&home, &server, Mode::StsToken).await[0],
        "key-of-session",
        Some(TOKEN),
    );
}

fn role_profile(name: &str) -> Value {
    let mut profile = ak(name);
    profile["mode"] = json!("RamRoleArn");
    profile["ram_role_arn"] = json!(format!("acs:ram::1:role/{name}"));
    profile
}

#[tokio::test]
async fn ram_role_arn_assumes_the_role() {
    let server = Server::start([assumed("k1", FAR), caller()]).await;
    let mut profile = role_profile("p");
    profile["ram_session_name"] = json!("me at work");
    profile["expired_seconds"] = json!(900);
    profile["external_id"] = json!("x/1");
    let seen = used(&Home::with(json!([profile])), &server, Mode::RamRoleArn).await;
    let token = format!("{TOKEN}k1");
    signed_by(&seen[0], "key-of-p", None);
    assert_eq!(seen[0].headers["x-acs-action"], "AssumeRole");
    for part in [
        "RoleArn=acs%3Aram%3A%3A1%3Arole%2Fp",
        "RoleSessionName=me%20at%20work",
        "DurationSeconds=900",
        "ExternalId=x%2F1",
    ] {
        assert!(seen[0].line.contains(part), "{}", seen[0].line);
    }
    signed_by(&seen[1], "k1", Some(&token));

    // With a token as the base, and the program's name for the session.
    let server = Server::start([assumed("k2", FAR), caller()]).await;
    let profile = with_token(role_profile("p"), LATER);
    let seen = used(&Home::with(json!([profile])), &server, Mode::RamRoleArn).await;
    signed_by(&seen[0], "key-of-session", Some(TOKEN));
    assert!(seen[0].line.contains("RoleSessionName=a-person"));
    assert!(!seen[0].line.contains("DurationSeconds"));
}

#[tokio::test]
async fn a_chain_of_roles_is_followed() {
    let server = Server::start([assumed("k1", FAR), assumed("k2", FAR), caller()]).await;
    let chained = json!({"name": "top", "mode": "ChainableRamRoleArn", "source_profile": "middle", "ram_role_arn": "acs:ram::1:role/top"});
    let home = Home::with(json!([chained, role_profile("middle")]));
    let seen = used(&home, &server, Mode::ChainableRamRoleArn).await;
    signed_by(&seen[0], "key-of-middle", None);
    assert!(seen[0].line.contains("role%2Fmiddle"));
    signed_by(&seen[1], "k1", Some(&format!("{TOKEN}k1")));
    assert!(seen[1].line.contains("role%2Ftop"));
    signed_by(&seen[2], "k2", Some(&format!("{TOKEN}k2")));
}

/// A home whose profiles find the metadata service at the server.
fn instance(server: &Server, home: &Home) -> PersonOptions {
    PersonOptions {
        variables: variables(&[
            ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", &server.url),
            ("ALIBABA_CLOUD_IMDSV1_DISABLED", "true"),
        ]),
        ..home.options()
    }
}

#[tokio::test]
async fn the_role_of_the_instance_comes_from_its_metadata_service() {
    let server = Server::start([reply(200, "metadata-token"), plain("k", FAR), caller()]).await;
    let home = Home::with(json!([{"name": "p", "mode": "EcsRamRole", "ram_role_name": "worker"}]));
    let seen = used_with(&instance(&server, &home), &server, Mode::EcsRamRole).await;
    assert_eq!(seen[0].line, "PUT /latest/api/token HTTP/1.1");
    assert_eq!(
        seen[1].line,
        "GET /latest/meta-data/ram/security-credentials/worker HTTP/1.1"
    );
    assert_eq!(seen[1].headers["x-aliyun-ecs-metadata-token"], "metadata-token");
    signed_by(&seen[2], "k", Some(TOKEN));

    // Without a name the service is asked for it; and a role can be assumed with it.
    let server = Server::start([
        reply(200, "metadata-token"),
        reply(200, "attached"),
        plain("k", FAR),
        assumed("k1", FAR),
        caller(),
    ])
    .await;
    let home =
        Home::with(json!([{"name": "p", "mode": "RamRoleArnWithRoleName", "ram_role_arn": "acs:ram::1:role/p"}]));
    let seen = used_with(&instance(&server, &home), &server, Mode::RamRoleArnWithRoleName).await;
    assert!(seen[2].line.contains("security-credentials/attached "));
    signed_by(&seen[3], "k", Some(TOKEN));
    signed_by(&seen[4], "k1", Some(&format!("{TOKEN}k1")));
}

#[tokio::test]
async fn oidc_exchanges_the_token_in_the_file() {
    let server = Server::start([assumed("k1", FAR), caller()]).await;
    let file = token_file(OIDC);
    let home = Home::with(json!([{
        "name": "p", "mode": "OIDC", "oidc_provider_arn": "acs:ram::1:oidc-provider/o", "oidc_token_file": file.path(),
        "ram_role_arn": "acs:ram::1:role/p", "ram_session_name": "me",
    }]));
    let seen = used(&home, &server, Mode::Oidc).await;
    assert_eq!(seen[0].body, format!("OIDCToken={OIDC}"));
    assert!(seen[0].line.contains("RoleSessionName=me"));
    signed_by(&seen[1], "k1", Some(&format!("{TOKEN}k1")));

    let server = Server::start([assumed("k1", FAR), caller()]).await;
    let options = PersonOptions {
        variables: variables(&[
            ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/env"),
            ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/o"),
            ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", file.path().to_str().unwrap()),
            ("ALICLOUD_ROLE_SESSION_NAME", "mine"),
        ]),
        ..home.options()
    };
    let seen = used_with(&options, &server, Mode::Oidc).await;
    assert!(seen[0].line.contains("role%2Fenv") && seen[0].line.contains("RoleSessionName=mine"));
}

#[tokio::test]
async fn an_address_is_asked() {
    let server = Server::start([plain("k", FAR), caller(), plain("k", FAR), caller()]).await;
    let address = format!("{}/creds?for=me", server.url);
    let home = Home::with(json!([{"name": "p", "mode": "CredentialsURI", "credentials_uri": address}]));
    let seen = used(&home, &server, Mode::CredentialsUri).await;
    assert_eq!(seen[0].line, "GET /creds?for=me HTTP/1.1");
    signed_by(&seen[1], "k", Some(TOKEN));
    let options = PersonOptions {
        variables: variables(&[("ALIBABA_CLOUD_CREDENTIALS_URI", &address)]),
        ..home.options()
    };
    signed_by(
        &used_with(&options, &server, Mode::CredentialsUri).await[1],
        "k",
        Some(TOKEN),
    );
}

/// A profile whose CloudSSO session lasts until then.
pub(super) fn sso(server: &Server, until: i64) -> Value {
    json!({
        "name": "sso", "mode": "CloudSSO", "cloud_sso_sign_in_url": format!("{}/start/login", server.url), "cloud_sso_account_id": "1",
        "cloud_sso_access_config": "ac-1", "access_token": TOKEN, "cloud_sso_access_token_expire": until,
    })
}

pub(super) fn exchanged(key: &str, expires: &str) -> Reply {
    let body = json!({"CloudCredential": {
        "AccessKeyId": key, "AccessKeySecret": SECRET, "SecurityToken": TOKEN, "Expiration": expires,
    }, "RequestId": "R"});
    reply(200, body.to_string())
}

#[tokio::test]
async fn cloud_sso_uses_what_is_cached_while_it_lasts() {
    let server = Server::start([caller()]).await;
    // Even where the session itself has ended.
    let home = Home::with(json!([with_token(sso(&server, LONG_AGO), LATER)]));
    let seen = used(&home, &server, Mode::CloudSso).await;
    assert_eq!(seen.len(), 1);
    signed_by(&seen[0], "key-of-session", Some(TOKEN));
}

#[tokio::test]
async fn cloud_sso_exchanges_the_session_and_writes_nothing() {
    let server = Server::start([exchanged("k", FAR), caller()]).await;
    let home = Home::with(json!([with_token(sso(&server, LATER), LONG_AGO)]));
    let before = std::fs::read(home.path(".aliyun/config.json")).unwrap();
    let seen = used(&home, &server, Mode::CloudSso).await;
    assert_eq!(seen[0].line, "POST /cloud-credentials HTTP/1.1");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
    let body: Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(body, json!({"AccountId": "1", "AccessConfigurationId": "ac-1"}));
    signed_by(&seen[1], "k", Some(TOKEN));
    assert_eq!(std::fs::read(home.path(".aliyun/config.json")).unwrap(), before);
    assert_eq!(std::fs::read_dir(home.path(".aliyun")).unwrap().count(), 1);
}

#[tokio::test]
async fn oauth_uses_what_is_cached() {
    let server = Server::start([caller()]).await;
    let home = Home::with(json!([with_token(
        json!({"name": "p", "mode": "OAuth", "oauth_refresh_token": TOKEN}),
        LATER
    )]));
    signed_by(
        &used(&home, &server, Mode::OAuth).await[0],
        "key-of-session",
        Some(TOKEN),
    );
}

#[tokio::test]
async fn ini_files_have_modes_too() {
    let key = format!("access_key_id = k\naccess_key_secret = '{SECRET}'\n");
    let server = Server::start([]).await;
    let file = token_file(OIDC);
    for (section, mode, answers) in [
        (format!("type = access_key\n{key}"), Mode::Ak, vec![]),
        (
            format!("type = sts\n{key}sts_token = \"{TOKEN}\"\n"),
            Mode::StsToken,
            vec![],
        ),
        (
            format!("type = ram_role_arn\n{key}role_arn = acs:ram::1:role/p\nrole_session_name = me\npolicy = {{}}\n"),
            Mode::RamRoleArn,
            vec![assumed("k1", FAR)],
        ),
        (
            "type = ecs_ram_role\nrole_name = worker\n".to_owned(),
            Mode::EcsRamRole,
            vec![reply(200, "metadata-token"), plain("k1", FAR)],
        ),
        (
            format!(
                "type = oidc_role_arn\nrole_arn = acs:ram::1:role/p\noidc_provider_arn = a\noidc_token_file_path = {}\n",
                file.path().display()
            ),
            Mode::Oidc,
            vec![assumed("k1", FAR)],
        ),
    ] {
        let answers: Vec<_> = answers.into_iter().chain([caller()]).collect();
        let count = answers.len();
        let server = Server::start(answers).await;
        let home = Home::ini(&format!(
            "; mine\n[other]\ntype = x\n[default]\nenable = true\n{section}"
        ));
        let seen = used_with(&instance(&server, &home), &server, mode).await;
        assert_eq!(seen.len(), count, "{mode}");
    }
    let home = Home::ini(&format!(
        "[default]\ntype = credentials_uri\ncredentials_uri = {}/\n",
        server.url
    ));
    assert_eq!(resolved(&home.options()).described().mode, Some(Mode::CredentialsUri));
}

#[tokio::test]
async fn whoever_signs_in_again_need_not_start_again() {
    let expired = || reply(400, r#"{"Code":"InvalidSecurityToken.Expired","Message":"expired"}"#);
    let server = Server::start([caller(), expired(), caller()]).await;
    let profile = |token: &str| {
        let mut profile = with_token(json!({"name": "p", "mode": "StsToken"}), LATER);
        profile["sts_token"] = json!(token);
        json!({"current": "p", "profiles": [profile]}).to_string()
    };
    let home = Home::new();
    home.write(".aliyun/config.json", profile("first"));
    let cloud = connect(&settings(&server, &home.options()));
    cloud.sts.get_caller_identity().await.unwrap();
    home.write(".aliyun/config.json", profile("second"));
    cloud.sts.get_caller_identity().await.unwrap();
    let tokens: Vec<_> = server
        .take()
        .iter()
        .map(|request| request.headers["x-acs-security-token"].clone())
        .collect();
    assert_eq!(tokens, ["first", "first", "second"]);
}

#[tokio::test]
async fn credentials_that_are_not_accepted_are_exchanged_again_once() {
    let expired = || reply(400, r#"{"Code":"InvalidSecurityToken.Expired","Message":"expired"}"#);
    let server = Server::start([
        exchanged("k1", FAR),
        expired(),
        exchanged("k2", FAR),
        caller(),
        caller(),
    ])
    .await;
    let home = Home::with(json!([sso(&server, LATER)]));
    let cloud = connect(&settings(&server, &home.options()));
    for _ in 0..2 {
        cloud.sts.get_caller_identity().await.unwrap();
    }
    let seen = server.take();
    signed_by(&seen[1], "k1", Some(TOKEN));
    signed_by(&seen[3], "k2", Some(TOKEN));
    signed_by(&seen[4], "k2", Some(TOKEN));
}

//! Where credentials come from, and how seldom they are fetched.

use std::io::Write;

use alibaba_cloud::{Cloud, CloudSettings, CredentialsSource, Environment, ErrorKind};

use crate::server::{OIDC, Reply, SECRET, Server, TOKEN, assert_clean_error, connect, reply, uid};

pub(crate) fn rrsa(server: &Server, token_file: &std::path::Path) -> CloudSettings {
    CloudSettings {
        credentials: CredentialsSource::Auto,
        environment: Environment::from_iter([
            ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/offboarding"),
            (
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
                "acs:ram::1:oidc-provider/ack-rrsa-c1",
            ),
            ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token_file.to_str().unwrap()),
            ("ALIBABA_CLOUD_STS_ENDPOINT", "sts.invalid"),
        ]),
        ..server.settings()
    }
}

pub(crate) fn assumed(key: &str, expiration: &str) -> Reply {
    reply(
        200,
        format!(
            r#"{{"Credentials":{{"AccessKeyId":"{key}","AccessKeySecret":"{SECRET}","SecurityToken":"{TOKEN}{key}","Expiration":"{expiration}"}}}}"#
        ),
    )
}

pub(crate) fn caller() -> Reply {
    let body = r#"{"AccountId":"1","Arn":"acs:ram::1:assumed-role/r/s","IdentityType":"AssumedRoleUser","PrincipalId":"3:s","RoleId":"3"}"#;
    reply(200, body)
}

pub(crate) const FAR: &str = "2999-01-01T00:00:00Z";

pub(crate) fn token_file(token: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(token.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn the_oidc_token_is_exchanged_once_and_stays_out_of_urls() {
    let server = Server::start([assumed("k1", FAR), caller(), caller()]).await;
    let file = token_file(OIDC);
    let cloud = connect(&rrsa(&server, file.path()));
    assert_eq!(
        cloud.sts.get_caller_identity().await.unwrap().role_id.as_deref(),
        Some("3")
    );
    cloud.clone().sts.get_caller_identity().await.unwrap();
    let seen = server.take();
    assert_eq!(seen.len(), 3);
    assert!(
        seen[0].line.starts_with("POST /?Action=AssumeRoleWithOIDC&"),
        "{}",
        seen[0].line
    );
    assert!(seen[0].line.contains("&SignatureNonce="));
    assert!(seen[0].line.contains("RoleArn=acs%3Aram%3A%3A1%3Arole%2Foffboarding"));
    assert_eq!(seen[0].body, format!("OIDCToken={OIDC}"));
    assert_eq!(seen[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert!(!seen[0].headers.contains_key("authorization"));
    assert!(seen.iter().all(|request| !request.line.contains(OIDC)));
    assert_eq!(seen[1].headers["x-acs-security-token"], format!("{TOKEN}k1"));
}

#[tokio::test]
async fn concurrent_callers_share_one_exchange() {
    let server = Server::start([vec![assumed("k1", FAR)], vec![caller(); 8]].concat()).await;
    let file = token_file(OIDC);
    let cloud = connect(&rrsa(&server, file.path()));
    let all = futures::future::join_all((0..8).map(|_| cloud.sts.get_caller_identity())).await;
    assert!(all.iter().all(Result::is_ok));
    let exchanges = server
        .take()
        .iter()
        .filter(|request| request.line.contains("AssumeRoleWithOIDC"))
        .count();
    assert_eq!(exchanges, 1);
}

#[tokio::test]
async fn concurrent_callers_share_a_failed_exchange_too() {
    let refused = r#"{"Code":"AuthenticationFail.NoPermission","Message":"denied","RequestId":"R"}"#;
    let server = Server::start(vec![reply(401, refused); 8]).await;
    let file = token_file(OIDC);
    let cloud = connect(&rrsa(&server, file.path()));
    let all = futures::future::join_all((0..8).map(|_| cloud.sts.get_caller_identity())).await;
    assert!(
        all.iter()
            .all(|one| one.as_ref().unwrap_err().kind == ErrorKind::Forbidden)
    );
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_replaced_once() {
    let expired = || reply(400, r#"{"Code":"InvalidSecurityToken.Expired","Message":"expired"}"#);
    let server = Server::start([assumed("k1", FAR), expired(), assumed("k2", FAR), caller()]).await;
    let file = token_file("first");
    let cloud = connect(&rrsa(&server, file.path()));
    cloud.sts.get_caller_identity().await.unwrap();
    assert!(server.take()[3].headers["x-acs-security-token"].ends_with("k2"));

    let server = Server::start([assumed("k1", FAR), expired(), assumed("k2", FAR), expired()]).await;
    std::fs::write(file.path(), "second").unwrap();
    let error = connect(&rrsa(&server, file.path()))
        .sts
        .get_caller_identity()
        .await
        .unwrap_err();
    assert_eq!((error.kind, server.count()), (ErrorKind::Credentials, 4));
    assert_eq!(server.take()[2].body, "OIDCToken=second");
}

#[tokio::test]
async fn static_keys_that_are_not_accepted_are_not_tried_twice() {
    let server = Server::start([reply(404, r#"{"Code":"InvalidAccessKeyId.NotFound","Message":"no"}"#)]).await;
    let error = server.cloud().ims.get_user(uid()).await.unwrap_err();
    assert_eq!((error.kind, server.count()), (ErrorKind::Credentials, 1));
}

#[tokio::test]
async fn credentials_that_have_expired_when_they_come_are_an_error() {
    let server = Server::start([assumed("k1", "2020-01-01T00:00:00Z")]).await;
    let file = token_file(OIDC);
    let error = connect(&rrsa(&server, file.path()))
        .sts
        .get_caller_identity()
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Credentials && error.message.contains("clock"),
        "{error}"
    );
}

#[tokio::test]
async fn a_passing_failure_of_sts_is_tried_again() {
    let server = Server::start([reply(503, ""), Reply::Cut, assumed("k1", FAR), caller()]).await;
    let file = token_file(OIDC);
    connect(&rrsa(&server, file.path()))
        .sts
        .get_caller_identity()
        .await
        .unwrap();
    assert_eq!(server.count(), 4);
}

#[tokio::test]
async fn a_refused_exchange_says_whose_role_and_why() {
    let file = token_file(OIDC);
    let echo =
        format!(r#"{{"Code":"AuthenticationFail.OIDCToken.Invalid","Message":"bad token {OIDC}","RequestId":"R"}}"#);
    let server = Server::start([reply(401, echo)]).await;
    let error = connect(&rrsa(&server, file.path()))
        .sts
        .get_caller_identity()
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "STS AssumeRoleWithOIDC (acs:ram::1:role/offboarding): the caller's credentials do not work: \
         AuthenticationFail.OIDCToken.Invalid: bad token [redacted] (HTTP 401, request R)"
    );
    assert_clean_error(&error);

    // A role that is not there is a matter of credentials, not a user who was not found.
    let server = Server::start([reply(404, r#"{"Code":"EntityNotExist.Role","Message":"no"}"#)]).await;
    let error = connect(&rrsa(&server, file.path()))
        .ims
        .get_user(uid())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Credentials);

    let server = Server::start([reply(200, format!(r#"{{"Credentials":"{SECRET}"}}"#))]).await;
    let error = connect(&rrsa(&server, file.path()))
        .ims
        .get_user(uid())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Malformed);
    assert_clean_error(&error);
}

#[tokio::test]
async fn a_missing_token_file_is_named() {
    let server = Server::start([]).await;
    let error = connect(&rrsa(&server, "/nonexistent/token".as_ref()))
        .sts
        .get_caller_identity()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("cannot read /nonexistent/token"), "{error}");
    assert_eq!((error.kind, server.count()), (ErrorKind::Credentials, 0));
}

#[tokio::test]
async fn the_role_of_the_instance_is_used_only_when_asked_for() {
    let keys = format!(
        r#"{{"Code":"Success","AccessKeyId":"k","AccessKeySecret":"{SECRET}","SecurityToken":"{TOKEN}","Expiration":"{FAR}"}}"#
    );
    let server = Server::start([
        reply(200, "metadata-token"),
        reply(200, "worker-role"),
        reply(200, keys),
        caller(),
    ])
    .await;
    let settings = CloudSettings {
        credentials: CredentialsSource::EcsRole { name: None },
        environment: Environment::from_iter([("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", &server.url)]),
        ..server.settings()
    };
    connect(&settings).sts.get_caller_identity().await.unwrap();
    assert_eq!(
        server.take()[2].line,
        "GET /latest/meta-data/ram/security-credentials/worker-role HTTP/1.1"
    );
    let auto = CloudSettings {
        credentials: CredentialsSource::Auto,
        ..settings
    };
    let error = Cloud::connect(&auto, std::sync::Arc::new(())).unwrap_err().to_string();
    assert!(error.contains("ALIBABA_CLOUD_ROLE_ARN"), "{error}");
}

#[tokio::test]
async fn a_profile_of_the_cli_is_read() {
    let server = Server::start([caller()]).await;
    let file = token_file(&format!(
        r#"{{"current":"other","profiles":[{{"name":"audit","mode":"AK","access_key_id":"k","access_key_secret":"{SECRET}"}}]}}"#
    ));
    let mut settings = CloudSettings {
        credentials: "Profile:audit".parse().unwrap(),
        environment: Environment::from_iter([
            ("ALIBABA_CLOUD_CONFIG_FILE", file.path().to_str().unwrap()),
            ("ALIBABA_CLOUD_PROFILE", "other"),
        ]),
        ..server.settings()
    };
    connect(&settings).sts.get_caller_identity().await.unwrap();
    settings.credentials = "Profile".parse().unwrap();
    let error = connect(&settings).sts.get_caller_identity().await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Credentials && error.message.contains("has no profile \"other\"; it has audit"),
        "{error}"
    );
}
